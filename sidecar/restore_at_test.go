package sidecar

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/ripplebak/ripplebak/docker/dockertest"
	"github.com/ripplebak/ripplebak/repository"
)

// nights is a shop with a backup of each of three nights, and the time of the
// first; the volume holds the number of the night.
func nights(t *testing.T) (s *shop, first time.Time) {
	t.Helper()
	s = newShop(t)
	s.service("app", map[string]string{"enable": "true"}, "data")
	first = time.Now().AddDate(0, 0, -3).Truncate(time.Second).Add(time.Second / 3)
	for n, content := range []string{"one", "two", "three"} {
		s.write("data", content)
		s.night(first.AddDate(0, 0, n))
	}
	s.app.Now = time.Now
	s.write("data", "changed")
	return s, first
}

// night makes a backup, as if it were another time.
func (s *shop) night(at time.Time) {
	s.t.Helper()
	s.app.Now = func() time.Time { return at }
	if _, err := s.app.Backup(s.t.Context(), BackupOptions{}); err != nil {
		s.t.Fatal(err)
	}
}

func TestRestoreAtTakesTheNewestMadeByThen(t *testing.T) {
	s, first := nights(t)
	second := first.AddDate(0, 0, 1)
	for _, c := range []struct {
		at   time.Time
		want string
	}{
		{second.Add(time.Hour), "two"},
		{second.Truncate(time.Second), "two"}, // as snapshots lists it
		{second.Add(-time.Second), "one"},
		{first.Truncate(time.Second), "one"},
		{time.Now(), "three"},
		{time.Time{}, "three"},
	} {
		opt := latest()
		opt.At, opt.NoSafety = c.at, true
		report, err := s.app.Restore(t.Context(), opt)
		if err != nil || s.read("data") != c.want {
			t.Errorf("at %s: %q, %v, want %q", c.at, s.read("data"), err, c.want)
		}
		if !report.Plan.At.Equal(c.at) || len(report.Plan.Items) != 1 || !c.at.IsZero() && report.Plan.Items[0].Time.Truncate(time.Second).After(c.at) {
			t.Errorf("at %s: the plan is %+v", c.at, report.Plan)
		}
	}
	s.wantQuiet()
}

// TestRestoreAtGoesBackToWhatIsGood: the run before the time knew the item, and
// could not save it.
func TestRestoreAtGoesBackToWhatIsGood(t *testing.T) {
	s, first := nights(t)
	hour := first.AddDate(0, 0, 1).Add(time.Hour)
	s.app.Now = func() time.Time { return hour }
	helpers := false
	s.f.Command("/ripplebak", func(context.Context, *dockertest.Process) int { helpers = true; return 1 })
	if _, err := s.app.Backup(t.Context(), BackupOptions{}); err == nil || !helpers {
		t.Fatalf("the backup ended with %v, helpers were started: %v", err, helpers)
	}
	s.f.Command("/ripplebak", s.helper)
	s.app.Now = time.Now
	opt := latest()
	opt.At, opt.NoSafety = hour.Add(time.Hour), true
	if _, err := s.app.Restore(t.Context(), opt); err != nil || s.read("data") != "two" {
		t.Errorf("%q, %v", s.read("data"), err)
	}
}

func TestRestoreAtWhenThereWasNothing(t *testing.T) {
	s, first := nights(t)
	opt := latest()
	opt.At = first.Add(-time.Minute)
	report, err := s.app.Restore(t.Context(), opt)
	if !errors.Is(err, repository.ErrNoSnapshot) || !strings.Contains(err.Error(), "the first is ") || !strings.Contains(err.Error(), first.UTC().Format(time.RFC3339)) {
		t.Errorf("error %v does not name the first snapshot", err)
	}
	if report != nil && report.Plan != nil {
		t.Errorf("plan %+v", report.Plan)
	}
	opt.At = time.Now().AddDate(1, 0, 0)
	if _, err = s.app.Restore(t.Context(), opt); !errors.Is(err, errFuture) {
		t.Errorf("a time to come: %v", err)
	}
	if got := s.read("data"); got != "changed" {
		t.Errorf("the file holds %q", got)
	}
	s.wantQuiet()
}
