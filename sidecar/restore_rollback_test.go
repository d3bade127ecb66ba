package sidecar

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ripplebak/ripplebak/manifest"
	"github.com/ripplebak/ripplebak/sidecar/state"
)

func rollback() RestoreOptions { return RestoreOptions{Rollback: true} }

// restored is a saved shop whose data was restored.
func restored(t *testing.T) (*shop, *RestoreReport) {
	t.Helper()
	s := saved(t)
	report, err := s.app.Restore(t.Context(), latest())
	if err != nil || s.read("data") != "content of data" {
		t.Fatal(s.read("data"), err)
	}
	return s, report
}

func (s *shop) rolledBack(want string) *RestoreReport {
	s.t.Helper()
	report, err := s.app.Restore(s.t.Context(), rollback())
	if err != nil {
		s.t.Fatalf("%+v, %v", report, err)
	}
	if got := s.read("data"); got != want {
		s.t.Errorf("the file holds %q, want %q", got, want)
	}
	s.wantQuiet()
	return report
}

func TestRollbackUndoesTheLastRestore(t *testing.T) {
	s, first := restored(t)
	s.write("data", "written since")
	extra := s.path("volumes", "shop_data", "extra")
	if err := os.WriteFile(extra, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	report := s.rolledBack("changed")
	if report.Plan.Undoes != first.ID || report.Safety == "" || report.Safety == first.Safety || len(report.Items) != 1 {
		t.Errorf("report %+v of %+v", report, first)
	}
	if _, err := os.Stat(extra); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("what was not there before is there: %v", err)
	}
	// Twice undoes the undoing.
	s.rolledBack("written since")
	if _, err := os.Stat(extra); err != nil {
		t.Error(err)
	}
	s.rolledBack("changed")
}

func TestRollbackChangesNothingInADryRun(t *testing.T) {
	s, _ := restored(t)
	snapshots, before := s.snapshots(), s.history()
	opt := rollback()
	opt.DryRun = true
	report, err := s.app.Restore(t.Context(), opt)
	if err != nil || len(report.Plan.Items) != 1 || report.Plan.Items[0].Key != "volume data" {
		t.Errorf("%+v, %v", report, err)
	}
	if s.read("data") != "content of data" || s.snapshots() != snapshots || s.history().LastRestore.Restore != before.LastRestore.Restore {
		t.Error("something was changed")
	}
	s.wantQuiet()
}

func TestRollbackOfNothing(t *testing.T) {
	s := saved(t)
	fails := func(want string) {
		t.Helper()
		report, err := s.app.Restore(t.Context(), rollback())
		if !errors.Is(err, ErrNothingToRollBack) || !strings.Contains(err.Error(), want) || report.Plan != nil {
			t.Errorf("%+v, %v, want %q", report, err, want)
		}
		s.wantQuiet()
	}
	fails("no restore is known here")
	opt := latest()
	opt.NoSafety = true
	if _, err := s.app.Restore(t.Context(), opt); err != nil {
		t.Fatal(err)
	}
	fails("--no-safety-snapshot")
	s.write("data", "changed again")
	report, err := s.app.Restore(t.Context(), latest())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(s.path("repo", "snapshots", report.Safety)); err != nil {
		t.Fatal(err)
	}
	fails("is not in the repository any more")
	s.app.From = "copy"
	if _, err := s.app.Restore(t.Context(), rollback()); err == nil || !strings.Contains(err.Error(), "without --from") {
		t.Error(err)
	}
}

// TestRollbackWithoutItsState goes by the newest safety snapshot of this host.
func TestRollbackWithoutItsState(t *testing.T) {
	s, _ := restored(t)
	if err := os.RemoveAll(s.path("state")); err != nil {
		t.Fatal(err)
	}
	report := s.rolledBack("changed")
	if len(report.Plan.Warnings) == 0 || !strings.Contains(report.Plan.Warnings[0], "no record of a restore") {
		t.Errorf("%+v", report.Plan)
	}
	if err := os.RemoveAll(s.path("state")); err != nil {
		t.Fatal(err)
	}
	s.app.Settings.Host = "another"
	if _, err := s.app.Restore(t.Context(), rollback()); !errors.Is(err, ErrNothingToRollBack) {
		t.Errorf("the safety snapshot of another host is taken: %v", err)
	}
}

// TestRollbackLeavesWhatTheRestoreDid: items, paths, and what was excluded.
func TestRollbackLeavesWhatTheRestoreLeft(t *testing.T) {
	s := newShop(t)
	s.service("app", map[string]string{"enable": "true", "exclude": "/cache"}, "data")
	s.service("web", map[string]string{"enable": "true"}, "other")
	cache := s.path("volumes", "shop_data", "cache")
	write := func(path, content string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write(cache, "first")
	if _, err := s.app.Backup(t.Context(), BackupOptions{}); err != nil {
		t.Fatal(err)
	}
	s.write("data", "changed")
	s.write("other", "changed")
	if _, err := s.app.Restore(t.Context(), RestoreOptions{Snapshot: "latest", Volumes: []string{"data"}}); err != nil {
		t.Fatal(err)
	}
	write(cache, "second")
	s.write("other", "changed since")
	s.rolledBack("changed")
	if b, err := os.ReadFile(cache); err != nil || string(b) != "second" {
		t.Errorf("what is excluded holds %q, %v", b, err)
	}
	if got := s.read("other"); got != "changed since" {
		t.Errorf("a volume that was not restored holds %q", got)
	}
	// A path that was there before, and one that was not.
	beside := s.path("volumes", "shop_data", "beside")
	write(s.path("volumes", "shop_data", "new"), "new")
	s.app.Now = func() time.Time { return time.Now().Add(time.Hour) }
	if _, err := s.app.Backup(t.Context(), BackupOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(s.path("volumes", "shop_data", "new")); err != nil {
		t.Fatal(err)
	}
	s.write("data", "before the restore of a path")
	opt := RestoreOptions{Snapshot: "latest", Volumes: []string{"data"}, Paths: []string{"file", "new"}}
	if _, err := s.app.Restore(t.Context(), opt); err != nil || s.read("data") != "changed" {
		t.Fatal(s.read("data"), err)
	}
	write(beside, "written since")
	report := s.rolledBack("before the restore of a path")
	if _, err := os.Stat(beside); err != nil || !strings.Contains(strings.Join(report.Plan.Warnings, "\n"), "/new of volume data stays") {
		t.Errorf("%v, %+v", err, report.Plan.Warnings)
	}
	if _, err := os.Stat(s.path("volumes", "shop_data", "new")); err != nil {
		t.Error(err)
	}
}

// TestRollbackLeavesAVolumeThatTheRestoreMade, and says so.
func TestRollbackLeavesAVolumeThatTheRestoreMade(t *testing.T) {
	s := newShop(t)
	s.service("app", map[string]string{"enable": "true"}, "data")
	s.service("web", map[string]string{"enable": "true"}, "other")
	if _, err := s.app.Backup(t.Context(), BackupOptions{}); err != nil {
		t.Fatal(err)
	}
	s.f.RemoveVolume("shop_other")
	if err := os.Remove(s.path("volumes", "shop_other", "file")); err != nil {
		t.Fatal(err)
	}
	s.write("data", "changed")
	if _, err := s.app.Restore(t.Context(), latest()); err != nil || s.read("other") != "content of other" {
		t.Fatal(err)
	}
	report := s.rolledBack("changed")
	if got := s.read("other"); got != "content of other" || !strings.Contains(strings.Join(report.Plan.Warnings, "\n"), "volume other stays as it is: nothing was there") || len(report.LeftAlone) != 1 {
		t.Errorf("%q, %+v", got, report)
	}
}

// TestVolumeThatWasMadeAndHoldsSomethingIsSavedFirst: by its options it is a
// directory that the host has already.
func TestVolumeThatWasMadeAndHoldsSomethingIsSavedFirst(t *testing.T) {
	s := newShop(t)
	s.service("app", map[string]string{"enable": "true"}, "data")
	if _, err := s.app.Backup(t.Context(), BackupOptions{}); err != nil {
		t.Fatal(err)
	}
	s.f.RemoveVolume("shop_data")
	theirs := s.path("volumes", "shop_data", "theirs")
	if err := os.WriteFile(theirs, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	report, err := s.app.Restore(t.Context(), latest())
	if !errors.Is(err, ErrRestoreFailed) || !strings.Contains(report.Items[0].Error, "restore again, which saves it first") {
		t.Errorf("%v, %+v", err, report)
	}
	if _, err := os.Stat(theirs); err != nil {
		t.Error(err)
	}
	if report, err = s.app.Restore(t.Context(), latest()); err != nil || report.Safety == "" {
		t.Fatalf("%v, %+v", err, report)
	}
	if _, err := os.Stat(theirs); err == nil {
		t.Error("what is not in the snapshot stays")
	}
	s.wantQuiet()
}

// TestRestoreReportsWhatItProved of a volume of which one file is damaged.
func TestRestoreReportsWhatItProved(t *testing.T) {
	s := newShop(t)
	s.service("app", map[string]string{"enable": "true", "exclude": "/cache"}, "data")
	for i := range 100 {
		if err := os.WriteFile(s.path("volumes", "shop_data", fmt.Sprintf("f%d", i)), bytes.Repeat([]byte{byte(i)}, 1000), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	time.Sleep(20 * time.Millisecond) // what is as young as the walk is not trusted
	if _, err := s.app.Backup(t.Context(), BackupOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(s.path("volumes", "shop_data", "cache"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s.write("data", "changed of data") // as long as before
	report, err := s.app.Restore(t.Context(), latest())
	if err != nil {
		t.Fatal(err)
	}
	it := report.Items[0]
	if it.Fetched != 15 || it.Bytes != 15 || it.Compared != 1 || it.Intact != 100 || report.ID == "" || it.Snapshot == "" {
		t.Errorf("more was read or written than the damage: %+v", it)
	}
	if len(it.LeftAlone) != 1 || it.LeftAlone[0] != "/cache: excluded from the backup" || !strings.HasSuffix(report.Undo, "restore --rollback") {
		t.Errorf("%+v", report)
	}
	opt := latest()
	opt.VerifyAll = true
	if report, err = s.app.Restore(t.Context(), opt); err != nil || report.Items[0].Compared != 101 || report.Items[0].Intact != 0 || report.Items[0].Bytes != 0 {
		t.Errorf("%+v, %v", report, err)
	}
}

// TestRollbackNamesWhatTheRestoreMade, and leaves it.
func TestRollbackNamesWhatTheRestoreMade(t *testing.T) {
	s := saved(t)
	if err := os.RemoveAll(s.path("volumes", "shop_data")); err != nil {
		t.Fatal(err)
	}
	last := state.LastRestore{Project: "shop", Finished: time.Now(), States: map[string]state.ItemState{"volume data": state.ItemRestored}}
	last.Restore = "r"
	last.Items = append(last.Items, overwrittenItem("volume data"))
	if err := state.At(s.path("state")).UpdateHistory(func(h *state.History) { h.LastRestore = &last }); err != nil {
		t.Fatal(err)
	}
	if _, err := s.app.Restore(t.Context(), rollback()); !errors.Is(err, ErrNothingToRollBack) || !strings.Contains(err.Error(), "what it has made stays: volume data") {
		t.Error(err)
	}
	// One that was killed is no reason to call it undone.
	if err := state.At(s.path("state")).UpdateHistory(func(h *state.History) { h.LastRestore.Finished, h.LastRestore.NoSafety = time.Time{}, true }); err != nil {
		t.Fatal(err)
	}
	if _, err := s.app.Restore(t.Context(), rollback()); !errors.Is(err, ErrNothingToRollBack) || !strings.Contains(err.Error(), "--no-safety-snapshot") {
		t.Error(err)
	}
}

// TestRollbackOfADumpThatIsFiles brings the server back upon its old data.
func TestRollbackOfADumpThatIsFiles(t *testing.T) {
	c := savedCache(t)
	if _, err := c.app.Restore(t.Context(), latest()); err != nil {
		t.Fatal(err)
	}
	c.wantCache(3)
	if _, err := c.app.Restore(t.Context(), rollback()); err != nil {
		t.Fatal(err)
	}
	c.wantCache(1)
	if _, err := c.app.Restore(t.Context(), rollback()); err != nil {
		t.Fatal(err)
	}
	c.wantCache(3)
}

// TestF22_RollbackOfWhatWasInterrupted: what the interruption left has its old
// data, which is said, and there is nothing more to undo.
func TestF22_RollbackOfWhatWasInterrupted(t *testing.T) {
	s := saved(t)
	interruption := errors.New("interrupted")
	ctx, cancel := context.WithCancelCause(t.Context())
	hit := s.crashAt("mid-restore", func() { cancel(interruption) })
	if _, err := s.app.Restore(ctx, latest()); !errors.Is(err, interruption) || !hit() {
		t.Fatal(err, hit())
	}
	s.app.Crash = nil
	if s.read("data") == "changed" {
		if _, err := s.app.Restore(t.Context(), rollback()); !errors.Is(err, ErrNothingToRollBack) || !strings.Contains(err.Error(), "the old data is in place") {
			t.Error(err)
		}
	} else {
		s.rolledBack("changed")
	}
	s.wantQuiet()
}

// TestF22_RollbackReversesTheJournal of a restore that was killed before its end.
func TestF22_RollbackReversesTheJournal(t *testing.T) {
	t.Run("killed", func(t *testing.T) { rollbackOfAJournal(t, true) })
	t.Run("not_settled", func(t *testing.T) { rollbackOfAJournal(t, false) })
}

func rollbackOfAJournal(t *testing.T, killed bool) {
	t.Helper()
	s, first := restored(t)
	// As if it had been killed before its renames were decided.
	s.write("data", "changed")
	staging := s.path("volumes", "shop_data", ".ripplebak-restore-"+first.ID)
	if err := os.MkdirAll(filepath.Join(staging, "new"), 0o700); err != nil {
		t.Fatal(err)
	}
	s.journal(state.Journal{Run: first.ID, Project: "shop", Volumes: []state.VolumeRestore{{ID: first.ID, Key: "volume data", Docker: "shop_data"}}})
	err := state.At(s.path("state")).UpdateHistory(func(h *state.History) {
		if killed {
			h.LastRestore.Finished = time.Time{}
		}
		h.LastRestore.States["volume data"] = state.ItemBegun
	})
	if err != nil {
		t.Fatal(err)
	}
	report := s.rolledBack("changed")
	if len(report.Items) != 0 || report.Safety != "" || len(report.Notes) != 1 || !strings.Contains(report.Notes[0], "the old data of volume data is in place") {
		t.Errorf("%+v", report)
	}
	if _, err := s.app.Restore(t.Context(), rollback()); !errors.Is(err, ErrNothingToRollBack) {
		t.Error(err)
	}
	// And forward again.
	if _, err := s.app.Restore(t.Context(), latest()); err != nil || s.read("data") != "content of data" {
		t.Error(s.read("data"), err)
	}
}

// TestRestoreThatCannotBeNotedTouchesNothing: else a rollback would undo the one
// before.
func TestRestoreThatCannotBeNotedTouchesNothing(t *testing.T) {
	s := saved(t)
	s.crashAt("after-snapshot", func() {
		for _, name := range []string{"history.json", "history.damaged.json"} {
			if err := os.RemoveAll(s.path("state", name)); err != nil {
				t.Error(err)
			}
			if err := os.MkdirAll(s.path("state", name, "x"), 0o700); err != nil {
				t.Error(err)
			}
		}
	})
	if _, err := s.app.Restore(t.Context(), latest()); err == nil || !strings.Contains(err.Error(), "nothing was touched") {
		t.Error(err)
	}
	if got := s.read("data"); got != "changed" {
		t.Errorf("the file holds %q", got)
	}
	s.wantQuiet()
}

func overwrittenItem(key string) manifest.OverwrittenItem {
	return manifest.OverwrittenItem{Key: key}
}
