package repository

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/ripplebak/ripplebak/storage"
	"github.com/ripplebak/ripplebak/storage/storagetest"
)

// repairRun is a Deleter over a storage, with what it was made of.
type repairRun struct {
	t    testing.TB
	s    storage.Store
	r    *Repository
	d    *Deleter
	lock *Lock
}

func newRepairRun(t testing.TB, s storage.Store) *repairRun {
	t.Helper()
	r, err := Open(t.Context(), s.Reader(), testPassword, Options{})
	if err != nil {
		t.Fatal(err)
	}
	// As Lock makes it, without the wait for others, who are not there.
	lock := &Lock{r: r, locker: s.Locker(), opt: LockOptions{Exclusive: true, Now: time.Now}, written: time.Now()}
	lock.ctx, lock.cancel = context.WithCancelCause(t.Context())
	d, err := NewDeleter(r, s.Remover(), lock)
	if err != nil {
		t.Fatal(err)
	}
	return &repairRun{t: t, s: s, r: r, d: d, lock: lock}
}

func (x *repairRun) close() {
	x.t.Helper()
	if err := x.lock.Unlock(context.Background()); err != nil {
		x.t.Error(err)
	}
}

// repairs are the three, each planned and carried out at once.
func repairs() map[string]func(ctx context.Context, x *repairRun) error {
	return map[string]func(ctx context.Context, x *repairRun) error{
		"index": func(ctx context.Context, x *repairRun) error {
			p, err := x.d.PlanIndexRepair(ctx, false)
			if err != nil {
				return err
			}
			return x.d.RepairIndex(ctx, x.s.Writer(), p, RepairOptions{})
		},
		"packs": func(ctx context.Context, x *repairRun) error {
			p, err := x.d.PlanPackRepair(ctx, nil)
			if err != nil {
				return err
			}
			return x.d.RepairPacks(ctx, x.s.Writer(), p, RepairOptions{})
		},
		"snapshots": func(ctx context.Context, x *repairRun) error {
			p, err := x.d.PlanSnapshotRepair(ctx, true)
			if err != nil {
				return err
			}
			_, err = x.d.RepairSnapshots(ctx, x.s.Writer(), p, nil, RepairOptions{})
			return err
		},
	}
}

// repairAll runs repairs one after the other.
func repairAll(ctx context.Context, t testing.TB, s storage.Store, names ...string) error {
	x := newRepairRun(t, s)
	defer x.close()
	for _, name := range names {
		if err := repairs()[name](ctx, x); err != nil {
			return fmt.Errorf("repair %s: %w", name, err)
		}
	}
	return nil
}

// readableBlobs are the blobs that can be read, by any index that can.
func readableBlobs(t testing.TB, s storage.Store) map[BlobHandle]bool {
	t.Helper()
	r, err := Open(t.Context(), s.Reader(), testPassword, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.LoadIndex(t.Context()); err != nil && !isDamage(err) {
		t.Fatal(err)
	}
	out := make(map[BlobHandle]bool)
	var all []BlobHandle
	r.index.each(func(e *indexEntry) { all = append(all, e.packed().BlobHandle) })
	for _, h := range all {
		if _, err := r.LoadBlob(t.Context(), h, nil); err == nil {
			out[h] = true
		}
	}
	return out
}

// damages are what can happen to a repository of three snapshots, and the
// repairs that put it right.
type damageCase struct {
	name    string
	damage  func(t *testing.T, m *storagetest.Memory)
	repairs []string
	lost    int // snapshots that lose something
}

func damageCases() []damageCase {
	flipData := func(t *testing.T, m *storagetest.Memory) {
		h, b := dataPack(t, m)
		p, ok := testOpen(t, m, Options{}).index.place(BlobHandle{ID: idOf(sharedData())})
		if !ok || p.pack.String() != h.Name {
			t.Fatal("what snapshots share is not in the largest pack")
		}
		b[p.offset+100] ^= 1
		m.Put(h, b)
	}
	return []damageCase{
		{"pack gone", func(t *testing.T, m *storagetest.Memory) { h, _ := dataPack(t, m); m.Delete(h) }, []string{"index", "snapshots"}, 2},
		{"pack gone, by packs", func(t *testing.T, m *storagetest.Memory) { h, _ := dataPack(t, m); m.Delete(h) }, []string{"packs", "snapshots"}, 2},
		{"pack cut", func(t *testing.T, m *storagetest.Memory) { h, b := dataPack(t, m); m.Put(h, b[:len(b)/2]) }, []string{"packs", "snapshots"}, 2},
		{"header cut", func(t *testing.T, m *storagetest.Memory) { h, b := dataPack(t, m); m.Put(h, b[:len(b)-10]) }, []string{"packs"}, 0},
		{"bit flipped", flipData, []string{"packs", "snapshots"}, 2},
		{"header flipped", func(t *testing.T, m *storagetest.Memory) { h, b := dataPack(t, m); b[len(b)-20] ^= 1; m.Put(h, b) }, []string{"packs"}, 0},
		{"tree pack gone", func(t *testing.T, m *storagetest.Memory) { h, _ := innerTreePack(t, m); m.Delete(h) }, []string{"index", "snapshots"}, 2},
		{"tree flipped", func(t *testing.T, m *storagetest.Memory) {
			h, offset := innerTreePack(t, m)
			b, _ := m.Bytes(h)
			b[offset+20] ^= 1
			m.Put(h, b)
		}, []string{"packs", "snapshots"}, 2},
		{"index gone", func(_ *testing.T, m *storagetest.Memory) {
			for _, h := range m.Handles(storage.IndexFile) {
				m.Delete(h)
			}
		}, []string{"index"}, 0},
		{"index flipped", func(_ *testing.T, m *storagetest.Memory) {
			h := m.Handles(storage.IndexFile)[0]
			b, _ := m.Bytes(h)
			b[20] ^= 1
			m.Put(h, b)
		}, []string{"index"}, 0},
		{"snapshot flipped", func(_ *testing.T, m *storagetest.Memory) {
			h := m.Handles(storage.SnapshotFile)[0]
			b, _ := m.Bytes(h)
			b[20] ^= 1
			m.Put(h, b)
		}, []string{"snapshots"}, 0},
		{"packs swapped", func(t *testing.T, m *storagetest.Memory) {
			h, b := dataPack(t, m)
			for _, o := range m.Handles(storage.PackFile) {
				if ob, _ := m.Bytes(o); o != h && len(ob) > 30<<10 {
					m.Put(o, b)
					m.Put(h, ob)
				}
			}
		}, []string{"packs"}, 0}, // each brought its header along
	}
}

// innerTreePack is the pack of the directory that two snapshots share, and
// where in it that is.
func innerTreePack(t testing.TB, m *storagetest.Memory) (storage.Handle, uint32) {
	t.Helper()
	r := testOpen(t, m, Options{})
	list, _, err := r.Snapshots(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	node, err := r.Resolve(t.Context(), *list[len(list)-1].Tree, "sub")
	if err != nil {
		t.Fatal(err)
	}
	p, ok := r.index.place(BlobHandle{Type: TreeBlob, ID: *node.Subtree})
	if !ok {
		t.Fatal("the inner tree is nowhere")
	}
	return storage.Handle{Kind: storage.PackFile, Name: p.pack.String()}, p.offset
}

// repairBase is a repository of three snapshots, of which the last two share a
// folder. The largest pack holds what both of them need.
func repairBase(t testing.TB) *storagetest.Memory {
	t.Helper()
	mem := storagetest.NewMemory()
	// Opened so often that even a cheap derivation counts.
	if err := Init(t.Context(), mem.Reader(), mem.Writer(), testPassword, InitOptions{KDF: KDF{N: 2, R: 1, P: 1}}); err != nil {
		t.Fatal(err)
	}
	write := func(a, b []byte) {
		r := testOpen(t, mem, Options{})
		w := testWriter(t, r, mem.Writer(), WriterOptions{})
		defer closeWriter(t, w)
		bIDs, bSize := mustWait(t, mustWrite(t, w, CutFile, b))
		aIDs, aSize := mustWait(t, mustWrite(t, w, CutFile, a))
		inner := mustSaveTree(t, w, fileNode("b", bIDs, bSize))
		tree := mustSaveTree(t, w, fileNode("a", aIDs, aSize), dirNode("sub", inner))
		if _, err := w.SaveSnapshot(t.Context(), &Snapshot{Tree: &tree, Paths: []string{"/p"}, Hostname: "h", Time: testTime().AddDate(0, 0, len(mem.Handles(storage.SnapshotFile)))}); err != nil {
			t.Fatal(err)
		}
	}
	write(randomData(4, 5<<10), randomData(5, 35<<10))
	write(randomData(2, 30<<10), sharedData())
	write(randomData(3, 5<<10), sharedData())
	return mem
}

// sharedData is a file of two of the snapshots.
func sharedData() []byte { return randomData(1, 40<<10) }

// TestRepairs: each damage is put right as far as it can be; what could be read
// before can be after, and what is left is whole.
func TestRepairs(t *testing.T) {
	base := repairBase(t)
	for _, tt := range damageCases() {
		t.Run(tt.name, func(t *testing.T) {
			m := base.Copy()
			tt.damage(t, m)
			before := mustCheck(t, m, CheckOptions{ReadData: true})
			if before.OK() {
				t.Fatalf("the damage is not found: %+v", before)
			}
			could := readableBlobs(t, m)
			snapshots := len(m.Handles(storage.SnapshotFile))
			if err := repairAll(t.Context(), t, m, tt.repairs...); err != nil {
				t.Fatal(err)
			}
			after := mustCheck(t, m, CheckOptions{ReadData: true})
			if !after.OK() || after.Notes > 0 {
				t.Errorf("after the repair: %+v", after)
			}
			wantReadable(t, m, could)
			repaired := 0
			list, _, err := testOpen(t, m, Options{}).Snapshots(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range list {
				if s.HasTag(TagRepaired) && s.Original != nil {
					repaired++
				}
			}
			if gone := snapshots - len(list); repaired+gone != tt.lost && tt.name != "snapshot flipped" {
				t.Errorf("%d snapshots are repaired and %d gone, want %d", repaired, gone, tt.lost)
			}
		})
	}
}

// wantReadable demands that what could be read still can.
func wantReadable(t testing.TB, s storage.Store, could map[BlobHandle]bool) {
	t.Helper()
	can := readableBlobs(t, s)
	for h := range could {
		if !can[h] {
			t.Errorf("%s could be read, and cannot any more", h)
		}
	}
}

// TestF26_RepairKilledAnywhere: a repair that fails or is killed at any change
// of the repository loses nothing that could be read, and the next one
// completes it.
func TestF26_RepairKilledAnywhere(t *testing.T) {
	base := repairBase(t)
	for _, tt := range damageCases() {
		if testing.Short() && tt.name != "bit flipped" && tt.name != "pack gone" {
			continue
		}
		t.Run(tt.name, func(t *testing.T) {
			damaged := base.Copy()
			tt.damage(t, damaged)
			could := readableBlobs(t, damaged)
			changes := countChanges(t, damaged.Copy(), tt.repairs)
			if len(changes) == 0 {
				t.Fatalf("the repair changes nothing: %v", changes)
			}
			for i, c := range changes {
				killedAt(t, damaged, tt.repairs, c, storagetest.Fail, could)
				if i == len(changes)-1 { // otherwise it is as the next one failing
					killedAt(t, damaged, tt.repairs, c, storagetest.Lose, could)
				}
			}
		})
	}
}

// killedAt has repairs fail at a change and all those after it, and demands
// that nothing is lost by it and that the repairs can be completed.
func killedAt(t *testing.T, damaged *storagetest.Memory, names []string, c change, act storagetest.Action, could map[BlobHandle]bool) {
	t.Helper()
	m := damaged.Copy()
	s := storagetest.NewFaulty(t, m)
	s.Arm(storagetest.Fault{Op: c.op, Kind: c.kind, Nth: c.nth, Times: -1, Act: act})
	if err := repairAll(t.Context(), t, s, names...); !errors.Is(err, storagetest.ErrInjected) {
		t.Errorf("%v: the repair ended with %v", c, err)
	}
	wantReadable(t, m, could)
	if err := repairAll(t.Context(), t, m, names...); err != nil {
		t.Errorf("%v: the second repair ended with %v", c, err)
	}
	if r := mustCheck(t, m, CheckOptions{ReadData: true}); !r.OK() {
		t.Errorf("%v: after the second repair: %+v", c, r)
	}
	wantReadable(t, m, could)
}

// change is one operation that changes the repository.
type change struct {
	op   storagetest.Op
	kind storage.Kind
	nth  int
}

// countChanges runs repairs and returns what they change.
func countChanges(t *testing.T, m *storagetest.Memory, names []string) (out []change) {
	t.Helper()
	s := &counting{Backend: storage.Join(m)}
	if err := repairAll(t.Context(), t, storage.New(s), names...); err != nil {
		t.Fatal(err)
	}
	for _, c := range s.changes {
		nth := 1
		for _, o := range out {
			if o.op == c.op && o.kind == c.kind {
				nth++
			}
		}
		c.nth = nth
		out = append(out, c)
	}
	return out
}

// counting notes the changes that pass through it.
type counting struct {
	storage.Backend
	changes []change
}

func (c *counting) Save(ctx context.Context, h storage.Handle, p storage.Payload) error {
	if h.Kind != storage.LockFile {
		c.changes = append(c.changes, change{op: storagetest.OpSave, kind: h.Kind})
	}
	return c.Backend.Save(ctx, h, p)
}

func (c *counting) Remove(ctx context.Context, h storage.Handle) error {
	if h.Kind != storage.LockFile {
		c.changes = append(c.changes, change{op: storagetest.OpRemove, kind: h.Kind})
	}
	return c.Backend.Remove(ctx, h)
}

// TestRepairOfAWholeRepositoryDoesNothing, and so does one that was repaired
// without removing the old snapshots.
func TestRepairOfAWholeRepositoryDoesNothing(t *testing.T) {
	base := repairBase(t)
	for name := range repairs() {
		if changes := countChanges(t, base.Copy(), []string{name}); len(changes) != 0 {
			t.Errorf("%s: %v", name, changes)
		}
	}
	h, b := dataPack(t, base)
	b[100] ^= 1
	base.Put(h, b)
	if err := repairAll(t.Context(), t, base, "packs"); err != nil {
		t.Fatal(err)
	}
	x := newRepairRun(t, base)
	defer x.close()
	for again := range 2 {
		p, err := x.d.PlanSnapshotRepair(t.Context(), false)
		if err != nil {
			t.Fatal(err)
		}
		made, err := x.d.RepairSnapshots(t.Context(), base.Writer(), p, nil, RepairOptions{})
		if err != nil || len(made) != 2*(1-again) || len(p.Lost) != 2 {
			t.Errorf("run %d: made %v of %+v, %v", again+1, made, p.Steps, err)
		}
	}
	if n := len(base.Handles(storage.SnapshotFile)); n != 5 {
		t.Errorf("%d snapshots, want the three and two that are repaired", n)
	}
}

// TestRepairNeedsTheLock: without an exclusive lock nothing is even planned.
func TestRepairNeedsTheLock(t *testing.T) {
	m := repairBase(t)
	x := newRepairRun(t, m)
	index, err := x.d.PlanIndexRepair(t.Context(), true)
	if err != nil {
		t.Fatal(err)
	}
	x.close()
	for name, repair := range repairs() {
		if err := repair(t.Context(), x); !errors.Is(err, ErrNotExclusive) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := x.d.RepairIndex(t.Context(), m.Writer(), index, RepairOptions{}); !errors.Is(err, ErrNotExclusive) {
		t.Errorf("with a plan: %v", err)
	}
}

// TestRepairIndexBelievesHeaders: with readAll, an index that says otherwise
// than the packs is found out, and old index files that were replaced go.
func TestRepairIndexBelievesHeaders(t *testing.T) {
	m := repairBase(t)
	r := testOpen(t, m, Options{})
	h, _ := dataPack(t, m)
	id, err := ParseID(h.Name)
	if err != nil {
		t.Fatal(err)
	}
	blobs := r.blobsOfPack(id)
	blobs[0].ID = ID{1, 2, 3} // same sizes
	for _, i := range m.Handles(storage.IndexFile) {
		old, err := ParseID(i.Name)
		if err != nil {
			t.Fatal(err)
		}
		b, _ := m.Bytes(i)
		p, err := r.parseStored(t.Context(), old, int64(len(b)))
		if err != nil {
			t.Fatal(err)
		}
		for n := range p.packs {
			if p.packs[n].id != id {
				continue
			}
			p.packs[n].blobs = blobs
			m.Delete(i)
			if _, err := r.saveUnpacked(t.Context(), m.Writer(), storage.IndexFile, appendIndexFile(nil, p.packs)); err != nil {
				t.Fatal(err)
			}
			break
		}
	}
	if mustCheck(t, m, CheckOptions{}).OK() {
		t.Fatal("the wrong index is not found")
	}
	x := newRepairRun(t, m)
	defer x.close()
	for _, readAll := range []bool{false, true} {
		p, err := x.d.PlanIndexRepair(t.Context(), readAll)
		if err != nil {
			t.Fatal(err)
		}
		reread := slices.ContainsFunc(p.Steps, func(s RepairStep) bool { return s.Do == RepairReread && s.File == id })
		if reread != readAll {
			t.Errorf("readAll %v: %+v", readAll, p.Steps)
		}
		if err := x.d.RepairIndex(t.Context(), m.Writer(), p, RepairOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if r := mustCheck(t, m, CheckOptions{ReadData: true}); !r.OK() {
		t.Errorf("%+v", r)
	}
}

// TestRepairNamedPack: a pack that is named goes, whole as it is, with all that
// it holds in new ones; one that nobody knows is an error.
func TestRepairNamedPack(t *testing.T) {
	m := repairBase(t)
	could := readableBlobs(t, m)
	h, _ := dataPack(t, m)
	id, err := ParseID(h.Name)
	if err != nil {
		t.Fatal(err)
	}
	x := newRepairRun(t, m)
	defer x.close()
	if _, err := x.d.PlanPackRepair(t.Context(), []ID{{7}}); err == nil {
		t.Error("an unknown pack is repaired")
	}
	p, err := x.d.PlanPackRepair(t.Context(), []ID{id, id})
	if err != nil {
		t.Fatal(err)
	}
	if p.Steps[0].Do != RepairSalvage || p.Steps[0].Blobs == 0 || p.Steps[0].Lost != 0 {
		t.Errorf("%+v", p.Steps)
	}
	if err := x.d.RepairPacks(t.Context(), m.Writer(), p, RepairOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, ok := m.Bytes(h); ok {
		t.Error("the pack is still there")
	}
	if r := mustCheck(t, m, CheckOptions{ReadData: true}); !r.OK() || r.Notes > 0 {
		t.Errorf("%+v", r)
	}
	wantReadable(t, m, could)
}

// TestRepairPacksStopsWhereLessComesThanPlanned: what could be read when it was
// planned and now cannot keeps everything where it is.
func TestRepairPacksStopsWhereLessComesThanPlanned(t *testing.T) {
	m := repairBase(t)
	h, b := dataPack(t, m)
	b[100] ^= 1
	m.Put(h, b)
	x := newRepairRun(t, m)
	defer x.close()
	p, err := x.d.PlanPackRepair(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := range len(b) {
		b[i] ^= 1
	}
	m.Put(h, b)
	if err := x.d.RepairPacks(t.Context(), m.Writer(), p, RepairOptions{}); !errors.Is(err, errPlanOld) {
		t.Errorf("%v", err)
	}
	if _, ok := m.Bytes(h); !ok {
		t.Error("the pack was removed")
	}
}
