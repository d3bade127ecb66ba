package repository

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/ripplebak/ripplebak/storage"
	"github.com/ripplebak/ripplebak/storage/storagetest"
)

func someBlobs() []packedBlob {
	return []packedBlob{
		{BlobHandle: BlobHandle{Type: DataBlob, ID: ID{1}}, offset: 0, length: 100},
		{BlobHandle: BlobHandle{Type: DataBlob, ID: ID{2}}, offset: 100, length: 50, plain: 500},
		{BlobHandle: BlobHandle{Type: TreeBlob, ID: ID{3}}, offset: 150, length: sealOverhead},
		{BlobHandle: BlobHandle{Type: TreeBlob, ID: ID{4}}, offset: 150 + sealOverhead, length: 60, plain: 1 << 20},
	}
}

func TestPackHeader(t *testing.T) {
	blobs := someBlobs()
	raw := appendHeader(nil, blobs)
	if int64(len(raw))+sealOverhead+headerTail != headerSize(blobs) {
		t.Errorf("%d bytes", len(raw))
	}
	got, err := decodeHeader(raw, 210+sealOverhead)
	if err != nil || !slices.Equal(got, blobs) {
		t.Errorf("%v, %v", got, err)
	}
	for name, bad := range map[string][]byte{
		"type": append([]byte{4}, raw[1:]...), "cut": raw[:len(raw)-1], "body": append(slices.Clone(raw), raw[:entryPlain]...),
		"length": append([]byte{0, 1, 0, 0, 0}, make([]byte, 32)...), "no plain": append([]byte{2, 40, 0, 0, 0, 0, 0, 0, 0}, make([]byte, 32)...),
		"empty": {},
	} {
		if _, err := decodeHeader(bad, 210+sealOverhead); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzPackHeader(f *testing.F) {
	f.Add(appendHeader(nil, someBlobs()), int64(210+sealOverhead))
	f.Add([]byte{3, 255, 255, 255, 255}, int64(1<<40))
	f.Fuzz(func(t *testing.T, raw []byte, body int64) {
		blobs, err := decodeHeader(raw, body)
		if err != nil {
			return
		}
		if !bytes.Equal(appendHeader(nil, blobs), raw) {
			t.Error("another encoding")
		}
		for _, b := range blobs {
			if !b.valid() || int64(b.offset)+int64(b.length) > body {
				t.Errorf("%+v", b)
			}
		}
	})
}

func TestIndexFile(t *testing.T) {
	packs := []indexedPack{{id: ID{9}, blobs: someBlobs()}, {id: ID{8}, blobs: someBlobs()[:1]}}
	doc := appendIndexFile(nil, packs)
	if !json.Valid(doc) {
		t.Fatalf("%s", doc)
	}
	var p parsedIndex
	for range 2 { // the second time into used slices
		if err := p.parse(doc); err != nil || !reflect.DeepEqual(p.packs, packs) {
			t.Errorf("%v, %v", p.packs, err)
		}
	}
	// White space, unknown members and another order, as other programs may
	// write them.
	var std map[string]any
	if err := json.Unmarshal(doc, &std); err != nil {
		t.Fatal(err)
	}
	std["later"] = []any{map[string]any{"x": 1.5e3}, nil, true, "\u2028\""}
	std["supersedes"] = []string{ID{7}.String()}
	pretty, err := json.MarshalIndent(std, "", "\t")
	if err != nil {
		t.Fatal(err)
	}
	if err := p.parse(pretty); err != nil || !reflect.DeepEqual(p.packs, packs) || !slices.Equal(p.supersedes, []ID{{7}}) {
		t.Errorf("%v, %v", p, err)
	}
	id := strings.Repeat("a", 64)
	for _, bad := range []string{
		``, `[]`, `{"packs":[{}]}`, `{"packs":[{"id":"` + id + `","blobs":[{}]}]}`, `{"packs":[]}}`, `{"packs":[],}`,
		`{"packs":[{"id":"` + id + `","blobs":[{"id":"` + id + `","type":"data","offset":0,"length":31}]}]}`,
		`{"packs":[{"id":"` + id + `","blobs":[{"id":"` + id + `","type":"file","offset":0,"length":40}]}]}`,
		`{"packs":[{"id":"` + id + `","blobs":[{"id":"` + id + `","type":"data","offset":-1,"length":40}]}]}`,
		`{"packs":[{"id":"` + id + `","blobs":[{"id":"` + id + `","type":"data","offset":4294967295,"length":40}]}]}`,
		`{"packs":[{"id":"` + id + `","blobs":[{"id":"` + id + `","type":"data","length":40,"uncompressed_length":4294967295}]}]}`,
		`{"packs":[{"id":"short"}]}`, `{"x":` + strings.Repeat(`{"a":`, 100) + `1` + strings.Repeat(`}`, 100) + `}`,
	} {
		if err := p.parse([]byte(bad)); !errors.Is(err, ErrDamaged) {
			t.Errorf("%.80s: %v", bad, err)
		}
	}
}

func FuzzIndexFile(f *testing.F) {
	f.Add(appendIndexFile(nil, []indexedPack{{id: ID{9}, blobs: someBlobs()}}))
	f.Add([]byte(`{"supersedes":null,"packs":[ ] , "x":"\ud800"}`))
	f.Fuzz(func(t *testing.T, doc []byte) {
		var p parsedIndex
		if p.parse(doc) != nil {
			return
		}
		if !json.Valid(doc) {
			t.Error("taken, and not JSON")
		}
		x := newIndex()
		x.add(p.packs)
		for _, pk := range p.packs {
			for _, b := range pk.blobs {
				if !x.has(b.BlobHandle) || !b.valid() {
					t.Errorf("%+v", b)
				}
			}
		}
	})
}

// FuzzDocuments feeds everything that is read from JSON or zstd.
func FuzzDocuments(f *testing.F) {
	f.Add([]byte(`{"version":2,"id":"6824f8c186a727d8986f1bd3b5cb77bbbbe831357aa1dda0825387566bd24baa","chunker_polynomial":"2a326323ea33ab"}`))
	f.Add([]byte(`{"time":"2015-01-02T18:10:50.895208559+01:00","tree":"2da81727b6585232894cfbb8f8bdab8d1eccd3d8f7c92bc934d62e62e618ffdf","paths":["/"],"hostname":"k"}`))
	f.Add([]byte(`{"time":"2015-01-02T18:10:50Z","exclusive":true,"hostname":"h","pid":1}`))
	f.Add([]byte(`{"mac":{"k":"evFWd9wWlndL9jc501268g==","r":"E9eEDnSJZgqwTOkDtOp+Dw=="},"encrypt":"UQCqa0lKZ94PygPxMRqkePTZnHRYh1k1pX2k2lM2v3Q="}`))
	f.Add([]byte{compressedFile, 0x28, 0xb5, 0x2f, 0xfd, 0, 0, 0})
	f.Fuzz(func(t *testing.T, doc []byte) {
		if c, err := decodeConfig(doc); err == nil && (c.Version < 1 || c.Version > 2) {
			t.Errorf("config %+v", c)
		}
		if s, err := decodeSnapshot(doc); err == nil && s.Tree == nil {
			t.Error("snapshot without a tree")
		}
		if m, err := decodeMasterKey(doc); err == nil && m.R[3]&0xf0 != 0 {
			t.Error("r is not masked")
		}
		_, _ = decodeLock(doc)
		_, _ = decodeUnpacked(doc)
	})
}

// FuzzKeyFile: a planted key file costs neither hours nor memory.
func FuzzKeyFile(f *testing.F) {
	file, err := newKeyFile(masterKey{}, "p", KDF{N: 2, R: 1, P: 1}, testTime(), "u", "h")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(file)
	f.Add([]byte(`{"kdf":"scrypt","N":1073741824,"r":8,"p":1,"salt":"AAAA","data":"AAAA"}`))
	f.Fuzz(func(t *testing.T, file []byte) {
		var k keyFile
		if json.Unmarshal(file, &k) == nil && (KDF{k.N, k.R, k.P}).check() == nil && k.N*k.R*k.P > 1<<12 {
			t.Skip("an honest price, but too slow to fuzz")
		}
		if _, err := openKeyFile(file, "p"); err != nil && !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrWrongPassword) {
			t.Error(err)
		}
	})
}

// TestF49_Bombs: nothing unfolds to more than was announced.
func TestF49_Bombs(t *testing.T) {
	enc, err := newEncoder(zstd.SpeedDefault)
	if err != nil {
		t.Fatal(err)
	}
	bomb := enc.EncodeAll(make([]byte, 64<<20), nil)
	dec, err := newBlobDecoder(1)
	if err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := inflate(dec, bomb, 1000, nil); !errors.Is(err, ErrDamaged) {
		t.Errorf("bomb: %v", err)
	}
	runtime.ReadMemStats(&after)
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 16<<20 {
		t.Errorf("%d bytes were allocated", grown)
	}
	small := enc.EncodeAll(make([]byte, 999), nil)
	if _, err := inflate(dec, small, 1000, nil); !errors.Is(err, ErrDamaged) {
		t.Errorf("too short: %v", err)
	}
	file := append([]byte{compressedFile}, enc.EncodeAll(make([]byte, maxUnpacked+1<<20), nil)...)
	if _, err := decodeUnpacked(file); !errors.Is(err, ErrDamaged) {
		t.Errorf("unpacked bomb: %v", err)
	}
}

func TestIndexLookup(t *testing.T) {
	x := newIndex()
	const count = 100_000
	id := func(i int) ID { return sha256.Sum256(fmt.Append(nil, i)) }
	for p := range count / 100 {
		pk := indexedPack{id: id(-p - 1)}
		for i := range 100 {
			pk.blobs = append(pk.blobs, packedBlob{BlobHandle: BlobHandle{Type: BlobType(i & 1), ID: id(p*100 + i)}, offset: uint32(i) * 100, length: 100, plain: uint32(i)})
		}
		x.add([]indexedPack{pk})
		x.add([]indexedPack{pk}) // once more from another file
	}
	if x.count != count {
		t.Errorf("%d entries", x.count)
	}
	for i := range count {
		h := BlobHandle{Type: BlobType(i & 1), ID: id(i)}
		p, ok := x.place(h)
		if !ok || p.pack != id(-i/100-1) || p.offset != uint32(i%100)*100 || len(x.places(h)) != 1 {
			t.Fatalf("%d: %+v", i, p)
		}
		if h.Type ^= 1; x.has(h) {
			t.Fatalf("%d is there as %s", i, h)
		}
	}
	size := len(x.blocks)*indexBlock*48 + 4*(cap(x.slots.slots)+cap(x.packTab.slots)) + 32*cap(x.packs)
	if perBlob := float64(size) / count; perBlob > 60 {
		t.Errorf("%.1f bytes a blob", perBlob)
	}
}

func TestInitOpen(t *testing.T) {
	s := storagetest.NewMemory()
	if _, err := Open(t.Context(), s.Reader(), testPassword, Options{}); !errors.Is(err, ErrNoRepository) {
		t.Errorf("nothing there: %v", err)
	}
	testInit(t, s, InitOptions{})
	if err := Init(t.Context(), s.Reader(), s.Writer(), testPassword, InitOptions{KDF: cheapKDF()}); !errors.Is(err, ErrExist) {
		t.Errorf("twice: %v", err)
	}
	if _, err := Open(t.Context(), s.Reader(), "wrong", Options{}); !errors.Is(err, ErrWrongPassword) {
		t.Errorf("wrong password: %v", err)
	}
	if r := testOpen(t, s, Options{}); r.Config().Version != 2 {
		t.Errorf("config %+v", r.Config())
	}
	config := storage.Handle{Kind: storage.ConfigFile}
	file, _ := s.Bytes(config)
	plain, err := testOpen(t, s, Options{}).sealer.open(bytes.Clone(file))
	if err != nil || len(plain) == 0 || plain[0] != '{' {
		t.Errorf("config is not plain JSON: %q, %v", plain, err)
	}
	denied := storagetest.NewFaulty(t, s)
	denied.Arm(storagetest.Fault{Op: storagetest.OpLoad, Err: storage.ErrDenied, Times: -1})
	if _, err := Open(t.Context(), denied.Reader(), testPassword, Options{}); !errors.Is(err, storage.ErrDenied) || errors.Is(err, ErrNoRepository) {
		t.Errorf("denied: %v", err)
	}

	m := s.Copy() // the file of another repository, which lost a race
	other := storagetest.NewMemory()
	testInit(t, other, InitOptions{})
	m.Put(other.Handles(storage.KeyFile)[0], must(other.Bytes(other.Handles(storage.KeyFile)[0])))
	testOpen(t, m, Options{})

	m = s.Copy() // killed between key and config
	m.Delete(config)
	testInit(t, m, InitOptions{})
	if len(m.Handles(storage.KeyFile)) != 1 {
		t.Error("an interrupted init left a key behind")
	}
	testOpen(t, m, Options{})

	m = s.Copy() // a config that is gone from a repository with data
	backup(t, testOpen(t, m, Options{}), m.Writer(), map[string][]byte{"a": {1}})
	m.Delete(config)
	if err := Init(t.Context(), m.Reader(), m.Writer(), testPassword, InitOptions{KDF: cheapKDF()}); !errors.Is(err, ErrExist) {
		t.Errorf("config lost: %v", err)
	}

	for name, damage := range map[string]func(m *storagetest.Memory){
		"config flipped": func(m *storagetest.Memory) { b := bytes.Clone(file); b[20] ^= 1; m.Put(config, b) },
		"config empty":   func(m *storagetest.Memory) { m.Put(config, nil) },
		"config huge":    func(m *storagetest.Memory) { m.Put(config, make([]byte, maxConfig+1)) },
		"no key":         func(m *storagetest.Memory) { m.Delete(m.Handles(storage.KeyFile)[0]) },
		"key altered":    func(m *storagetest.Memory) { m.Put(m.Handles(storage.KeyFile)[0], []byte("{}")) },
	} {
		m := s.Copy()
		damage(m)
		if _, err := Open(t.Context(), m.Reader(), testPassword, Options{}); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func must(b []byte, _ bool) []byte { return b }

func TestVersionOne(t *testing.T) {
	s := storagetest.NewMemory()
	testInit(t, s, InitOptions{Version: 1, Polynomial: testPolynomial.String()})
	r := testOpen(t, s, Options{})
	if r.Config().ChunkerPolynomial != testPolynomial.String() {
		t.Errorf("config %+v", r.Config())
	}
	files := map[string][]byte{"a": make([]byte, 100_000)}
	id := backup(t, r, s.Writer(), files)
	if _, data := dataPack(t, s); len(data) < 100_000 {
		t.Error("a blob of version 1 was compressed")
	}
	verifySnapshot(t, testOpen(t, s, Options{}), id, files)
	if _, err := Open(t.Context(), s.Reader(), testPassword, Options{}); err != nil {
		t.Error(err)
	}
	if err := Init(t.Context(), s.Reader(), s.Writer(), testPassword, InitOptions{Version: 3}); !errors.Is(err, ErrVersion) {
		t.Errorf("version 3: %v", err)
	}
}

func TestSnapshots(t *testing.T) {
	r, s := testRepository(t)
	w := testWriter(t, r, s.Writer(), WriterOptions{})
	defer closeWriter(t, w)
	tree := mustSaveTree(t, w)
	var ids []ID
	for i, snap := range []Snapshot{
		{Hostname: "h", Paths: []string{"/shop"}, Tags: []string{"ripplebak", "project:shop"}},
		{Hostname: "h", Paths: []string{"/shop2"}, Tags: []string{"ripplebak", "project:shop2"}},
		{Hostname: "h", Paths: []string{"/shop"}, Tags: []string{"ripplebak", "project:shop", "safety"}},
	} {
		snap.Tree, snap.Time = &tree, testTime().Add(time.Duration(-i)*time.Hour)
		snap.Summary = &Summary{FilesNew: 3}
		id, err := w.SaveSnapshot(t.Context(), &snap)
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	list, bad, err := r.Snapshots(t.Context())
	if err != nil || len(bad) > 0 || len(list) != 3 || list[0].ID != ids[2] || list[2].ID != ids[0] || list[0].Summary.FilesNew != 3 {
		t.Fatalf("%v %v %v", list, bad, err)
	}
	// Project shop beside shop2, never a safety snapshot.
	got, ok := Latest(list, SnapshotFilter{Tags: []string{"project:shop"}, Paths: []string{"/shop"}, Without: []string{"safety"}})
	if !ok || got.ID != ids[0] {
		t.Errorf("parent %v", got)
	}
	if _, ok := Latest(list, SnapshotFilter{Hostname: "other"}); ok {
		t.Error("parent of another host")
	}
	if id, err := r.FindSnapshot(t.Context(), ids[1].String()[:20]); err != nil || id != ids[1] {
		t.Errorf("prefix: %v, %v", id, err)
	}
	for _, none := range []string{"", "zz", ids[0].String() + "0"} {
		if _, err := r.FindSnapshot(t.Context(), none); !errors.Is(err, ErrNoSnapshot) {
			t.Errorf("%q: %v", none, err)
		}
	}
	if _, err := r.LoadSnapshot(t.Context(), ID{1}); !errors.Is(err, ErrNoSnapshot) {
		t.Errorf("unknown: %v", err)
	}
	for flip := range byte(2) {
		id := ids[0]
		id[31] ^= 1 + flip
		s.Put(storage.Handle{Kind: storage.SnapshotFile, Name: id.String()}, []byte("x"))
	}
	if _, err := r.FindSnapshot(t.Context(), ids[0].String()[:60]); !errors.Is(err, ErrAmbiguous) {
		t.Errorf("ambiguous: %v", err)
	}
	if list, bad, err := r.Snapshots(t.Context()); err != nil || len(list) != 3 || len(bad) != 2 {
		t.Errorf("with damaged ones: %d, %v, %v", len(list), bad, err)
	}
}

// TestResolve walks down paths.
func TestResolve(t *testing.T) {
	r, s := testRepository(t)
	w := testWriter(t, r, s.Writer(), WriterOptions{})
	defer closeWriter(t, w)
	inner := mustSaveTree(t, w, &Node{Name: "f", Type: NodeFIFO})
	root := mustSaveTree(t, w, dirNode("d", inner))
	if n, err := r.Resolve(t.Context(), root, "d", "f"); err != nil || n.Type != NodeFIFO {
		t.Errorf("%v, %v", n, err)
	}
	if n, err := r.Resolve(t.Context(), root); err != nil || *n.Subtree != root {
		t.Errorf("%v, %v", n, err)
	}
	for _, path := range [][]string{{"x"}, {"d", "x"}, {"d", "f", "x"}} {
		if _, err := r.Resolve(t.Context(), root, path...); !errors.Is(err, ErrNoNode) {
			t.Errorf("%q: %v", path, err)
		}
	}
}

// TestCache: a second process asks the storage for no tree and no index; what
// is damaged in the cache is asked for again.
func TestCache(t *testing.T) {
	mem := storagetest.NewMemory()
	testInit(t, mem, InitOptions{})
	dir := t.TempDir()
	warn := func(err error) { t.Errorf("warning: %v", err) }
	id := backup(t, testOpen(t, mem, Options{}), mem.Writer(), map[string][]byte{"a": {1}})
	testOpen(t, mem, Options{CacheDir: dir, Warn: warn})
	r := testOpen(t, mem, Options{CacheDir: dir, Warn: warn})
	load := func() error {
		s, err := r.LoadSnapshot(t.Context(), id)
		if err == nil {
			_, err = r.LoadTree(t.Context(), *s.Tree)
		}
		return err
	}
	if err := load(); err != nil {
		t.Fatal(err)
	}
	faulty := storagetest.NewFaulty(t, mem)
	offline := faulty.Arm(storagetest.Fault{Op: storagetest.OpLoad, Kind: storage.PackFile, Times: -1})
	r = testOpen(t, faulty, Options{CacheDir: dir, Warn: warn})
	if err := load(); err != nil || offline.Hits() > 0 {
		t.Errorf("with a full cache: %v, %d loads", err, offline.Hits())
	}
	// Flip a bit in every cached file.
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for i := range b {
			b[i] ^= 0x55
		}
		return os.WriteFile(path, b, 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := load(); !errors.Is(err, storagetest.ErrInjected) || offline.Hits() == 0 {
		t.Errorf("with a damaged cache and no storage: %v", err)
	}
	r = testOpen(t, mem, Options{CacheDir: dir, Warn: warn})
	if err := load(); err != nil {
		t.Errorf("with a damaged cache: %v", err)
	}
	// What the repository no longer has leaves the cache.
	for _, k := range []storage.Kind{storage.SnapshotFile, storage.IndexFile, storage.PackFile} {
		for _, h := range mem.Handles(k) {
			mem.Delete(h)
		}
	}
	r = testOpen(t, mem, Options{CacheDir: dir, Warn: warn})
	if _, _, err := r.Snapshots(t.Context()); err != nil {
		t.Fatal(err)
	}
	left := 0
	_ = filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() && filepath.Base(filepath.Dir(path)) != "keys" {
			left++
		}
		return nil
	})
	r.index.reset()
	if left != 0 {
		t.Errorf("%d files are left in the cache", left)
	}
}

// TestF33_CacheBroken: a cache that cannot be written costs a warning.
func TestF33_CacheBroken(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	full := "/dev/full" // a file below it cannot be made either
	for _, dir := range []string{file, full} {
		mem := storagetest.NewMemory()
		testInit(t, mem, InitOptions{})
		var warnings atomic.Int32
		r := testOpen(t, mem, Options{CacheDir: dir, Warn: func(error) { warnings.Add(1) }})
		files := map[string][]byte{"a": testData(1, 1000)}
		id := backup(t, r, mem.Writer(), files)
		verifySnapshot(t, r, id, files)
		if warnings.Load() != 1 {
			t.Errorf("%s: %d warnings", dir, warnings.Load())
		}
	}
}
