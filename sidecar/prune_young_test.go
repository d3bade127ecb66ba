package sidecar

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/ripplebak/ripplebak/sidecar/state"
)

// storedBefore makes the packs of a repository look as if they had been stored
// so long ago.
func (s *shop) storedBefore(repo string, age time.Duration) {
	s.t.Helper()
	at := time.Now().Add(-age)
	err := filepath.WalkDir(s.path(repo, "data"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		return os.Chtimes(path, at, at)
	})
	if err != nil {
		s.t.Fatal(err)
	}
}

// TestScheduledPruneKeepsWhatAKilledRunStored: the run after it does not start
// over, while by hand it is freed at once.
func TestScheduledPruneKeepsWhatAKilledRunStored(t *testing.T) {
	const day = 24 * time.Hour
	for name, c := range map[string]struct {
		age    time.Duration
		good   bool // a run of ours since
		byHand bool
		kept   bool
	}{
		"at once":                 {kept: true},
		"a week later":            {age: 7 * day, kept: true},
		"too late":                {age: 15 * day},
		"another's":               {age: day, good: true, kept: true},
		"another's, after a week": {age: 7 * day, good: true},
		"by hand":                 {byHand: true},
	} {
		s := newShop(t)
		s.service("app", map[string]string{"enable": "true"}, "data")
		s.cheap()
		s.mustBackup()
		s.fill("huge", 400_000)
		ctx, cancel := context.WithCancelCause(t.Context())
		killed := errors.New("killed")
		hit := s.crashAt("after-index", func() { cancel(killed) })
		if _, err := s.app.Backup(ctx, BackupOptions{}); err == nil || !hit() || s.packs() < 400_000 || s.snapshots() != 1 {
			t.Fatalf("%s: %v, passed: %v", name, err, hit())
		}
		s.app.Crash = nil
		s.storedBefore("repo", c.age)
		if c.good {
			err := s.host().state.UpdateHistory(func(h *state.History) { h.LastError, h.LastGood = "", time.Now() })
			if err != nil {
				t.Fatal(err)
			}
		}
		var err error
		if c.byHand {
			_, err = s.app.Prune(t.Context(), PruneOptions{})
		} else {
			err = s.app.scheduledPrune(t.Context(), turn{began: time.Now()})
		}
		if err != nil || (s.packs() > 400_000) != c.kept {
			t.Errorf("%s: %v, %d bytes are left", name, err, s.packs())
		}
		report, err := s.app.Backup(t.Context(), BackupOptions{})
		if err != nil || (report.BytesStored < 200_000) != c.kept {
			t.Errorf("%s: the next run stored %d bytes, %v", name, report.BytesStored, err)
		}
	}
}

// TestHowYoungPacksAre: by what is known of the runs, and of the copies.
func TestHowYoungPacksAre(t *testing.T) {
	s := newShop(t)
	dir := s.host().state
	now := time.Now()
	ago := func(days int) time.Time { return now.AddDate(0, 0, -days) }
	copied := target{name: "copy"}
	for name, c := range map[string]struct {
		h       state.History
		of      target
		age     time.Duration
		undated bool
	}{
		"good":               {state.History{Runs: state.Runs{LastGood: ago(1)}}, target{}, keepYoung, false},
		"failed":             {state.History{Runs: state.Runs{LastGood: ago(1), LastError: "x"}}, target{}, keepYoungFailing, true},
		"died":               {state.History{Runs: state.Runs{ServingSince: ago(1), Unfinished: 1}}, target{}, keepYoungFailing, true},
		"failing for long":   {state.History{Runs: state.Runs{LastGood: ago(15), LastError: "x"}}, target{}, keepYoungFailing, false},
		"copy, up to date":   {state.History{Runs: state.Runs{LastGood: ago(15), LastError: "x"}}, copied, keepYoung, false},
		"copy, behind":       {state.History{Copies: map[string]state.CopyHistory{"copy": {BehindSince: ago(3)}}}, copied, keepYoungFailing, true},
		"copy, far behind":   {state.History{Copies: map[string]state.CopyHistory{"copy": {BehindSince: ago(15)}}}, copied, keepYoungFailing, false},
		"another copy is so": {state.History{Copies: map[string]state.CopyHistory{"attic": {BehindSince: ago(3)}}}, copied, keepYoung, false},
	} {
		if err := dir.UpdateHistory(func(h *state.History) { *h = c.h }); err != nil {
			t.Fatal(err)
		}
		if age, undated := s.app.youngPacks(dir, c.of); age != c.age || undated != c.undated {
			t.Errorf("%s: %s, %v", name, age, undated)
		}
	}
	if age, undated := s.app.youngPacks(nil, target{}); age != keepYoung || undated {
		t.Errorf("without a state volume: %s, %v", age, undated)
	}
}
