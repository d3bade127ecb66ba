package sidecar

import (
	"strings"
	"testing"
	"time"

	"github.com/ripplebak/ripplebak/sidecar/state"
)

// TestHealthOfJobsThatFail: a job, or a copy, that fails for three of its
// intervals makes the sidecar unhealthy, and one that fails for a while, or is
// switched off, does not.
func TestHealthOfJobsThatFail(t *testing.T) {
	s := newShop(t)
	s.configure("RIPPLEBAK_COPY_TO="+s.path("copy"), "RIPPLEBAK_COPY_KEEP=last=1", "RIPPLEBAK_COPY_PASSWORD=third horse")
	dir := s.host().state
	now := time.Now()
	const day = 24 * time.Hour
	ago := func(days float64) time.Time { return now.Add(-time.Duration(days * float64(day))) }
	for name, c := range map[string]struct {
		job    string
		record state.Job
		check  time.Time
		copied state.CopyHistory
		off    bool
		want   string
	}{
		"never taken up":       {job: "prune"},
		"new":                  {job: "prune", record: state.Job{Since: ago(20)}},
		"never succeeded":      {job: "prune", record: state.Job{Since: ago(22), LastError: "the disk is full"}, want: "prune has not succeeded since it was first scheduled, 528h0m0s ago, the limit is 504h0m0s, for it is due every 168h0m0s; it failed when it was last done: the disk is full"},
		"failed for a while":   {job: "prune", record: state.Job{Since: ago(400), LastGood: ago(20), LastError: "the disk is full"}},
		"failed for long":      {job: "prune", record: state.Job{Since: ago(400), LastGood: ago(22), LastError: "the disk is full"}, want: "prune last succeeded, 528h0m0s ago"},
		"a copy's prune":       {job: "prune of copy", record: state.Job{Since: ago(400), LastGood: ago(22), LastError: "no such bucket"}, want: "no such bucket"},
		"of a copy of before":  {job: "prune of attic", record: state.Job{Since: ago(400), LastGood: ago(22), LastError: "no such bucket"}},
		"cut short for long":   {job: "check", record: state.Job{Since: ago(400), LastGood: ago(22), Begun: ago(15)}, want: "begun 360h0m0s ago and does not come to its end between two backups"},
		"never done":           {job: "check", record: state.Job{Since: ago(400), LastGood: ago(22)}, want: "check last succeeded"},
		"done by hand":         {job: "check", record: state.Job{Since: ago(400), LastGood: ago(22)}, check: ago(2)},
		"switched off":         {job: "check", record: state.Job{Since: ago(400), LastGood: ago(22)}, off: true},
		"clock set back":       {job: "check", record: state.Job{Since: ago(-400), LastGood: ago(-22)}},
		"copy behind a while":  {copied: state.CopyHistory{BehindSince: ago(2.9), LastError: "no such bucket"}},
		"copy behind for long": {copied: state.CopyHistory{BehindSince: ago(3.1), LastError: "no such bucket"}, want: "copy is behind for 74h24m0s"},
		"a new copy":           {copied: state.CopyHistory{Since: ago(2.9), BehindSince: ago(400)}},
		"a copy never made":    {copied: state.CopyHistory{Since: ago(3.1), BehindSince: ago(400), LastError: "no such bucket"}, want: "copy is behind for 9600h"},
	} {
		s.app.Settings.CheckSchedule = "0 5 * * 3"
		if c.off {
			s.app.Settings.CheckSchedule = "off"
		}
		err := dir.UpdateHistory(func(h *state.History) {
			*h = state.History{Runs: state.Runs{LastGood: ago(1), Interval: day}, Copies: map[string]state.CopyHistory{"copy": c.copied}, Check: state.CheckHistory{Last: c.check}}
			h.SetJob(c.job, c.record)
		})
		if err != nil {
			t.Fatal(err)
		}
		s.app.Now = func() time.Time { return now }
		err = s.app.Health()
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	s.app.Settings.PruneSchedule = "now and then"
	if err := s.app.Health(); err == nil || !strings.Contains(err.Error(), "RIPPLEBAK_PRUNE_SCHEDULE") {
		t.Errorf("%v", err)
	}
}

// TestOverdueIsADayAtLeast: what is due each hour may fail for a night.
func TestOverdueIsADayAtLeast(t *testing.T) {
	for interval, want := range map[time.Duration]time.Duration{0: 24 * time.Hour, time.Hour: 24 * time.Hour, 24 * time.Hour: 72 * time.Hour} {
		if got := state.Overdue(interval); got != want {
			t.Errorf("%s: %s, want %s", interval, got, want)
		}
	}
}
