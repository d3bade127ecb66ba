package repository

import (
	"errors"
	"sync"
	"testing"

	"github.com/ripplebak/ripplebak/storage"
	"github.com/ripplebak/ripplebak/storage/storagetest"
)

// pruneUntil prunes, and asks it to stop once the progress is such.
func pruneUntil(t *testing.T, mem *storagetest.Memory, enough func(PruneProgress) bool) (PruneResult, error) {
	t.Helper()
	stop := make(chan struct{})
	var once sync.Once
	_, res, err := prune(t.Context(), mem, PruneOptions{MaxUnused: UnusedBytes(0), Stop: stop, Progress: func(p PruneProgress) {
		if enough(p) {
			once.Do(func() { close(stop) })
		}
	}})
	return res, err
}

// TestF39_PruneStoppedAnywhereGoesOn: one that is asked to stop, after each pack
// that it copies and each that it removes, loses nothing, keeps what it has
// copied, and the next one ends the work.
func TestF39_PruneStoppedAnywhereGoesOn(t *testing.T) {
	bubbleMemory(t, 2, func(t *testing.T, mem *storagetest.Memory) {
		all := agedRepository(t, mem)
		whole, _ := mustPrune(t, mem.Copy(), PruneOptions{MaxUnused: UnusedBytes(0)})
		packs, goes := whole.Count(PruneRepack), whole.Count(PruneRepack)+whole.Count(PruneRemove)
		if packs < 2 || goes < 4 {
			t.Fatalf("%d packs to copy, %d to remove", packs, goes)
		}
		stopped := 0
		for n := 1; n < packs+goes; n++ {
			left := mem.Copy()
			copied := 0
			var before int64
			_, err := pruneUntil(t, left, func(p PruneProgress) bool {
				if p.Repacked > before {
					copied, before = copied+1, p.Repacked
				}
				return copied+p.Removed >= n
			})
			if err != nil && !errors.Is(err, ErrPruneStopped) {
				t.Fatalf("stopped after step %d: %v", n, err)
			}
			if err != nil {
				stopped++
			}
			if locks := left.Handles(storage.LockFile); len(locks) > 0 {
				t.Errorf("step %d: left locked by %v", n, locks)
			}
			wantWhole(t, left, all)
			again, _ := mustPrune(t, left, PruneOptions{MaxUnused: UnusedBytes(0)})
			if report := wantWhole(t, left, all); report.Notes > 0 {
				t.Errorf("step %d: afterwards %+v", n, report.Findings)
			}
			if n > packs && (again.Count(PruneRepack) > 0 || again.Count(PruneRemove) >= goes) {
				t.Errorf("step %d: left to do %v", n, again.Steps)
			}
		}
		if stopped < packs+goes/2 {
			t.Errorf("of %d prunes %d were stopped", packs+goes-1, stopped)
		}
	})
}

// TestPruneStoppedKeepsWhatItCopied: prunes that are stopped again and again
// come to an end, and copy nothing twice.
func TestPruneStoppedKeepsWhatItCopied(t *testing.T) {
	bubbleMemory(t, 2, func(t *testing.T, mem *storagetest.Memory) {
		all := make(kept)
		r := testOpen(t, mem, Options{})
		d, unlock := mustDelete(t, r, mem)
		const packs = 6
		for i := range packs {
			stays := map[string][]byte{"stays": testData(uint64(50+i), 90_000)}
			both := map[string][]byte{"stays": stays["stays"], "goes": testData(uint64(70+i), 90_000)}
			old := backup(t, r, mem.Writer(), both)
			all[backup(t, r, mem.Writer(), stays)] = stays
			if err := d.RemoveSnapshot(t.Context(), old); err != nil {
				t.Fatal(err)
			}
		}
		unlock()
		plan, _ := mustPrune(t, mem.Copy(), PruneOptions{MaxUnused: UnusedBytes(0)})
		if plan.Count(PruneRepack) < packs {
			t.Fatalf("%d packs to copy", plan.Count(PruneRepack))
		}
		_, wanted := plan.Repacked()
		var stored int64
		turns := 1
		for ; turns < 3*packs; turns++ {
			res, err := pruneUntil(t, mem, func(p PruneProgress) bool { return p.Repacked > 0 })
			stored += res.BytesStored
			if err == nil {
				break
			}
			if !errors.Is(err, ErrPruneStopped) {
				t.Fatal(err)
			}
			wantWhole(t, mem, all)
		}
		if turns < 3 || turns == 3*packs || stored > wanted*3/2 {
			t.Errorf("after %d turns %d bytes were stored, of %d", turns, stored, wanted)
		}
		if report := wantWhole(t, mem, all); report.Notes > 0 {
			t.Errorf("afterwards %+v", report)
		}
	})
}
