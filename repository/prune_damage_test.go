package repository

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/ripplebak/ripplebak/storage"
	"github.com/ripplebak/ripplebak/storage/storagetest"
)

// wantUntouched demands that a prune is refused, names what is the matter, and
// has removed and stored nothing that anything relies on.
func wantUntouched(t *testing.T, mem *storagetest.Memory, want ...string) {
	t.Helper()
	before := allHandles(mem)
	_, _, err := prune(t.Context(), mem, PruneOptions{MaxUnused: UnusedBytes(0)})
	var refused *PruneRefusedError
	if !errors.Is(err, ErrPruneRefused) || !errors.As(err, &refused) || refused.Count == 0 {
		t.Fatalf("prune: %v", err)
	}
	for _, w := range append(want, "check", "repair") {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("no %q in: %v", w, err)
		}
	}
	after := allHandles(mem)
	for _, h := range before {
		if !slices.Contains(after, h) {
			t.Errorf("%s was removed", h)
		}
	}
}

func allHandles(mem *storagetest.Memory) (out []storage.Handle) {
	for _, k := range storage.Kinds() {
		out = append(out, mem.Handles(k)...)
	}
	return out
}

// places returns where the blobs lie that a kept snapshot needs.
func places(t *testing.T, mem *storagetest.Memory, all kept) (data, trees []blobPlace) {
	t.Helper()
	r := testOpen(t, mem, Options{})
	for id := range all {
		s, err := r.LoadSnapshot(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		trees = append(trees, r.index.places(BlobHandle{Type: TreeBlob, ID: *s.Tree})...)
		tree, err := r.LoadTree(t.Context(), *s.Tree)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range tree.Nodes {
			for _, c := range n.Content {
				data = append(data, r.index.places(BlobHandle{ID: c})...)
			}
		}
	}
	return data, trees
}

func packHandle(id ID) storage.Handle {
	return storage.Handle{Kind: storage.PackFile, Name: id.String()}
}

// single returns a place of a blob that has no other, in a pack that will do.
func single(t *testing.T, list []blobPlace, will func(pack ID) bool) blobPlace {
	t.Helper()
	count := make(map[BlobHandle]map[ID]bool)
	for _, p := range list {
		if count[p.BlobHandle] == nil {
			count[p.BlobHandle] = make(map[ID]bool)
		}
		count[p.BlobHandle][p.pack] = true
	}
	for _, p := range list {
		if len(count[p.BlobHandle]) == 1 && will(p.pack) {
			return p
		}
	}
	t.Fatal("there is none")
	return blobPlace{}
}

// TestPruneRefusesWhenSomethingNeededIsMissing.
func TestPruneRefusesWhenSomethingNeededIsMissing(t *testing.T) {
	bubbleMemory(t, 2, func(t *testing.T, mem *storagetest.Memory) {
		all := agedRepository(t, mem)
		data, trees := places(t, mem, all)
		goes := mustPlan(t, mem)
		any := func(ID) bool { return true }
		d, tr := single(t, data, any), single(t, trees, any)
		rp := single(t, data, func(pack ID) bool { return goes[pack] == PruneRepack })
		alter := func(h storage.Handle, change func([]byte) []byte) func(*storagetest.Memory) {
			return func(m *storagetest.Memory) {
				content, ok := m.Bytes(h)
				if !ok {
					t.Fatalf("%s is not there", h)
				}
				m.Put(h, change(content))
			}
		}
		flip := func(at uint32) func([]byte) []byte {
			return func(b []byte) []byte { b[at] ^= 1; return b }
		}
		cut := func(b []byte) []byte { return b[:len(b)-1] }
		for name, c := range map[string]struct {
			damage func(*storagetest.Memory)
			want   []string
		}{
			"data pack gone":            {func(m *storagetest.Memory) { m.Delete(packHandle(d.pack)) }, []string{d.pack.String(), "is gone"}},
			"data pack cut":             {alter(packHandle(d.pack), cut), []string{d.pack.String(), "not what the index implies"}},
			"tree pack gone":            {func(m *storagetest.Memory) { m.Delete(packHandle(tr.pack)) }, []string{tr.ID.Short()}},
			"tree pack flipped":         {alter(packHandle(tr.pack), flip(tr.offset+20)), []string{tr.ID.Short(), "authentication failed"}},
			"index flipped":             {alter(mem.Handles(storage.IndexFile)[0], flip(30)), []string{"index"}},
			"indexes gone":              {func(m *storagetest.Memory) { deleteAll(m, storage.IndexFile) }, []string{"is in no index"}},
			"snapshot flipped":          {alter(mem.Handles(storage.SnapshotFile)[0], flip(30)), []string{"snapshot"}},
			"blob to repack flipped":    {alter(packHandle(rp.pack), flip(rp.offset+20)), []string{rp.ID.Short(), rp.pack.String(), "damaged"}},
			"one index of several gone": {func(m *storagetest.Memory) { m.Delete(indexOf(t, m, d)) }, []string{"is in no index"}},
		} {
			t.Log(name)
			m := mem.Copy()
			c.damage(m)
			wantUntouched(t, m, c.want...)
		}
	})
}

// mustPlan returns what a prune would do with each file.
func mustPlan(t *testing.T, mem *storagetest.Memory) map[ID]PruneAction {
	t.Helper()
	d, unlock := mustDelete(t, testOpen(t, mem, Options{}), mem)
	defer unlock()
	p, err := d.PlanPrune(t.Context(), PruneOptions{MaxUnused: UnusedBytes(0)})
	if err != nil {
		t.Fatal(err)
	}
	out := make(map[ID]PruneAction)
	for _, s := range p.Steps {
		out[s.File] = s.Do
	}
	return out
}

func deleteAll(m *storagetest.Memory, k storage.Kind) {
	for _, h := range m.Handles(k) {
		m.Delete(h)
	}
}

// indexOf returns the index file that names the pack of a place.
func indexOf(t *testing.T, m *storagetest.Memory, p blobPlace) (found storage.Handle) {
	t.Helper()
	r := testOpen(t, m, Options{})
	err := r.loadIndexNoting(t.Context(), func(id ID, x *parsedIndex) {
		for i := range x.packs {
			if x.packs[i].id == p.pack {
				found = storage.Handle{Kind: storage.IndexFile, Name: id.String()}
			}
		}
	})
	if err != nil || found.Name == "" {
		t.Fatal(found, err)
	}
	return found
}

// TestPruneOfSecondCopies: where a blob has several places, the only one that
// is left is the one that was read and found good; where it is not good, nothing
// is removed.
func TestPruneOfSecondCopies(t *testing.T) {
	bubbleMemory(t, 2, func(t *testing.T, mem *storagetest.Memory) {
		all := agedRepository(t, mem)
		data, _ := places(t, mem, all)
		byID := make(map[BlobHandle][]blobPlace)
		for _, p := range data {
			if !slices.Contains(byID[p.BlobHandle], p) {
				byID[p.BlobHandle] = append(byID[p.BlobHandle], p)
			}
		}
		tried := 0
		for _, list := range byID {
			if len(list) < 2 {
				continue
			}
			for _, p := range list {
				tried++
				m := mem.Copy()
				content, _ := m.Bytes(packHandle(p.pack))
				content[p.offset+20] ^= 1
				m.Put(packHandle(p.pack), content)
				_, _, err := prune(t.Context(), m, PruneOptions{MaxUnused: UnusedBytes(0)})
				if err != nil && !errors.Is(err, ErrPruneRefused) {
					t.Fatal(err)
				}
				r := testOpen(t, m, Options{})
				for id, files := range all {
					verifySnapshot(t, r, id, files)
				}
				// A pack that is gone altogether is done without.
				m = mem.Copy()
				m.Delete(packHandle(p.pack))
				if _, _, err := prune(t.Context(), m, PruneOptions{MaxUnused: UnusedBytes(0)}); err == nil {
					wantWhole(t, m, all)
				} else if !errors.Is(err, ErrPruneRefused) {
					t.Fatal(err)
				}
			}
		}
		if tried < 2 {
			t.Fatalf("%d second copies", tried)
		}
	})
}

// TestPruneForgetsWhatIsGone: a pack that nobody needs may be gone or cut, and
// leaves the index.
func TestPruneForgetsWhatIsGone(t *testing.T) {
	bubbleMemory(t, 2, func(t *testing.T, mem *storagetest.Memory) {
		all := agedRepository(t, mem)
		var unneeded []ID
		r := testOpen(t, mem, Options{})
		for id, do := range mustPlan(t, mem) {
			if do == PruneRemove && r.index.hasPack(id) {
				unneeded = append(unneeded, id)
			}
		}
		if len(unneeded) < 2 {
			t.Fatalf("only %d packs are not needed", len(unneeded))
		}
		mem.Delete(packHandle(unneeded[0]))
		content, _ := mem.Bytes(packHandle(unneeded[1]))
		mem.Put(packHandle(unneeded[1]), content[:10])
		p, _ := mustPrune(t, mem, PruneOptions{MaxUnused: UnusedBytes(0)})
		if p.Count(PruneForget) != 1 {
			t.Errorf("steps: %v", p.Steps)
		}
		if report := wantWhole(t, mem, all); report.Notes > 0 {
			t.Errorf("check: %+v", report)
		}
	})
}

// TestPruneWithoutASnapshotRemovesNothing: a first backup that was killed goes
// on with what it stored, and a listing that comes empty by mistake costs
// nothing.
func TestPruneWithoutASnapshotRemovesNothing(t *testing.T) {
	bubbleMemory(t, 2, func(t *testing.T, mem *storagetest.Memory) {
		agedRepository(t, mem)
		deleteAll(mem, storage.SnapshotFile)
		before := len(allHandles(mem))
		p, _ := mustPrune(t, mem, PruneOptions{})
		if len(p.Steps) > 0 || len(allHandles(mem)) != before || p.Unused == 0 {
			t.Errorf("plan: %+v", p)
		}
	})
}

// TestPruneStops: a plan of another moment is not carried out, nor one without
// the lock.
func TestPruneStops(t *testing.T) {
	bubbleMemory(t, 2, func(t *testing.T, mem *storagetest.Memory) {
		agedRepository(t, mem)
		r := testOpen(t, mem, Options{})
		d, unlock := mustDelete(t, r, mem)
		p, err := d.PlanPrune(t.Context(), PruneOptions{})
		if err != nil {
			t.Fatal(err)
		}
		backup(t, r, mem.Writer(), map[string][]byte{"new": []byte("new")})
		before := len(allHandles(mem))
		if _, err := d.Prune(t.Context(), mem.Writer(), p, PruneOptions{}); !errors.Is(err, errPlanStale) {
			t.Errorf("a stale plan: %v", err)
		}
		if p, err = d.PlanPrune(t.Context(), PruneOptions{}); err != nil {
			t.Fatal(err)
		}
		unlock()
		if _, err := d.Prune(t.Context(), mem.Writer(), p, PruneOptions{}); !errors.Is(err, ErrNotExclusive) {
			t.Errorf("without the lock: %v", err)
		}
		if n := len(allHandles(mem)); n != before-1 { // the lock
			t.Errorf("%d files, before %d", n, before)
		}
	})
}
