package sidecar

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ripplebak/ripplebak/manifest"
	"github.com/ripplebak/ripplebak/plan"
	"github.com/ripplebak/ripplebak/sidecar/state"
)

// restoredTwo is a saved shop with two volumes that were both restored.
func restoredTwo(t *testing.T) (*shop, *RestoreReport) {
	t.Helper()
	s := newShop(t)
	s.service("app", stopLabels(), "data")
	s.service("web", stopLabels(), "other")
	if _, err := s.app.Backup(t.Context(), BackupOptions{}); err != nil {
		t.Fatal(err)
	}
	s.write("data", "changed")
	s.write("other", "changed")
	report, err := s.app.Restore(t.Context(), latest())
	if err != nil || s.read("data") != "content of data" || s.read("other") != "content of other" {
		t.Fatal(s.read("data"), s.read("other"), err)
	}
	return s, report
}

// wantRest asserts that a rollback brings the one volume back whose old data is
// not in place, and that only the next one undoes it.
func (s *shop) wantRest(undoes string) {
	s.t.Helper()
	report := s.rolledBack("changed")
	if got := s.read("other"); got != "changed" || len(report.Items) != 1 || report.Items[0].Key != "volume other" || report.Plan.Undoes != undoes {
		s.t.Errorf("the other holds %q; %+v", got, report)
	}
	s.rolledBack("changed")
	if got := s.read("other"); got != "content of other" {
		s.t.Errorf("the other holds %q", got)
	}
}

// TestRollbackLeavesWhatCouldNotBeReadAtBackup: what could not be read when the volume was
// saved was not touched by the restore, and what became of it since is not undone.
func TestRollbackLeavesWhatCouldNotBeReadAtBackup(t *testing.T) {
	s := saved(t)
	left := s.path("volumes", "shop_data", "left")
	write := func(content string) {
		t.Helper()
		if err := os.WriteFile(left, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("before")
	if _, err := s.app.Restore(t.Context(), RestoreOptions{Snapshot: "latest", KeepExtra: true}); err != nil {
		t.Fatal(err)
	}
	write("since")
	// As it is noted of a file that could not be read.
	err := state.At(s.path("state")).UpdateHistory(func(h *state.History) { h.LastRestore.Items[0].Unreadable = []string{"left"} })
	if err != nil {
		t.Fatal(err)
	}
	s.rolledBack("changed")
	if got, err := os.ReadFile(left); err != nil || string(got) != "since" {
		t.Errorf("%q, %v", got, err)
	}

	info := &manifest.VolumeInfo{Unreadable: []string{"left"}, UnreadableCount: 1}
	item := plan.RestoreItem{Key: "volume data", Source: plan.Source{Item: manifest.Item{Kind: manifest.Volume, Name: "data", VolumeInfo: info}}}
	r := &restore{plan: &plan.Restore{Items: []plan.RestoreItem{item}}}
	if over := r.overwrites(func(plan.RestoreItem) []string { return nil }); len(over.Items) != 1 || !slices.Equal(over.Items[0].Unreadable, info.Unreadable) {
		t.Errorf("noted: %+v", over)
	}
}

// TestRollbackThatFailedIsFinishedByTheNext: who runs it again, for one item was
// not brought back, wants that one, and not the others undone again.
func TestRollbackThatFailedIsFinishedByTheNext(t *testing.T) {
	s, first := restoredTwo(t)
	inTheWay := s.path("volumes", "shop_other", ".ripplebak-restore-another")
	hit := s.crashAt("after-stop", func() {
		if err := os.Mkdir(inTheWay, 0o700); err != nil {
			t.Error(err)
		}
	})
	report, err := s.app.Restore(t.Context(), rollback())
	if !errors.Is(err, ErrRestoreFailed) || !hit() || s.read("data") != "changed" || s.read("other") != "content of other" {
		t.Fatalf("%+v, %v", report, err)
	}
	if report.Undo != "" || !strings.Contains(err.Error(), "another one goes on with it") {
		t.Errorf("undone by %q: %v", report.Undo, err)
	}
	if err := os.Remove(inTheWay); err != nil {
		t.Fatal(err)
	}
	s.wantRest(first.ID)
}

// killedRollback makes it look as if a rollback had been killed that has
// restored so much.
func (s *shop) killedRollback(states map[string]state.ItemState) {
	s.t.Helper()
	err := state.At(s.path("state")).UpdateHistory(func(h *state.History) {
		undoes := *h.LastRestore
		l := *h.LastRestore
		l.Restore, l.Finished, l.Undoes, l.States = "killed", time.Time{}, &undoes, states
		h.LastRestore = &l
	})
	if err != nil {
		s.t.Fatal(err)
	}
}

// TestF22_RollbackThatWasKilledIsFinishedByTheNext, from wherever it was.
func TestF22_RollbackThatWasKilledIsFinishedByTheNext(t *testing.T) {
	t.Run("half", func(t *testing.T) {
		s, first := restoredTwo(t)
		s.write("data", "changed")
		s.killedRollback(map[string]state.ItemState{"volume data": state.ItemRestored})
		s.wantRest(first.ID)
	})
	t.Run("nothing", func(t *testing.T) {
		s, _ := restoredTwo(t)
		s.killedRollback(nil)
		if report := s.rolledBack("changed"); len(report.Items) != 2 || s.read("other") != "changed" {
			t.Errorf("%+v", report)
		}
	})
	t.Run("all", func(t *testing.T) {
		s, _ := restoredTwo(t)
		s.write("data", "changed")
		s.write("other", "changed")
		s.killedRollback(map[string]state.ItemState{"volume data": state.ItemRestored, "volume other": state.ItemRestored})
		if report := s.rolledBack("changed"); len(report.Items) != 0 || len(report.Notes) != 1 || s.read("other") != "changed" {
			t.Errorf("%+v", report)
		}
	})
}

// TestItemThatCannotBeNotedIsNotTouched: a rollback would leave it as it is, and
// call it undone.
func TestItemThatCannotBeNotedIsNotTouched(t *testing.T) {
	s := saved(t)
	history := s.path("state", "history.json")
	hit := s.crashAt("after-stop", func() {
		for _, name := range []string{"history.json", "history.damaged.json"} {
			if err := os.RemoveAll(s.path("state", name)); err != nil {
				t.Error(err)
			}
			if err := os.MkdirAll(s.path("state", name, "x"), 0o700); err != nil {
				t.Error(err)
			}
		}
	})
	report, err := s.app.Restore(t.Context(), latest())
	if !errors.Is(err, ErrRestoreFailed) || !hit() || len(report.Items) != 1 || !strings.Contains(report.Items[0].Error, "it was not touched") {
		t.Errorf("%+v, %v", report, err)
	}
	if got := s.read("data"); got != "changed" {
		t.Errorf("the file holds %q", got)
	}
	if err := os.RemoveAll(history); err != nil {
		t.Fatal(err)
	}
}

// TestRollbackLooksForInterruptionsInItsTurn: a restore that is under way, and
// comes to its end meanwhile, was not interrupted.
func TestRollbackLooksForInterruptionsInItsTurn(t *testing.T) {
	s, _ := restored(t)
	h := s.host()
	restored, err := s.app.lockRun(t.Context(), h, h.state, "r", 0)
	if err != nil {
		t.Fatal(err)
	}
	finish := func(at time.Time) {
		if err := h.state.UpdateHistory(func(h *state.History) { h.LastRestore.Finished = at }); err != nil {
			t.Error(err)
		}
	}
	finish(time.Time{})
	over := make(chan error, 1)
	go func() {
		time.Sleep(300 * time.Millisecond)
		finish(time.Now())
		over <- restored()
	}()
	release, found, err := s.app.beginRollback(t.Context(), h, "id", time.Minute)
	if err := errors.Join(err, <-over); err != nil {
		t.Fatal(err)
	}
	if err := release(); err != nil || found.restore != "" {
		t.Errorf("%+v, %v", found, err)
	}
}
