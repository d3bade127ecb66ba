package repository

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"github.com/ripplebak/ripplebak/storage"
	"github.com/ripplebak/ripplebak/storage/storagetest"
)

func mustCheck(t *testing.T, s storage.Store, opt CheckOptions) CheckReport {
	t.Helper()
	r, err := Open(t.Context(), s.Reader(), testPassword, Options{})
	if err != nil {
		t.Fatal(err)
	}
	report, err := r.Check(t.Context(), opt)
	if err != nil {
		t.Fatalf("check: %v", err)
	}
	return report
}

func hasFinding(r CheckReport, k FindingKind) bool {
	return slices.ContainsFunc(r.Findings, func(f Finding) bool { return f.Kind == k })
}

// dataPack returns the largest pack, which holds data.
func dataPack(t *testing.T, mem *storagetest.Memory) (storage.Handle, []byte) {
	t.Helper()
	var h storage.Handle
	var data []byte
	for _, p := range mem.Handles(storage.PackFile) {
		if b, _ := mem.Bytes(p); len(b) > len(data) {
			h, data = p, b
		}
	}
	return h, data
}

func treePack(t *testing.T, mem *storagetest.Memory) (storage.Handle, []byte) {
	t.Helper()
	large, _ := dataPack(t, mem)
	for _, p := range mem.Handles(storage.PackFile) {
		if p != large {
			b, _ := mem.Bytes(p)
			return p, b
		}
	}
	t.Fatal("no tree pack")
	return large, nil
}

// TestF49_Damage: whatever is altered, swapped or lost is found, and never
// comes out as data.
func TestF49_Damage(t *testing.T) {
	base := storagetest.NewMemory()
	testInit(t, base, InitOptions{})
	id := backup(t, testOpen(t, base, Options{}), base.Writer(), map[string][]byte{"a": randomData(1, 2<<20), "b": testData(2, 1<<20)})
	for _, tt := range []struct {
		name     string
		damage   func(m *storagetest.Memory)
		kind     FindingKind
		readData bool // found only by reading
		note     bool
	}{
		{"pack gone", func(m *storagetest.Memory) { h, _ := dataPack(t, m); m.Delete(h) }, MissingPack, false, false},
		{"pack cut", func(m *storagetest.Memory) { h, b := dataPack(t, m); m.Put(h, b[:len(b)-100]) }, WrongPackSize, false, false},
		{"pack longer", func(m *storagetest.Memory) { h, b := dataPack(t, m); m.Put(h, append(b, 0)) }, WrongPackSize, false, false},
		{"bit flipped", func(m *storagetest.Memory) { h, b := dataPack(t, m); b[100] ^= 1; m.Put(h, b) }, BadPack, true, false},
		{"header flipped", func(m *storagetest.Memory) { h, b := dataPack(t, m); b[len(b)-20] ^= 1; m.Put(h, b) }, BadHeader, true, false},
		{"header length", func(m *storagetest.Memory) { h, b := dataPack(t, m); b[len(b)-1] = 0xff; m.Put(h, b) }, BadHeader, true, false},
		{"tree pack flipped", func(m *storagetest.Memory) { h, b := treePack(t, m); b[40] ^= 1; m.Put(h, b) }, BadTree, false, false},
		{"pack replaced by another", func(m *storagetest.Memory) { h, _ := treePack(t, m); _, b := dataPack(t, m); m.Put(h, b) }, WrongPackSize, false, false},
		{"snapshot flipped", func(m *storagetest.Memory) {
			h := m.Handles(storage.SnapshotFile)[0]
			b, _ := m.Bytes(h)
			b[20] ^= 1
			m.Put(h, b)
		}, BadSnapshot, false, false},
		{"snapshot replaced by an index", func(m *storagetest.Memory) {
			b, _ := m.Bytes(m.Handles(storage.IndexFile)[0])
			m.Put(m.Handles(storage.SnapshotFile)[0], b)
		}, BadSnapshot, false, false},
		{"index gone", func(m *storagetest.Memory) { m.Delete(m.Handles(storage.IndexFile)[0]) }, BadTree, false, false},
		{"index flipped", func(m *storagetest.Memory) {
			h := m.Handles(storage.IndexFile)[0]
			b, _ := m.Bytes(h)
			b[20] ^= 1
			m.Put(h, b)
		}, BadIndex, false, false},
		{"foreign pack", func(m *storagetest.Memory) {
			m.Put(storage.Handle{Kind: storage.PackFile, Name: ID{7}.String()}, []byte("x"))
		}, UnusedPack, false, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := base.Copy()
			tt.damage(m)
			report := mustCheck(t, m, CheckOptions{ReadData: tt.readData})
			if !hasFinding(report, tt.kind) || report.OK() != tt.note {
				t.Errorf("want %s: %+v", tt.kind, report)
			}
			if tt.readData && mustCheckHeaders(t, m).OK() == (tt.kind == BadHeader) {
				t.Errorf("headers: %+v", mustCheckHeaders(t, m))
			}
			r, err := Open(t.Context(), m.Reader(), testPassword, Options{})
			if err != nil {
				t.Fatal(err)
			}
			if err := r.LoadIndex(t.Context()); err != nil && (tt.kind != BadIndex || !errors.Is(err, ErrDamaged)) {
				t.Errorf("load index: %v", err)
			}
			s, err := r.LoadSnapshot(t.Context(), id)
			if err != nil {
				if !errors.Is(err, ErrDamaged) {
					t.Errorf("load snapshot: %v", err)
				}
				return
			}
			if tree, err := r.LoadTree(t.Context(), *s.Tree); err == nil {
				for _, n := range tree.Nodes {
					loadOrFail(t, r, n)
				}
			} else if !isDamage(err) {
				t.Errorf("load tree: %v", err)
			}
		})
	}
	report := mustCheck(t, base, CheckOptions{ReadData: true})
	if !report.OK() || report.Notes > 0 || report.Snapshots != 1 || report.Packs != 2 || report.Trees != 1 || report.BytesRead == 0 {
		t.Errorf("undamaged: %+v", report)
	}
}

func mustCheckHeaders(t *testing.T, s storage.Store) CheckReport {
	return mustCheck(t, s, CheckOptions{Headers: true})
}

// loadOrFail demands that each blob of a file is either right or an error, one
// by one and in bulk.
func loadOrFail(t *testing.T, r *Repository, n *Node) {
	t.Helper()
	want := map[string][]byte{"a": randomData(1, 2<<20), "b": testData(2, 1<<20)}[n.Name]
	var handles []BlobHandle
	for _, id := range n.Content {
		h := BlobHandle{ID: id}
		handles = append(handles, h)
		data, err := r.LoadBlob(t.Context(), h, nil)
		if err == nil && !bytes.Contains(want, data) || err != nil && !isDamage(err) {
			t.Errorf("%s: %v", h, err)
		}
	}
	err := r.LoadBlobs(t.Context(), handles, func(h BlobHandle, data []byte) error {
		if !bytes.Contains(want, data) {
			t.Errorf("%s: wrong data", h)
		}
		return nil
	})
	if err != nil && !isDamage(err) {
		t.Errorf("bulk: %v", err)
	}
}

// TestF27_ServerStoresOther: a server that stores fewer or other bytes than it
// said is found out by check, from size or hash.
func TestF27_ServerStoresOther(t *testing.T) {
	for _, act := range []storagetest.Action{storagetest.Cut, storagetest.Corrupt} {
		mem := storagetest.NewMemory()
		testInit(t, mem, InitOptions{})
		s := storagetest.NewFaulty(t, mem)
		s.Arm(storagetest.Fault{Op: storagetest.OpSave, Kind: storage.PackFile, Act: act, At: 100})
		backup(t, testOpen(t, s, Options{}), s.Writer(), map[string][]byte{"a": randomData(1, 1<<20)})
		if report := mustCheck(t, mem, CheckOptions{ReadData: true}); report.OK() {
			t.Errorf("action %d: %+v", act, report)
		}
	}
}

// TestSecondCopy: where a blob has two places, damage of one is survived.
func TestSecondCopy(t *testing.T) {
	mem := storagetest.NewMemory()
	testInit(t, mem, InitOptions{})
	files := map[string][]byte{"a": randomData(1, 1<<20)}
	blind := testOpen(t, mem, Options{})
	id := backup(t, testOpen(t, mem, Options{}), mem.Writer(), files)
	first, data := dataPack(t, mem)
	backup(t, blind, mem.Writer(), files) // knows nothing of the first
	data[10] ^= 1
	mem.Put(first, data)
	r := testOpen(t, mem, Options{})
	verifySnapshot(t, r, id, files)
	var handles []BlobHandle
	s, err := r.LoadSnapshot(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	tree, err := r.LoadTree(t.Context(), *s.Tree)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range tree.Nodes[0].Content {
		handles = append(handles, BlobHandle{ID: c})
	}
	if err := r.LoadBlobs(t.Context(), handles, func(BlobHandle, []byte) error { return nil }); err != nil {
		t.Errorf("bulk: %v", err)
	}
}

// TestSupersededIndex: an index that another replaces is not used, though a
// killed prune left it there.
func TestSupersededIndex(t *testing.T) {
	r, mem := testRepository(t)
	backup(t, r, mem.Writer(), map[string][]byte{"a": []byte("a")})
	old := mem.Handles(storage.IndexFile)[0]
	oldID, err := ParseID(old.Name)
	if err != nil {
		t.Fatal(err)
	}
	doc := []byte(`{"supersedes":["` + oldID.String() + `"],"packs":[]}`)
	newID, err := r.saveUnpacked(t.Context(), mem.Writer(), storage.IndexFile, doc)
	if err != nil {
		t.Fatal(err)
	}
	if again := testOpen(t, mem, Options{}); again.index.count != 0 {
		t.Errorf("%d entries of the replaced index", again.index.count)
	}
	// Two that replace each other: neither is dropped.
	if got := superseded(map[ID][]ID{oldID: {newID, oldID}, newID: {oldID}}); len(got) != 0 {
		t.Errorf("superseded: %v", got)
	}
}

// TestIndexAfterPrune: a Repository that stays open notices what another
// process removed, and does not take it for stored.
func TestIndexAfterPrune(t *testing.T) {
	r, mem := testRepository(t)
	files := map[string][]byte{"a": randomData(1, 1<<20)}
	backup(t, r, mem.Writer(), files)
	for _, k := range []storage.Kind{storage.SnapshotFile, storage.IndexFile, storage.PackFile} {
		for _, h := range mem.Handles(k) {
			mem.Delete(h)
		}
	}
	if err := r.LoadIndex(t.Context()); err != nil {
		t.Fatal(err)
	}
	id := backup(t, r, mem.Writer(), files)
	verifySnapshot(t, testOpen(t, mem, Options{}), id, files)
}

// TestCheckWithRestic: both judge a repository that both wrote to alike.
func TestCheckWithRestic(t *testing.T) {
	restic := needRestic(t)
	s, dir := testLocal(t)
	restic(dir, "init")
	restic(dir, "backup", ".")
	backup(t, testOpen(t, s, Options{}), s.Writer(), manyFiles())
	report := mustCheck(t, s, CheckOptions{ReadData: true})
	if !report.OK() || report.Snapshots != 2 {
		t.Errorf("check: %+v", report)
	}
}
