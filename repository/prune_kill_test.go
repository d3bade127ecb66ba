package repository

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/ripplebak/ripplebak/storage"
	"github.com/ripplebak/ripplebak/storage/storagetest"
)

// pruneOps is how many operations a prune of the store takes.
func pruneOps(t *testing.T, mem *storagetest.Memory) int {
	t.Helper()
	f := storagetest.NewFaulty(t, mem.Copy())
	ops := f.Arm(storagetest.Fault{Times: -1, Act: storagetest.Call})
	mustPrune(t, f, PruneOptions{MaxUnused: UnusedBytes(0)})
	return ops.Hits()
}

// dropLocks removes the locks of those who were killed, as time would.
func dropLocks(mem *storagetest.Memory) {
	for _, h := range mem.Handles(storage.LockFile) {
		mem.Delete(h)
	}
}

// TestF39_PruneKilledAtEachOperation: a prune after whose nth operation the
// storage answers no more, or before it, leaves every snapshot whole; the next
// one ends the work, and loses nothing either.
func TestF39_PruneKilledAtEachOperation(t *testing.T) {
	bubbleMemory(t, 2, func(t *testing.T, mem *storagetest.Memory) {
		all := agedRepository(t, mem)
		ops := pruneOps(t, mem)
		if ops < 40 {
			t.Fatalf("a prune takes %d operations only", ops)
		}
		removed := 0
		for _, act := range []storagetest.Action{storagetest.Fail, storagetest.Lose} {
			for nth := 1; nth <= ops; nth++ {
				// A lost answer leaves what the next one's failure finds.
				if act == storagetest.Lose && nth%4 != 0 || testing.Short() && nth%5 != 0 {
					continue
				}
				left := mem.Copy()
				f := storagetest.NewFaulty(t, left)
				kill := f.Arm(storagetest.Fault{Nth: nth, Times: -1, Act: act})
				_, _, err := prune(t.Context(), f, PruneOptions{MaxUnused: UnusedBytes(0)})
				if !errors.Is(err, storagetest.ErrInjected) || kill.Hits() == 0 {
					t.Fatalf("operation %d: %v, %d hits", nth, err, kill.Hits())
				}
				dropLocks(left)
				wantWhole(t, left, all)
				if len(left.Handles(storage.PackFile)) < len(mem.Handles(storage.PackFile)) {
					removed++
				}
				mustPrune(t, left, PruneOptions{MaxUnused: UnusedBytes(0)})
				report := wantWhole(t, left, all)
				p, _ := mustPrune(t, left, PruneOptions{MaxUnused: UnusedBytes(0)})
				if len(p.Steps) > 0 || report.Notes > 0 {
					t.Errorf("operation %d: left to do %v, notes %+v", nth, p.Steps, report.Findings)
				}
				if t.Failed() {
					t.Fatalf("killed at operation %d of %d, action %d", nth, ops, act)
				}
			}
		}
		if removed == 0 {
			t.Error("no kill came after a pack was removed")
		}
	})
}

// TestF39_ResticAfterAKilledPrune: stock restic finds what a killed prune left
// without an error, and restores it.
func TestF39_ResticAfterAKilledPrune(t *testing.T) {
	if testing.Short() {
		t.Skip("it runs restic many times")
	}
	restic := needRestic(t)
	left := make(map[int]*storagetest.Memory)
	var all kept
	bubbleMemory(t, 2, func(t *testing.T, mem *storagetest.Memory) {
		all = agedRepository(t, mem)
		ops := pruneOps(t, mem)
		for nth := ops / 4; nth <= ops; nth += 3 {
			m := mem.Copy()
			f := storagetest.NewFaulty(t, m)
			f.Arm(storagetest.Fault{Nth: nth, Times: -1, Act: storagetest.Lose})
			if _, _, err := prune(t.Context(), f, PruneOptions{MaxUnused: UnusedBytes(0)}); !errors.Is(err, storagetest.ErrInjected) {
				t.Fatal(err)
			}
			dropLocks(m)
			left[nth] = m
		}
	})
	for nth, m := range left {
		t.Run(fmt.Sprint(nth), func(t *testing.T) {
			dir := export(t, m)
			restic(dir, "check", "--read-data")
			restic(dir, "prune", "--max-unused", "0")
			restic(dir, "check", "--read-data")
			wantRestored(t, restic, dir, all)
		})
	}
}

// TestPruneCrashPoint: the named point is passed after each stage, and what a
// kill there leaves is whole.
func TestPruneCrashPoint(t *testing.T) {
	bubbleMemory(t, 2, func(t *testing.T, mem *storagetest.Memory) {
		all := agedRepository(t, mem)
		var mu sync.Mutex
		var states []*storagetest.Memory
		m := mem.Copy()
		opt := PruneOptions{MaxUnused: UnusedBytes(0), CrashPoint: func(name string) {
			if name != "mid-prune" {
				t.Errorf("passed %q", name)
			}
			mu.Lock()
			defer mu.Unlock()
			states = append(states, m.Copy())
		}}
		p, _ := mustPrune(t, m, opt)
		if want := 3 + p.Count(PruneRepack) + p.Count(PruneRemove); len(states) != want {
			t.Fatalf("passed %d times, want %d", len(states), want)
		}
		for _, s := range states {
			dropLocks(s)
			wantWhole(t, s, all)
		}
	})
}

// TestPruneOfLockedFiles: what the storage does not let go of stays, with all
// that an index names which is still there; a later prune removes it.
func TestPruneOfLockedFiles(t *testing.T) {
	for _, kind := range []storage.Kind{storage.PackFile, storage.IndexFile} {
		bubbleMemory(t, 2, func(t *testing.T, mem *storagetest.Memory) {
			all := agedRepository(t, mem)
			f := storagetest.NewFaulty(t, mem)
			locked := f.Arm(storagetest.Fault{Op: storagetest.OpRemove, Kind: kind, Times: 2, Err: storage.ErrRetained})
			p, res := mustPrune(t, f, PruneOptions{MaxUnused: UnusedBytes(0)})
			if locked.Hits() != 2 || res.PacksLocked == 0 || res.BytesLocked == 0 || (res.IndexesLocked == 2) != (kind == storage.IndexFile) ||
				res.PacksLocked+res.PacksRemoved != p.Count(PruneRepack)+p.Count(PruneRemove) {
				t.Errorf("%s: %+v", kind, res)
			}
			wantWhole(t, mem, all)
			mustPrune(t, mem, PruneOptions{MaxUnused: UnusedBytes(0)})
			if report := wantWhole(t, mem, all); report.Notes > 0 {
				t.Errorf("%s: afterwards %+v", kind, report)
			}
		})
	}
}
