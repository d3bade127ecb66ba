package repository

import (
	"bytes"
	"strings"
	"testing"

	"github.com/ripplebak/ripplebak/storage"
	"github.com/ripplebak/ripplebak/storage/storagetest"
)

func memorySize(m *storagetest.Memory, k storage.Kind) (n int64) {
	for _, h := range m.Handles(k) {
		data, _ := m.Bytes(h)
		n += int64(len(data))
	}
	return n
}

// TestPrune: what no snapshot needs goes, every kept snapshot stays whole, and
// the next prune finds nothing to do.
func TestPrune(t *testing.T) {
	for _, version := range []uint{1, 2} {
		bubbleMemory(t, version, func(t *testing.T, mem *storagetest.Memory) {
			all := agedRepository(t, mem)
			before := memorySize(mem, storage.PackFile)
			p, res := mustPrune(t, mem, PruneOptions{MaxUnused: UnusedBytes(0)})
			report := wantWhole(t, mem, all)
			after := memorySize(mem, storage.PackFile)
			var b bytes.Buffer
			if err := p.Print(&b); err != nil {
				t.Error(err)
			}
			if p.Bytes != before || p.Snapshots != 3 || before-after != res.BytesRemoved-res.BytesStored || p.Stays != 0 {
				t.Errorf("plan: %s\nresult %+v, %d bytes before, %d after", &b, res, before, after)
			}
			if report.Notes > 0 {
				t.Errorf("check: %+v", report)
			}
			for _, want := range []string{"no snapshot needs it", "no snapshot needs part of it", "part of it is in other packs too",
				"no index: left by a run that did not end", "packs go that it names", "frees "} {
				if !strings.Contains(b.String(), want) {
					t.Errorf("no %q in the plan:\n%s", want, &b)
				}
			}
			p, _ = mustPrune(t, mem, PruneOptions{MaxUnused: UnusedBytes(0)})
			if len(p.Steps) != 0 {
				t.Errorf("a second prune finds %+v", p.Steps)
			}
		})
	}
}

// bubbleMemory runs a test under a clock of its own, with a fresh repository.
func bubbleMemory(t *testing.T, version uint, fn func(t *testing.T, mem *storagetest.Memory)) {
	t.Helper()
	bubble(t, func(t *testing.T, _ *Repository, _ *storagetest.Faulty, _ *storagetest.Memory) {
		mem := storagetest.NewMemory()
		testInit(t, mem, InitOptions{Version: version})
		fn(t, mem)
	})
}
