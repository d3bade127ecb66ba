package sidecar

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/ripplebak/ripplebak/repository"
	"github.com/ripplebak/ripplebak/sidecar/settings"
	"github.com/ripplebak/ripplebak/sidecar/state"
)

// agedShop is a shop with two snapshots, of which the first was removed and had
// data of its own.
func agedShop(t *testing.T) *shop {
	t.Helper()
	s := newShop(t)
	s.service("app", map[string]string{"enable": "true"}, "data")
	s.fill("first", 300_000)
	s.mustBackup()
	first := s.files(s.path("repo", "snapshots"))
	if err := os.Remove(s.path("volumes", "shop_data", "first")); err != nil {
		t.Fatal(err)
	}
	s.fill("second", 200_000)
	s.mustBackup()
	for _, id := range first {
		if err := os.Remove(s.path("repo", "snapshots", id)); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// fill puts a file into the volume "data" that cannot be compressed.
func (s *shop) fill(name string, size int) {
	s.t.Helper()
	data := make([]byte, size)
	x := uint64(len(name)) + 1
	for i := range data {
		x = x*6364136223846793005 + 1442695040888963407
		data[i] = byte(x >> 56)
	}
	if err := os.WriteFile(s.path("volumes", "shop_data", name), data, 0o644); err != nil {
		s.t.Fatal(err)
	}
}

func (s *shop) mustBackup() {
	s.t.Helper()
	if _, err := s.app.Backup(s.t.Context(), BackupOptions{}); err != nil {
		s.t.Fatal(err)
	}
}

// elsewhere is another sidecar on the same repository, with a state of its own.
func (s *shop) elsewhere() *App {
	s.t.Helper()
	set, err := settings.Load([]string{
		"RIPPLEBAK_REPOSITORY=" + s.path("repo"), "RIPPLEBAK_PASSWORD=correct horse", "RIPPLEBAK_PROJECT=shop",
		"RIPPLEBAK_STATE_DIR=" + s.path("state2"), "RIPPLEBAK_RUN_DIR=" + s.path("run"),
	}, os.ReadFile)
	if err != nil {
		s.t.Fatal(err)
	}
	return &App{Settings: set, Log: zerolog.New(s.log), Now: time.Now, Version: "test", Command: "elsewhere", mounts: s.mounts}
}

// packs is the size of all packs.
func (s *shop) packs() int64 {
	s.t.Helper()
	return s.packsIn("repo")
}

func (s *shop) packsIn(repo string) (size int64) {
	s.t.Helper()
	err := filepath.WalkDir(s.path(repo, "data"), func(_ string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			size += info.Size()
		}
		return err
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return size
}

func TestPrune(t *testing.T) {
	s := agedShop(t)
	before := s.packs()
	dry, err := s.app.Prune(t.Context(), PruneOptions{DryRun: true})
	if err != nil {
		t.Fatal(err)
	}
	if !dry.DryRun || dry.Freed < 300_000 || len(dry.Steps) == 0 || dry.PacksRemoved > 0 || s.packs() != before {
		t.Errorf("dry run: %+v", dry)
	}
	done, err := s.app.Prune(t.Context(), PruneOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if done.PacksRemoved == 0 || before-s.packs() != done.BytesRemoved-done.BytesStored || len(done.Steps) != len(dry.Steps) || done.Snapshots != 1 {
		t.Errorf("report: %+v", done)
	}
	var text strings.Builder
	if err := done.Print(&text); err != nil || !strings.Contains(text.String(), "no snapshot needs it") {
		t.Errorf("printed %q, %v", text.String(), err)
	}
	s.mustBackup()
	if report, err := s.app.Check(t.Context(), CheckOptions{ReadData: true}); err != nil || report.Notes > 0 {
		t.Errorf("check: %+v, %v", report, err)
	}
	s.wantQuiet()
	for _, o := range []PruneOptions{{MaxUnused: "all"}, {MaxRepackSize: "-1"}} {
		if _, err := s.app.Prune(t.Context(), o); err == nil || !strings.Contains(err.Error(), "--max-") {
			t.Errorf("%+v: %v", o, err)
		}
	}
}

// TestPruneNeedsNoDocker: on a machine with the bucket and the password only.
func TestPruneNeedsNoDocker(t *testing.T) {
	s := agedShop(t)
	t.Setenv("DOCKER_HOST", "unix://"+s.path("none.sock"))
	app := s.elsewhere()
	if report, err := app.Prune(t.Context(), PruneOptions{}); err != nil || report.PacksRemoved == 0 {
		t.Errorf("%+v, %v", report, err)
	}
	s.wantQuiet()
}

// TestF42_PruneBesideBackup: whichever comes second is told who is at work, on
// this host by the run lock and elsewhere by the repository's, or waits.
func TestF42_PruneBesideBackup(t *testing.T) {
	if testing.Short() {
		t.Skip("it waits for locks")
	}
	s := agedShop(t)
	away := s.elsewhere()
	told := func(what string, locked, busy error) {
		t.Helper()
		var l *repository.LockedError
		if !errors.As(locked, &l) || l.Host == "" || l.Since.IsZero() {
			t.Errorf("%s elsewhere: %v", what, locked)
		}
		var b *state.BusyError
		if !errors.As(busy, &b) || b.Owner.Command != s.app.Command {
			t.Errorf("%s here: %v", what, busy)
		}
	}
	here := s.elsewhere()
	here.Settings.StateDir = s.app.Settings.StateDir
	backup := func(a *App) error { _, err := a.Backup(t.Context(), BackupOptions{}); return err }
	prune := func(a *App) error { _, err := a.Prune(t.Context(), PruneOptions{}); return err }

	hit := s.crashAt("after-packs", func() { told("a prune", prune(away), prune(here)) })
	s.fill("more", 50_000)
	s.mustBackup()
	if !hit() {
		t.Fatal("the backup did not pass the point")
	}
	waited := make(chan error, 1)
	hit = s.crashAt("mid-prune", func() {
		told("a backup", backup(away), backup(here))
		told("a prune", prune(away), prune(here))
		go func() {
			_, err := away.Backup(context.WithoutCancel(t.Context()), BackupOptions{Wait: time.Minute})
			waited <- err
		}()
	})
	s.app.Command = "prune"
	if err := prune(s.app); err != nil || !hit() {
		t.Fatal(err, hit())
	}
	if err := <-waited; err != nil {
		t.Errorf("the backup that waited: %v", err)
	}
	if _, err := s.app.Check(t.Context(), CheckOptions{ReadData: true}); err != nil {
		t.Error(err)
	}
}

// TestF39_PruneKilledLeavesAllSnapshots: ended at the crash point, for the first
// and for every later time, it leaves what the next one finishes.
func TestF39_PruneKilledLeavesAllSnapshots(t *testing.T) {
	interrupted := errors.New("interrupted")
	s := agedShop(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	hit := s.crashAt("mid-prune", func() { cancel(interrupted) })
	if _, err := s.app.Prune(ctx, PruneOptions{MaxUnused: "0"}); !errors.Is(err, interrupted) || !hit() {
		t.Fatalf("ended with %v, passed: %v", err, hit())
	}
	s.wantQuiet()
	if _, err := s.app.Check(t.Context(), CheckOptions{ReadData: true}); err != nil {
		t.Error(err)
	}
	if report, err := s.app.Prune(t.Context(), PruneOptions{MaxUnused: "0"}); err != nil || report.PacksRemoved == 0 {
		t.Errorf("the next one: %+v, %v", report, err)
	}
}

// TestScheduledPruneIsNoted: what serve's prune did is in the history.
func TestScheduledPruneIsNoted(t *testing.T) {
	s := agedShop(t)
	s.storedBefore("repo", 72*time.Hour)
	jobs, err := s.app.scheduledJobs()
	if err != nil || len(jobs) == 0 || jobs[0].name != "prune" {
		t.Fatal(jobs, err)
	}
	dir := s.host().state
	s.app.takeUp(dir, jobs[:1])
	s.app.runDue(t.Context(), dir, jobs[:1], time.Now().Add(time.Hour))
	if r := s.history(); !(&r).Job("prune").LastAttempt.IsZero() {
		t.Error("it ran before it was due")
	}
	jobs[0].last = time.Now().AddDate(0, 0, -8)
	before := s.packs()
	s.app.runDue(t.Context(), dir, jobs[:1], time.Now().Add(time.Hour))
	h := s.history()
	if r := h.Job("prune"); r.LastGood.IsZero() || r.LastError != "" || s.packs() >= before {
		t.Errorf("history %+v, %d bytes before, %d after", r, before, s.packs())
	}
}
