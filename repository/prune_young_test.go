package repository

import (
	"strings"
	"testing"
	"time"

	"github.com/ripplebak/ripplebak/storage"
	"github.com/ripplebak/ripplebak/storage/storagetest"
)

func TestYoungPacks(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	const day = 24 * time.Hour
	for _, c := range []struct {
		opt    PruneOptions
		stored time.Time
		want   string
	}{
		{PruneOptions{}, now, ""},
		{PruneOptions{KeepUndated: true}, time.Time{}, ""},
		{PruneOptions{KeepYoung: 2 * day}, now.Add(-2*day + 1), "it is less than 2 days old: a backup"},
		{PruneOptions{KeepYoung: 36 * time.Hour}, now, "it is less than 36h0m0s old"},
		{PruneOptions{KeepYoung: 2 * day}, now.Add(-2 * day), ""},
		{PruneOptions{KeepYoung: 2 * day}, now.Add(time.Hour), "less than 2 days"}, // clocks differ
		{PruneOptions{KeepYoung: 2 * day}, now.Add(25 * time.Hour), ""},
		{PruneOptions{KeepYoung: 2 * day}, time.Time{}, ""},
		{PruneOptions{KeepYoung: 2 * day, KeepUndated: true}, time.Time{}, "when it was stored is not known"},
		{PruneOptions{KeepYoung: 2 * day, KeepUndated: true}, now.Add(25 * time.Hour), "not known"},
		{PruneOptions{KeepYoung: 2 * day, KeepUndated: true}, now.Add(-3 * day), ""},
	} {
		got := c.opt.young(c.stored, now)
		if (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%+v, stored %s: %q, want %q", c.opt, c.stored, got, c.want)
		}
	}
}

// TestPruneKeepsWhatABackupMayGoOnWith: what a backup has put into an index that
// was killed then is there for the next one, until it is too old.
func TestPruneKeepsWhatABackupMayGoOnWith(t *testing.T) {
	bubbleMemory(t, 2, func(t *testing.T, mem *storagetest.Memory) {
		all := make(kept)
		files := map[string][]byte{"small": testData(1, 5000)}
		all[backup(t, testOpen(t, mem, Options{}), mem.Writer(), files)] = files
		half := map[string][]byte{"huge": randomData(77, 300_000)}
		store := func() Stats {
			t.Helper()
			r := testOpen(t, mem, Options{})
			if err := r.LoadIndex(t.Context()); err != nil {
				t.Fatal(err)
			}
			w := testWriter(t, r, mem.Writer(), WriterOptions{})
			defer closeWriter(t, w)
			mustWait(t, mustWrite(t, w, CutFile, half["huge"]))
			if err := w.Flush(t.Context()); err != nil { // and no snapshot
				t.Fatal(err)
			}
			return w.Stats()
		}
		store()
		packs := len(mem.Handles(storage.PackFile))
		time.Sleep(47 * time.Hour)
		opt := PruneOptions{MaxUnused: UnusedBytes(0), KeepYoung: 48 * time.Hour}
		plan, res := mustPrune(t, mem, opt)
		var text strings.Builder
		if err := plan.Print(&text); err != nil {
			t.Fatal(err)
		}
		if plan.Count(PruneKeep) == 0 || plan.Young < 300_000 || plan.Stays != plan.Young || plan.Freed != 0 || res != (PruneResult{}) || len(mem.Handles(storage.PackFile)) != packs {
			t.Errorf("%+v, %+v", plan, res)
		}
		if !strings.Contains(text.String(), "no snapshot needs it, but it is less than 2 days old: a backup that did not end may go on with it") {
			t.Errorf("printed %s", &text)
		}
		if again := store(); again.BlobsNew != 0 {
			t.Errorf("%d blobs were stored again", again.BlobsNew)
		}
		wantWhole(t, mem, all)
		time.Sleep(2 * time.Hour)
		if plan, res = mustPrune(t, mem, opt); plan.Count(PruneKeep) > 0 || res.BytesRemoved < 300_000 {
			t.Errorf("old: %+v, %+v", plan, res)
		}
		wantWhole(t, mem, all)
	})
}
