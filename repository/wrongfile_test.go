package repository

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/ripplebak/ripplebak/storage"
	"github.com/ripplebak/ripplebak/storage/storagetest"
)

// TestF49_WrongFiles: files that we once wrote, in the place of others or under
// other names, are found out by check, though they authenticate; nothing of
// them comes out as data.
func TestF49_WrongFiles(t *testing.T) {
	base := storagetest.NewMemory()
	testInit(t, base, InitOptions{})
	files := map[string][]byte{"a": randomData(1, 100<<10)}
	id := backup(t, testOpen(t, base, Options{}), base.Writer(), files)
	other := storagetest.NewMemory()
	testInit(t, other, InitOptions{})
	backup(t, testOpen(t, other, Options{}), other.Writer(), files)
	one := func(m *storagetest.Memory, k storage.Kind) (storage.Handle, []byte) {
		h := m.Handles(k)[0]
		b, _ := m.Bytes(h)
		return h, b
	}
	as := func(from, to storage.Kind) func(m *storagetest.Memory) {
		return func(m *storagetest.Memory) {
			h, b := one(m, from)
			m.Put(storage.Handle{Kind: to, Name: h.Name}, b)
		}
	}
	for _, tt := range []struct {
		name   string
		damage func(m *storagetest.Memory)
		kind   FindingKind
	}{
		{"an index as a snapshot", as(storage.IndexFile, storage.SnapshotFile), BadSnapshot},
		{"a snapshot as an index", as(storage.SnapshotFile, storage.IndexFile), BadIndex},
		{"a pack as a snapshot", as(storage.PackFile, storage.SnapshotFile), BadSnapshot},
		{"a pack as an index", as(storage.PackFile, storage.IndexFile), BadIndex},
		{"a key as an index", as(storage.KeyFile, storage.IndexFile), BadIndex},
		{"a snapshot under another name", func(m *storagetest.Memory) {
			_, b := one(m, storage.SnapshotFile)
			m.Put(storage.Handle{Kind: storage.SnapshotFile, Name: ID{7}.String()}, b)
		}, BadSnapshot},
		{"a snapshot of another repository", func(m *storagetest.Memory) {
			h, b := one(other, storage.SnapshotFile)
			m.Put(h, b)
		}, BadSnapshot},
		{"an index of another repository", func(m *storagetest.Memory) {
			h, b := one(other, storage.IndexFile)
			m.Put(h, b)
		}, BadIndex},
		{"packs of another repository", func(m *storagetest.Memory) {
			for _, h := range m.Handles(storage.PackFile) {
				mine, _ := m.Bytes(h)
				for _, o := range other.Handles(storage.PackFile) {
					if theirs, _ := other.Bytes(o); len(theirs) == len(mine) {
						m.Put(h, theirs)
					}
				}
			}
		}, BadPack},
		{"an old pack in the place of a new one", func(m *storagetest.Memory) {
			r := testOpen(t, m, Options{})
			w := testWriter(t, r, m.Writer(), WriterOptions{})
			defer closeWriter(t, w)
			ids, size := mustWait(t, mustWrite(t, w, CutFile, randomData(2, 100<<10)))
			mustSnapshot(t, w, mustSaveTree(t, w, fileNode("a", ids, size)))
			var large []storage.Handle
			for _, h := range m.Handles(storage.PackFile) {
				if b, _ := m.Bytes(h); len(b) > 90<<10 {
					large = append(large, h)
				}
			}
			b, _ := m.Bytes(large[0])
			m.Put(large[1], b)
		}, BadPack},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := base.Copy()
			tt.damage(m)
			if r := mustCheck(t, m, CheckOptions{ReadData: true}); r.OK() || !hasFinding(r, tt.kind) {
				t.Errorf("want %s: %+v", tt.kind, r)
			}
			r, err := Open(t.Context(), m.Reader(), testPassword, Options{})
			if err != nil {
				t.Fatal(err)
			}
			if err := r.LoadIndex(t.Context()); err != nil && !errors.Is(err, ErrDamaged) {
				t.Fatal(err)
			}
			s, err := r.LoadSnapshot(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			tree, err := r.LoadTree(t.Context(), *s.Tree)
			if err != nil {
				if !isDamage(err) {
					t.Fatal(err)
				}
				return
			}
			for _, h := range tree.Nodes[0].Content {
				if data, err := r.LoadBlob(t.Context(), BlobHandle{ID: h}, nil); err == nil && !bytes.Contains(files["a"], data) || err != nil && !isDamage(err) {
					t.Errorf("%d bytes came out, %v", len(data), err)
				}
			}
		})
	}
	// The key and the config of another repository, alone or together.
	for name, swap := range map[string][]storage.Kind{"key": {storage.KeyFile}, "config": {storage.ConfigFile}} {
		m := base.Copy()
		for _, k := range swap {
			h, _ := one(m, k)
			m.Delete(h)
			h, b := one(other, k)
			m.Put(h, b)
		}
		if _, err := Open(t.Context(), m.Reader(), testPassword, Options{}); err == nil {
			t.Errorf("the %s of another repository opens this one", name)
		}
	}
}

// TestMixedPack: trees and data in one pack are a note, as for stock restic;
// and naming the pack takes it apart.
func TestMixedPack(t *testing.T) {
	restic := needRestic(t)
	s, dir := testLocal(t)
	testInit(t, s, InitOptions{})
	r := testOpen(t, s, Options{})
	data := randomData(1, 100<<10)
	doc, err := appendTree(nil, &Tree{Nodes: []*Node{fileNode("a", []ID{idOf(data)}, uint64(len(data)))}})
	if err != nil {
		t.Fatal(err)
	}
	pk := &pack{mem: make([]byte, len(data)+len(doc)+1000)}
	for kind, plain := range map[BlobType][]byte{DataBlob: data, TreeBlob: doc} {
		b := packedBlob{BlobHandle: BlobHandle{Type: kind, ID: sha256.Sum256(plain)}, offset: uint32(pk.used), length: uint32(len(plain) + sealOverhead)}
		if err := r.sealer.seal(pk.mem[pk.used:pk.used+int(b.length)], plain); err != nil {
			t.Fatal(err)
		}
		pk.used += int(b.length)
		pk.blobs = append(pk.blobs, b)
	}
	if err := r.sealHeader(pk); err != nil {
		t.Fatal(err)
	}
	p := storage.NewPayload(pk.mem[:pk.used])
	name := ID(p.SHA256)
	if err := s.Writer().Save(t.Context(), storage.Handle{Kind: storage.PackFile, Name: name.String()}, p); err != nil {
		t.Fatal(err)
	}
	if _, err := r.saveUnpacked(t.Context(), s.Writer(), storage.IndexFile, appendIndexFile(nil, []indexedPack{{id: name, blobs: pk.blobs}})); err != nil {
		t.Fatal(err)
	}
	if err := r.LoadIndex(t.Context()); err != nil {
		t.Fatal(err)
	}
	w := testWriter(t, r, s.Writer(), WriterOptions{})
	id := mustSnapshot(t, w, ID(sha256.Sum256(doc)))
	closeWriter(t, w)

	report := mustCheck(t, s, CheckOptions{ReadData: true})
	if !report.OK() || !hasFinding(report, MixedPack) {
		t.Errorf("%+v", report)
	}
	restic(dir, "check", "--read-data")
	x := newRepairRun(t, s)
	defer x.close()
	plan, err := x.d.PlanPackRepair(t.Context(), []ID{name})
	if err != nil {
		t.Fatal(err)
	}
	if err := x.d.RepairPacks(t.Context(), s.Writer(), plan, RepairOptions{}); err != nil {
		t.Fatal(err)
	}
	if report := mustCheck(t, s, CheckOptions{ReadData: true}); !report.OK() || report.Notes > 0 || report.Packs != 2 {
		t.Errorf("after: %+v", report)
	}
	restic(dir, "check", "--read-data")
	target := filepath.Join(t.TempDir(), "out")
	restic(dir, "restore", id.String(), "--target", target)
	if got, err := os.ReadFile(filepath.Join(target, "a")); err != nil || !bytes.Equal(got, data) {
		t.Errorf("restored %d bytes, %v", len(got), err)
	}
}
