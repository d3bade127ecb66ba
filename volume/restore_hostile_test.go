package volume

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// listSource is a listing as a test wants it, with content by its first byte.
type listSource []listed

func (s listSource) Entries(_ context.Context, yield func(Entry, []Blob) error) error {
	for _, l := range s {
		if err := yield(l.entry, l.blobs); err != nil {
			return err
		}
	}
	return nil
}

func (s listSource) Fetch(_ context.Context, want []Blob, put func(Blob, []byte) error) error {
	for _, b := range want {
		if err := put(b, bytes.Repeat(b.ID[:1], int(b.Length))); err != nil {
			return err
		}
	}
	return nil
}

func dirAt(path string) listed {
	return listed{entry: Entry{Path: path, Type: Dir, Mode: 0o755, Links: 2}}
}

func fileAt(path string, blobs ...Blob) listed {
	l := listed{entry: Entry{Path: path, Type: File, Mode: 0o644, Links: 1}, blobs: blobs}
	for _, b := range blobs {
		l.entry.Size += int64(b.Length)
	}
	return l
}

func linkAt(path, target string) listed {
	return listed{entry: Entry{Path: path, Type: Symlink, Mode: 0o777, Links: 1, LinkTarget: target}}
}

func hardAt(path, of string) listed {
	return listed{entry: Entry{Path: path, Type: File, Mode: 0o644, Links: 2, HardLinkOf: of}}
}

func (l listed) with(change func(*Entry)) listed {
	change(&l.entry)
	return l
}

func byteBlob(c byte, n uint32) Blob { return Blob{ID: [32]byte{c}, Length: n} }

// jail is a volume with something beside it that must stay as it is.
func jail(t testing.TB) (dir string, check func()) {
	t.Helper()
	top := t.TempDir()
	dir = top + "/volume"
	writeFile(t, dir+"/old", "old")
	writeFile(t, top+"/outside/canary", "alive")
	return dir, func() {
		t.Helper()
		left, err := filepath.Glob(top + "/*")
		if err != nil || len(left) != 2 {
			t.Errorf("beside the volume: %v %v", left, err)
		}
		inside, err := os.ReadDir(top + "/outside")
		if err != nil || len(inside) != 1 {
			t.Errorf("outside: %v %v", inside, err)
		}
		if b, err := os.ReadFile(top + "/outside/canary"); err != nil || string(b) != "alive" {
			t.Errorf("the canary: %q %v", b, err)
		}
		noStaging(t, dir)
	}
}

func TestF20_HostileListingsAreRefused(t *testing.T) {
	root := dirAt("")
	huge := strings.Repeat("n", 64<<10)
	for name, list := range map[string]listSource{
		"nothing":                            {},
		"no root":                            {fileAt("a")},
		"root is a file":                     {fileAt("")},
		"root twice":                         {root, root},
		"dot dot":                            {root, fileAt("..")},
		"dot dot inside":                     {root, dirAt("a"), fileAt("a/../../outside/x")},
		"dot":                                {root, dirAt("."), fileAt("./x")},
		"absolute":                           {root, fileAt("/etc/x")},
		"empty name":                         {root, dirAt("a"), fileAt("a/")},
		"empty part":                         {root, dirAt("a"), fileAt("a//b")},
		"NUL":                                {root, fileAt("a\x00b")},
		"64 KiB name":                        {root, fileAt(huge)},
		"path beyond all":                    {root, fileAt(huge + huge)},
		"without its directory":              {root, fileAt("a/b")},
		"below a file":                       {root, fileAt("a"), fileAt("a/b")},
		"through a symlink":                  {root, linkAt("a", "../outside"), fileAt("a/x", byteBlob('x', 3))},
		"two hops":                           {root, linkAt("a", "b"), linkAt("b", "../outside"), fileAt("b/x", byteBlob('x', 3))},
		"twice":                              {root, fileAt("a"), fileAt("a")},
		"link, then a directory of its name": {root, linkAt("a", "../outside"), dirAt("a"), fileAt("a/x")},
		"unsorted":                           {root, fileAt("b"), fileAt("a")},
		"a directory left":                   {root, dirAt("a"), fileAt("b"), fileAt("a/x")},
		"hard link outside":                  {root, hardAt("a", "../outside/canary")},
		"hard link absolute":                 {root, hardAt("a", "/etc/passwd")},
		"hard link to itself":                {root, hardAt("a", "a")},
		"hard link to what comes":            {root, hardAt("a", "b"), fileAt("b").with(func(e *Entry) { e.Links = 2 })},
		"hard link to what was":              {root, hardAt("z", "old")},
		"hard link through a symlink":        {root, linkAt("a", "../outside"), hardAt("b", "a/canary")},
		"hard link to a directory":           {root, dirAt("a"), hardAt("b", "a")},
		"directory as hard link":             {root, fileAt("a").with(func(e *Entry) { e.Links = 2 }), dirAt("b").with(func(e *Entry) { e.HardLinkOf = "a" })},
		"hard link with content":             {root, fileAt("a").with(func(e *Entry) { e.Links = 2 }), fileAt("b", byteBlob('x', 3)).with(func(e *Entry) { e.HardLinkOf = "a" })},
		"negative size":                      {root, fileAt("a").with(func(e *Entry) { e.Size = -1 })},
		"more than its size":                 {root, fileAt("a", byteBlob('x', 10)).with(func(e *Entry) { e.Size = 9 })},
		"less than its size":                 {root, fileAt("a", byteBlob('x', 10)).with(func(e *Entry) { e.Size = 1 << 62 })},
		"size without content":               {root, fileAt("a").with(func(e *Entry) { e.Size = math.MaxInt64 })},
		"empty blob":                         {root, fileAt("a", byteBlob('x', 0), byteBlob('y', 1))},
		"blob beyond all":                    {root, fileAt("a", byteBlob('x', math.MaxUint32))},
		"one blob, two lengths":              {root, fileAt("a", byteBlob('x', 3)), fileAt("b", byteBlob('x', 4))},
		"directory with a size":              {root, dirAt("a").with(func(e *Entry) { e.Size = 5 })},
		"directory with content":             {root, listed{entry: dirAt("a").entry, blobs: []Blob{byteBlob('x', 3)}}},
		"no type":                            {root, fileAt("a").with(func(e *Entry) { e.Type = 0 })},
		"unknown type":                       {root, fileAt("a").with(func(e *Entry) { e.Type = 99 })},
		"mode beyond":                        {root, fileAt("a").with(func(e *Entry) { e.Mode = 0o100644 })},
		"symlink to nothing":                 {root, linkAt("a", "")},
		"symlink with NUL":                   {root, linkAt("a", "b\x00c")},
		"attribute without name":             {root, fileAt("a").with(func(e *Entry) { e.Xattrs = []Xattr{{}} })},
		"attribute beyond":                   {root, fileAt("a").with(func(e *Entry) { e.Xattrs = []Xattr{{Name: "user.x", Value: make([]byte, 65<<10)}} })},
		"our own directory":                  {root, dirAt(StagingPrefix + "test"), fileAt(StagingPrefix + "test/journal")},
		"another's directory":                {root, dirAt(StagingPrefix + "zzz")},
	} {
		t.Run(name, func(t *testing.T) {
			dir, check := jail(t)
			_, err := restoreInto(t, dir, list)
			if name == "our own directory" {
				// It is there, so it is left alone, and so is what it lists.
				if err != nil {
					t.Fatal(err)
				}
				check()
				return
			}
			if !errors.Is(err, ErrHostileListing) && !strings.Contains(fmt.Sprint(err), "bounds") {
				t.Errorf("error = %v", err)
			}
			check()
			if b, err := os.ReadFile(dir + "/old"); err != nil || string(b) != "old" {
				t.Errorf("the old data: %q %v", b, err)
			}
		})
	}
}

func TestF20_LinksThatAreInTheVolumeAreNotFollowed(t *testing.T) {
	dir, check := jail(t)
	sh(t, dir, `ln -s ../outside d; ln -s ../outside/canary f; ln -s d two; mkdir real; ln -s ../../outside real/in; ln -s ../outside gone`)
	list := listSource{
		dirAt(""), dirAt("d"), fileAt("d/canary", byteBlob('x', 3)), fileAt("f", byteBlob('y', 3)),
		dirAt("real"), dirAt("real/in"), fileAt("real/in/canary", byteBlob('z', 3)),
		dirAt("two"), linkAt("two/s", "/etc/passwd"),
	}
	mustRestore(t, dir, list)
	check()
	for path, want := range map[string]string{"/d/canary": "xxx", "/f": "yyy", "/real/in/canary": "zzz"} {
		if b, err := os.ReadFile(dir + path); err != nil || string(b) != want {
			t.Errorf("%s: %q %v", path, b, err)
		}
		if st, err := os.Lstat(filepath.Dir(dir + path)); err != nil || !st.IsDir() {
			t.Errorf("%s: %v %v", filepath.Dir(path), st, err)
		}
	}
}

func TestF20_HugeSparseFileTakesNoSpace(t *testing.T) {
	dir, check := jail(t)
	blobs := make([]Blob, 1<<20)
	for i := range blobs {
		blobs[i] = Blob{ID: [32]byte{1}, Length: 1 << 23, Hole: true}
	}
	rep, err := restoreInto(t, dir, listSource{dirAt(""), fileAt("a", blobs...)}) // 8 TiB
	check()
	if err == nil {
		if st, err := os.Stat(dir + "/a"); err != nil || st.Size() != 1<<43 {
			t.Errorf("%v %v", st, err)
		}
		if rep.NeedBytes > 1<<20 {
			t.Errorf("needs %d bytes", rep.NeedBytes)
		}
	}
}

// millionSource lists a directory of n empty files without holding it.
type millionSource struct{ n int }

func (m millionSource) Entries(_ context.Context, yield func(Entry, []Blob) error) error {
	if err := yield(dirAt("").entry, nil); err != nil {
		return err
	}
	for i := range m.n {
		if err := yield(fileAt(fmt.Sprintf("file-%09d", i)).entry, nil); err != nil {
			return err
		}
	}
	return nil
}

func (m millionSource) Fetch(context.Context, []Blob, func(Blob, []byte) error) error { return nil }

func TestF20_MillionEntriesInBoundedMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("long")
	}
	dir := t.TempDir()
	var peak uint64
	rep, err := restoreInto(t, dir, millionSource{n: 1_000_000}, func(r *RestoreRequest) {
		r.DryRun = true
		r.Progress = func(p RestoreProgress) {
			if p.Listed%100_000 != 0 {
				return
			}
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			peak = max(peak, m.HeapAlloc)
		}
	})
	if err != nil || rep.Files != 1_000_000 {
		t.Fatalf("%+v %v", rep, err)
	}
	if peak > 64<<20 {
		t.Errorf("%d MiB of heap", peak>>20)
	}
}

// fuzzSupply is a listing that takes everything from bytes.
type fuzzSupply struct {
	data []byte
	list []Blob
	sent int
}

func (f *fuzzSupply) next() byte {
	if len(f.data) == 0 {
		return 0
	}
	c := f.data[0]
	f.data = f.data[1:]
	return c
}

func (f *fuzzSupply) name() string {
	parts := []string{"a", "b", "c", "..", ".", "", "old", "/", "a\x00", "d", "lost+found", StagingPrefix + "fuzz", "\xff"}
	path := ""
	for n := f.next() % 4; n > 0; n-- {
		path = joinPath(path, parts[int(f.next())%len(parts)])
	}
	return path
}

func (f *fuzzSupply) entry() (*Entry, int64, error) {
	if len(f.data) == 0 {
		return nil, 0, io.EOF
	}
	e := &Entry{Path: f.name(), Type: Type(f.next() % 8), Mode: 0o755, Links: uint64(f.next() % 4), Inode: uint64(f.next())}
	blobs := int64(0)
	switch e.Type {
	case Symlink:
		e.LinkTarget = "../outside/" + f.name()
	case File:
		if f.next()%4 == 0 {
			e.HardLinkOf = f.name()
		}
		if e.HardLinkOf == "" {
			blobs = int64(f.next() % 4)
			e.Size = blobs * 5
		}
		if f.next()%16 == 0 {
			e.Size = int64(f.next()) - 128
		}
	}
	return e, blobs, nil
}

func (f *fuzzSupply) blobs() ([]Blob, error) {
	return []Blob{{ID: [32]byte{f.next() % 4}, Length: 5, Hole: f.next()%4 == 0}}, nil
}
func (f *fuzzSupply) planned(*RestoreReport) error { return nil }
func (f *fuzzSupply) want(list []Blob) error       { f.list, f.sent = list, 0; return nil }
func (f *fuzzSupply) blob() (int, int, error) {
	if f.sent == len(f.list) {
		return 0, 0, io.EOF
	}
	f.sent++
	return f.sent - 1, int(f.list[f.sent-1].Length), nil
}

func (f *fuzzSupply) read(p []byte) error {
	for i := range p {
		p[i] = 'x'
	}
	return nil
}

func FuzzF20_RestoreListing(f *testing.F) {
	f.Add([]byte{0, 2, 2, 1})
	f.Add([]byte{0, 2, 2, 1, 1, 0, 3, 1, 1, 2, 0, 3, 2, 0, 6, 1, 1, 1, 1, 1, 2, 1, 1, 1, 1})
	f.Add([]byte{0, 2, 2, 1, 1, 0, 2, 2, 1, 2, 0, 3, 1, 1, 1, 1, 2, 2, 1, 1, 0, 0, 1, 1, 1, 1, 5, 1, 1, 1})
	f.Fuzz(func(t *testing.T, data []byte) {
		dir, check := jail(t)
		s := &fuzzSupply{data: data}
		_, err := runRestore(t.Context(), RestoreRequest{Root: dir, ID: "fuzz"}, s, nil)
		check()
		if b, rerr := os.ReadFile(dir + "/old"); err != nil && (rerr != nil || string(b) != "old") {
			t.Errorf("the old data after %v: %q %v", err, b, rerr)
		}
	})
}

func FuzzF20_RestoreStream(f *testing.F) {
	var good bytes.Buffer
	var enc encoder
	root := dirAt("").entry
	enc.entry(&root)
	enc.int(0)
	_ = writeMsg(&good, msgEntry, len(enc.buf), enc.buf)
	_ = writeMsg(&good, msgListed, 0)
	f.Add(good.Bytes())
	f.Add([]byte{msgEntry, 0xff, 0xff, 0xff, 0xff})
	f.Add([]byte{msgBlobs, 0, 0, 0, 37})
	f.Fuzz(func(t *testing.T, data []byte) {
		dir, check := jail(t)
		here, there := net.Pipe()
		defer here.Close()
		go func() { _, _ = io.Copy(io.Discard, there) }()
		go func() {
			s := newStream(there, bufio.NewReader(there))
			_, _ = s.Write(data)
			_ = s.CloseWrite()
		}()
		defer there.Close()
		s := newStream(here, bufio.NewReader(here))
		_, err := runRestore(t.Context(), RestoreRequest{Root: dir, ID: "fuzz", DryRun: true}, &wireSupply{s: s}, nil)
		check()
		if err == nil && len(data) < good.Len() {
			t.Error("a stream shorter than any was taken for whole")
		}
	})
}

func FuzzF20_JournalRecord(f *testing.F) {
	for _, op := range []operation{
		{kind: opHead, path: "id"}, {kind: opRemove, path: "a/b", n: 7, dir: true},
		{kind: opPlace, path: "x", n: 1}, {kind: opMeta, path: "m", new: Entry{Path: "m"}},
	} {
		var e encoder
		op.encode(&e)
		f.Add(e.buf)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		op, err := decodeOperation(data)
		if err != nil {
			return
		}
		if op.kind != opHead && op.path != "" && checkOpPath(op.path) != nil {
			t.Errorf("took %q for a path", op.path)
		}
		var e encoder
		op.encode(&e)
		again, err := decodeOperation(e.buf)
		if err != nil || again.path != op.path || again.kind != op.kind || again.n != op.n {
			t.Errorf("%+v came back as %+v, %v", op, again, err)
		}
	})
}
