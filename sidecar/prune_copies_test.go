package sidecar

import (
	"errors"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ripplebak/ripplebak/repository"
	"github.com/ripplebak/ripplebak/sidecar/state"
)

// keepingCopy are the settings of a copy that keeps one snapshot, and of one
// that keeps all.
func (s *shop) keepingCopy(more ...string) {
	s.t.Helper()
	s.configure(append([]string{
		"RIPPLEBAK_COPY_TO=" + s.path("copy"), "RIPPLEBAK_COPY_KEEP=last=1", "RIPPLEBAK_COPY_PASSWORD=third horse",
		"RIPPLEBAK_COPY2_TO=" + s.path("copy2"), "RIPPLEBAK_KEEP_MINIMUM=1",
	}, more...)...)
}

// agedCopies is a shop with two snapshots, of which the first has data of its
// own, and is gone from one of the copies.
func agedCopies(t *testing.T) *shop {
	t.Helper()
	s := newShop(t)
	s.service("app", map[string]string{"enable": "true"}, "data")
	s.keepingCopy()
	s.fill("first", 300_000)
	s.mustBackup()
	if err := os.Remove(s.path("volumes", "shop_data", "first")); err != nil {
		t.Fatal(err)
	}
	s.fill("second", 200_000)
	s.mustBackup()
	if s.snapshots() != 2 || s.count("copy", "snapshots") != 1 || s.count("copy2", "snapshots") != 2 {
		t.Fatalf("%d, %d and %d snapshots", s.snapshots(), s.count("copy", "snapshots"), s.count("copy2", "snapshots"))
	}
	return s
}

// TestPruneFromACopy: it shrinks, and holds what it kept; neither the repository
// nor another copy nor what is remembered of them is touched.
func TestPruneFromACopy(t *testing.T) {
	s := agedCopies(t)
	wantCopyNotPruned(t, s)
	before, others, history := s.packsIn("copy"), [2]int64{s.packs(), s.packsIn("copy2")}, s.history()
	kept := s.files(s.path("copy", "snapshots"))
	s.app.From = "copy"
	dry, err := s.app.Prune(t.Context(), PruneOptions{DryRun: true})
	if err != nil || dry.Copy != "copy" || dry.Repository != s.path("copy") || dry.Freed < 300_000 || s.packsIn("copy") != before {
		t.Fatalf("dry run: %+v, %v", dry, err)
	}
	hit := s.crashAt("mid-prune", func() {
		if s.count("copy", "locks") != 1 || s.count("repo", "locks") != 0 {
			t.Errorf("%d locks of the copy, %d of the repository", s.count("copy", "locks"), s.count("repo", "locks"))
		}
		run, err := s.host().state.Lock(t.Context(), state.Owner{Run: "a backup"}, 0)
		if err == nil {
			err = run.Release()
		}
		if err != nil {
			t.Errorf("a backup would have to wait: %v", err)
		}
	})
	done, err := s.app.Prune(t.Context(), PruneOptions{})
	if err != nil || !hit() {
		t.Fatal(err, hit())
	}
	if freed := before - s.packsIn("copy"); done.PacksRemoved == 0 || freed < 300_000 || freed != done.BytesRemoved-done.BytesStored || done.Snapshots != 1 {
		t.Errorf("%d freed: %+v", freed, done)
	}
	if now := [2]int64{s.packs(), s.packsIn("copy2")}; now != others {
		t.Errorf("the others had %d bytes, and have %d", others, now)
	}
	if !slices.Equal(s.files(s.path("copy", "snapshots")), kept) || !reflect.DeepEqual(s.history(), history) {
		t.Errorf("snapshots %q, history %+v, before %+v", s.files(s.path("copy", "snapshots")), s.history(), history)
	}
	s.wantWhole("copy", "copy2", "")
	s.fill("third", 50_000)
	s.mustBackup() // and what is copied next stands on what is there
	s.wantWhole("copy")
	if s.count("copy", "locks") > 0 {
		t.Error("a lock is left")
	}
	s.wantQuiet()
}

// wantCopyNotPruned while somebody works there, where nothing may be deleted,
// and for what is none.
func wantCopyNotPruned(t *testing.T, s *shop) {
	t.Helper()
	before := s.packsIn("copy")
	prune := func(from string) error {
		s.app.From = from
		defer func() { s.app.From = "" }()
		_, err := s.app.Prune(t.Context(), PruneOptions{})
		return err
	}
	if err := prune("copy7"); err == nil || !strings.Contains(err.Error(), `no copy "copy7"`) {
		t.Errorf("no such copy: %v", err)
	}
	c, _ := s.app.Settings.Copy("copy")
	v, err := s.app.openTarget(t.Context(), s.app.copyTarget(c), nil, false)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.app.lockShared(t.Context(), v, nil, 0); err != nil {
		t.Fatal(err)
	}
	var locked *repository.LockedError
	if err := prune("copy"); !errors.As(err, &locked) {
		t.Errorf("while somebody copies: %v", err)
	}
	if err := v.close(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.keepingCopy("RIPPLEBAK_APPEND_ONLY=true")
	if err := prune("copy"); !errors.Is(err, ErrAppendOnly) {
		t.Errorf("append-only: %v", err)
	}
	if jobs := s.app.copyPrunes(); len(jobs) != 0 {
		t.Errorf("append-only, and serve would run %q", jobs[0].name)
	}
	if s.packsIn("copy") != before {
		t.Error("something was removed")
	}
	s.keepingCopy()
}

// TestScheduledPruneOfCopies: after the repository, and where one keeps less
// than all. One that is away is an error in the log, and stops nothing.
func TestScheduledPruneOfCopies(t *testing.T) {
	s := agedCopies(t)
	s.storedBefore("repo", 72*time.Hour)
	s.storedBefore("copy", 72*time.Hour)
	list, err := s.app.Snapshots(t.Context(), true)
	if err != nil || len(list) != 2 {
		t.Fatal(list, err)
	}
	if err := os.Remove(s.path("repo", "snapshots", list[0].ID)); err != nil {
		t.Fatal(err)
	}
	s.app.Settings.PruneSchedule = "@weekly"
	jobs, err := s.app.scheduledJobs()
	if err != nil {
		t.Fatal(err)
	}
	jobs = slices.DeleteFunc(jobs, func(j *job) bool { return j.name == "check" })
	if len(jobs) != 2 || jobs[0].name != "prune" || jobs[1].name != "prune of copy" {
		t.Fatalf("%d jobs", len(jobs))
	}
	dir := s.host().state
	s.app.takeUp(dir, jobs)
	turn := func() {
		for _, j := range jobs {
			j.last = time.Now().AddDate(0, 0, -8)
		}
		for range jobs {
			s.app.runDue(t.Context(), dir, jobs, time.Now().Add(time.Hour))
		}
	}
	if err := os.Rename(s.path("copy"), s.path("away")); err != nil {
		t.Fatal(err)
	}
	before := s.packs()
	turn()
	h := s.history()
	if r := h.Job("prune"); r.LastGood.IsZero() || r.LastError != "" || s.packs() > before-300_000 {
		t.Errorf("the repository: %+v, %d bytes before, %d after", r, before, s.packs())
	}
	if r := h.Job("prune of copy"); !r.LastGood.IsZero() || r.LastError == "" {
		t.Errorf("the copy that is away: %+v", r)
	}
	if log := s.log.String(); !strings.Contains(log, `"level":"error","job":"prune of copy"`) || strings.Contains(log, `"level":"error","job":"prune",`) {
		t.Errorf("the log says:\n%s", log)
	}
	if s.count("copy") > 0 {
		t.Error("a copy that is away was made anew")
	}
	if err := os.Rename(s.path("away"), s.path("copy")); err != nil {
		t.Fatal(err)
	}
	before, other := s.packsIn("copy"), s.packsIn("copy2")
	turn()
	h = s.history()
	if r := h.Job("prune of copy"); r.LastGood.IsZero() || r.LastError != "" || s.packsIn("copy") > before-300_000 || s.packsIn("copy2") != other {
		t.Errorf("the copy: %+v, %d bytes before, %d after", r, before, s.packsIn("copy"))
	}
	s.wantWhole("copy", "copy2", "")
}
