package sidecar

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ripplebak/ripplebak/manifest"
	"github.com/ripplebak/ripplebak/sidecar/schedule"
	"github.com/ripplebak/ripplebak/sidecar/state"
)

// due runs what is due as serve does, and returns the keys of what was saved.
func (s *shop) due(schedules ...string) (*BackupReport, []string) {
	s.t.Helper()
	report, err := s.app.Backup(s.t.Context(), BackupOptions{due: schedules})
	if err != nil {
		s.t.Fatal(err)
	}
	if report == nil {
		return nil, nil
	}
	var saved []string
	for _, it := range report.Items {
		if it.State == manifest.Good {
			saved = append(saved, it.Key())
		}
	}
	return report, saved
}

// noted gives the project runs on the schedule, as serve does.
func (s *shop) noted(expr string) {
	s.t.Helper()
	err := state.At(s.path("state")).UpdateHistory(func(h *state.History) {
		h.Interval = 24 * time.Hour
		h.Schedules = map[string]state.Scheduled{expr: {Since: time.Now(), Interval: time.Hour}}
	})
	if err != nil {
		s.t.Fatal(err)
	}
}

func TestServicesWithASchedule(t *testing.T) {
	s := newShop(t)
	s.configure("RIPPLEBAK_KEEP=last=1", "RIPPLEBAK_KEEP_MINIMUM=1")
	s.service("often", map[string]string{"schedule": "@hourly"}, "fast")
	s.service("seldom", map[string]string{"enable": "true"}, "slow")
	s.host() // makes the state directory
	s.noted("@hourly")

	report, saved := s.due(manifest.DefaultSchedule)
	if !slices.Equal(saved, []string{"volume slow"}) || !report.Complete {
		t.Fatalf("the sidecar's schedule: %q", saved)
	}
	if h := s.history(); h.LastGood.IsZero() || !h.Schedules["@hourly"].LastAttempt.IsZero() {
		t.Errorf("%+v", h.Runs)
	}
	slow := report.Snapshot
	for range 2 {
		if report, saved = s.due("@hourly"); !slices.Equal(saved, []string{"volume fast"}) || !report.Complete {
			t.Fatalf("its own schedule: %q", saved)
		}
	}
	if r := report.Retention; r == nil || !r.Ran || r.Removed != 1 || r.Kept != 2 {
		t.Errorf("retention: %+v", r)
	}
	if h := s.history(); h.Schedules["@hourly"].LastGood.IsZero() || !h.Schedules["@hourly"].LastAttempt.After(h.LastAttempt) {
		t.Errorf("%+v", h.Runs)
	}
	list, err := s.app.Snapshots(t.Context(), false)
	if err != nil || len(list) != 2 || slices.ContainsFunc(list, func(i SnapshotInfo) bool { return !i.Complete }) {
		t.Errorf("%+v, %v", list, err)
	}
	restored, err := s.app.Restore(t.Context(), RestoreOptions{Snapshot: "latest", DryRun: true})
	if err != nil || len(restored.Plan.Items) != 2 {
		t.Fatalf("%+v, %v", restored, err)
	}
	for _, it := range restored.Plan.Items {
		want := map[string]string{"volume slow": slow, "volume fast": report.Snapshot}[it.Key]
		if it.Snapshot != want {
			t.Errorf("%s comes from %s, want %s", it.Key, it.Snapshot, want)
		}
	}
	if report, saved = s.due(manifest.DefaultSchedule, "@hourly"); len(saved) != 2 || report.due != nil {
		t.Errorf("both at once: %q, %q", saved, report.due)
	}
	if report, _ = s.due("@weekly"); report != nil {
		t.Errorf("nothing follows it, and it came to %+v", report)
	}
	s.wantQuiet()
}

// TestParentsAreFoundBehindManyRunsOfOthers: an unchanged volume is not read again
// because another one was saved often meanwhile.
func TestParentsAreFoundBehindManyRunsOfOthers(t *testing.T) {
	s := newShop(t)
	s.service("seldom", map[string]string{"enable": "true"}, "slow")
	now := time.Now()
	a := s.archive(now)
	item := manifest.Item{Kind: manifest.Volume, Name: "slow", State: manifest.Good, Bytes: 5, Files: 1}
	a.add(past{days: 40, host: s.host().name, items: []manifest.Item{item}})
	for i := range 3 * parentDepth {
		skipped := item
		skipped.State = manifest.Skipped
		a.add(past{days: 39 - i, host: s.host().name, only: []string{"often"}, items: []manifest.Item{skipped, goodVolume("fast")}})
	}
	p, err := s.app.findParents(t.Context(), a.repo, "shop", []string{"volume slow", "volume new"})
	if err != nil || len(p.marks["volume slow"]) == 0 {
		t.Errorf("%+v, %v", p.marks, err)
	}
}

// TestAFailureOnOneScheduleHoldsRetentionOfAll: nothing is removed after a failure.
func TestAFailureOnOneScheduleHoldsRetentionOfAll(t *testing.T) {
	s := newShop(t)
	s.configure("RIPPLEBAK_KEEP=last=1", "RIPPLEBAK_KEEP_MINIMUM=1")
	s.service("often", map[string]string{"schedule": "@hourly"}, "fast")
	s.service("seldom", map[string]string{"enable": "true"}, "slow")
	s.host()
	s.noted("@hourly")
	s.due(manifest.DefaultSchedule)
	if err := state.At(s.path("state")).UpdateHistory(func(h *state.History) {
		r := h.Schedules["@hourly"]
		r.LastError = "the disk is full"
		h.Schedules["@hourly"] = r
	}); err != nil {
		t.Fatal(err)
	}
	report, _ := s.due(manifest.DefaultSchedule)
	if r := report.Retention; r == nil || r.Ran || len(r.Held) != 1 || !strings.Contains(r.Held[0], "on the schedule @hourly was not complete") {
		t.Errorf("%+v", r)
	}
	s.due("@hourly")
	if report, _ = s.due(manifest.DefaultSchedule); !report.Retention.Ran {
		t.Errorf("%+v", report.Retention)
	}
}

// TestF13_SuddenChangeHoldsRetentionOfOtherSchedulesBack: a run that leaves the
// item out says nothing of it.
func TestF13_SuddenChangeHoldsRetentionOfOtherSchedulesBack(t *testing.T) {
	s := newShop(t)
	s.configure("RIPPLEBAK_KEEP=last=3", "RIPPLEBAK_KEEP_MINIMUM=1")
	s.service("often", map[string]string{"schedule": "@hourly"}, "fast")
	s.service("seldom", map[string]string{"enable": "true"}, "slow")
	s.host()
	s.noted("@hourly")
	s.fillWith("slow", 40)
	for range 3 {
		s.due(manifest.DefaultSchedule)
	}
	s.due("@hourly")
	s.fillWith("slow", 10)
	if r, _ := s.due(manifest.DefaultSchedule); r.Retention.Ran || len(r.Retention.Held) != 1 {
		t.Fatalf("%+v", r.Retention)
	}
	for range 3 {
		if r, _ := s.due("@hourly"); r.Retention.Ran || !strings.Contains(strings.Join(r.Retention.Held, " "), "volume slow has changed suddenly") || len(heldForCopies(r, nil)) != 1 {
			t.Fatalf("%+v, %d snapshots", r.Retention, s.snapshots())
		}
	}
	if s.snapshots() != 8 {
		t.Errorf("%d snapshots", s.snapshots())
	}
	if _, err := s.app.Forget(t.Context(), ForgetOptions{Confirm: yes}); err != nil { // somebody looks
		t.Fatal(err)
	}
	if r, _ := s.due("@hourly"); !r.Retention.Ran {
		t.Errorf("%+v", r.Retention)
	}
}

func TestF41_BadScheduleOfAServiceIsAProblemOfThePlan(t *testing.T) {
	for value, want := range map[string]string{
		"TZ=": "variable TZ", "@every 0s": "too short", "0 0 30 2 *": "never fires", "0 0 2 * * *": "six fields", "61 2 * * *": "61", "nightly": "fields",
	} {
		s := newShop(t)
		s.service("app", map[string]string{"schedule": value}, "data")
		p, err := s.app.Plan(t.Context(), nil)
		if err != nil || len(p.Problems) != 1 || !strings.HasPrefix(p.Problems[0], "service app: label ripplebak.schedule: ") || !strings.Contains(p.Problems[0], want) {
			t.Errorf("%q: %q, %v", value, p.Problems, err)
		}
	}
}

// timetable is that of the shop at a time.
func (s *shop) timetable(at time.Time, every string) *timetable {
	s.t.Helper()
	s.app.Now = func() time.Time { return at }
	own, err := schedule.Parse(every, time.UTC)
	if err != nil {
		s.t.Fatal(err)
	}
	s.host()
	return s.app.newTimetable(state.At(s.path("state")), own)
}

func TestTimetable(t *testing.T) {
	s := newShop(t)
	often := s.service("often", map[string]string{"schedule": "0 * * * *"}, "fast")
	s.service("bad", map[string]string{"schedule": "sometimes"}, "bad")
	s.service("seldom", map[string]string{"enable": "true"}, "slow")
	at := time.Date(2026, 3, 1, 1, 30, 0, 0, time.UTC)
	tt := s.timetable(at, "0 2 * * *")
	if err := tt.survey(t.Context(), s.host()); err != nil {
		t.Fatal(err)
	}
	two := time.Date(2026, 3, 1, 2, 0, 0, 0, time.UTC)
	if next := tt.next(); !next.Equal(two) || tt.due("", at) != nil || len(tt.lines) != 2 {
		t.Fatalf("next %s, due %q, %d lines", next, tt.due("", at), len(tt.lines))
	}
	if due := tt.due("", two); !slices.Equal(due, []string{manifest.DefaultSchedule, "0 * * * *"}) {
		t.Errorf("due at two: %q", due)
	}
	s.app.Now = func() time.Time { return two.Add(time.Minute) }
	tt.done("", tt.due("", two))
	if next := tt.next(); !next.Equal(two.Add(time.Hour)) || !slices.Equal(tt.due("", next), []string{"0 * * * *"}) {
		t.Errorf("next %s, due %q", next, tt.due("", next))
	}

	// A restart: the hourly one was missed, the other was not.
	if err := state.At(s.path("state")).UpdateHistory(func(h *state.History) {
		r := h.Schedules["0 * * * *"]
		h.LastAttempt, r.LastAttempt = two, two
		h.Schedules["0 * * * *"] = r
	}); err != nil {
		t.Fatal(err)
	}
	later := two.Add(3 * time.Hour)
	tt = s.timetable(later, "0 2 * * *")
	if due := tt.due("", later); !slices.Equal(due, []string{"0 * * * *"}) {
		t.Errorf("missed: %q", due)
	}

	// The label is gone.
	s.f.RemoveContainer(often)
	if err := tt.survey(t.Context(), s.host()); err != nil {
		t.Fatal(err)
	}
	if h := s.history(); len(tt.lines) != 1 || len(h.Schedules) != 0 || h.Interval != 24*time.Hour {
		t.Errorf("%d lines, %+v", len(tt.lines), h.Runs)
	}

	// It comes back, as a container that is made anew: what was missed meanwhile is
	// made up, and health does not begin anew.
	s.service("often", map[string]string{"schedule": "0 * * * *"}, "fast")
	if err := tt.survey(t.Context(), s.host()); err != nil {
		t.Fatal(err)
	}
	if h := s.history(); !slices.Equal(tt.due("", later), []string{"0 * * * *"}) || !h.Schedules["0 * * * *"].LastAttempt.Equal(two) || len(h.Former) != 0 {
		t.Errorf("due %q, %+v", tt.due("", later), h.Runs)
	}
}

func TestHealthLooksAtEachSchedule(t *testing.T) {
	s := newShop(t)
	s.host()
	s.noted("@hourly")
	now := time.Now()
	for ago, want := range map[time.Duration]string{time.Hour: "", 3 * time.Hour: "the last good backup on the schedule @hourly is 3h"} {
		err := state.At(s.path("state")).UpdateHistory(func(h *state.History) {
			h.LastGood = now
			r := h.Schedules["@hourly"]
			r.LastGood = now.Add(-ago)
			h.Schedules["@hourly"] = r
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.app.Health(); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s ago: %v", ago, err)
		}
	}
}

// TestManyRunsOfASchedulesAreNoFlood: an alarm is for what nobody has asked for.
func TestManyRunsOfASchedulesAreNoFlood(t *testing.T) {
	s := newShop(t)
	s.host()
	before := s.app.interval()
	s.noted("@hourly")
	if after := s.app.interval(); before != 24*time.Hour || after >= time.Hour || after < 50*time.Minute {
		t.Errorf("%s, then %s", before, after)
	}
}
