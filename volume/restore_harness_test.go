package volume

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// listed is one entry of a snapshot made for a test.
type listed struct {
	entry Entry
	blobs []Blob
}

// testSnapshot is a snapshot of a directory, taken by looking at it with
// nothing of this package's walk. Content is read from there when it is fetched.
type testSnapshot struct {
	cut   int64
	list  []listed
	where map[[32]byte]spotOf
	zeros map[int64][32]byte // by length

	mu        sync.Mutex
	fetched   map[[32]byte]int
	onEntry   func(i int) error
	onFetch   func(want []Blob) error
	backwards bool // send blobs last first
}

type spotOf struct {
	path   string
	offset int64
	data   []byte // instead of path
}

const testChunk = 64 << 10

// snapshotOf takes a snapshot of dir in chunks of testChunk.
func snapshotOf(t testing.TB, dir string) *testSnapshot {
	t.Helper()
	return snapshotCut(t, dir, testChunk)
}

// snapshotCut takes a snapshot of dir in chunks of so many bytes.
func snapshotCut(t testing.TB, dir string, chunk int64) *testSnapshot {
	t.Helper()
	s := &testSnapshot{cut: chunk, where: map[[32]byte]spotOf{}, zeros: map[int64][32]byte{}, fetched: map[[32]byte]int{}}
	first := map[uint64]string{}
	var visit func(path string)
	visit = func(path string) {
		full := filepath.Join(dir, path)
		var st unix.Stat_t
		if err := unix.Lstat(full, &st); err != nil {
			t.Fatal(err)
		}
		e := Entry{
			Path: path, Type: typeOf(st.Mode), Mode: st.Mode & 0o7777, UID: st.Uid, GID: st.Gid,
			ModTime:    Time{Sec: st.Mtim.Sec, Nsec: uint32(st.Mtim.Nsec)},
			AccessTime: Time{Sec: st.Atim.Sec, Nsec: uint32(st.Atim.Nsec)},
			ChangeTime: Time{Sec: st.Ctim.Sec, Nsec: uint32(st.Ctim.Nsec)},
			Inode:      st.Ino, Links: uint64(st.Nlink), Xattrs: xattrsOf(t, full),
		}
		switch e.Type {
		case CharDevice, BlockDevice:
			e.Rdev = st.Rdev
		case Symlink:
			var err error
			if e.LinkTarget, err = os.Readlink(full); err != nil {
				t.Fatal(err)
			}
		case File:
			e.Size = st.Size
		}
		if e.Type != Dir && e.Links > 1 {
			if other, ok := first[e.Inode]; ok {
				e.HardLinkOf = other
			} else {
				first[e.Inode] = path
			}
		}
		l := listed{entry: e}
		if e.Type == File && e.HardLinkOf == "" {
			l.blobs = s.chunk(t, full, e.Size)
		}
		s.list = append(s.list, l)
		if e.Type != Dir {
			return
		}
		names, err := os.ReadDir(full)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range names {
			visit(joinPath(path, n.Name()))
		}
	}
	visit("")
	return s
}

func (s *testSnapshot) chunk(t testing.TB, path string, size int64) []Blob {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var out []Blob
	buf := make([]byte, s.cut)
	zero := make([]byte, s.cut)
	for offset := int64(0); offset < size; {
		n := min(size-offset, s.cut)
		data, err := unix.Seek(int(f.Fd()), offset, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) || err == nil && data >= offset+n {
			hole := min(size-offset, 1<<20)
			if err == nil {
				hole = min(hole, (data-offset)/s.cut*s.cut)
			}
			if _, ok := s.zeros[hole]; !ok {
				s.zeros[hole] = sha256.Sum256(make([]byte, hole))
			}
			out = append(out, Blob{ID: s.zeros[hole], Length: uint32(hole), Hole: true})
			offset += hole
			continue
		}
		if _, err := f.ReadAt(buf[:n], offset); err != nil {
			t.Fatal(err)
		}
		b := Blob{ID: sha256.Sum256(buf[:n]), Length: uint32(n), Hole: bytes.Equal(buf[:n], zero[:n])}
		s.where[b.ID] = spotOf{path: path, offset: offset}
		out = append(out, b)
		offset += n
	}
	return out
}

func xattrsOf(t testing.TB, path string) []Xattr {
	t.Helper()
	names := make([]byte, 64<<10)
	n, err := unix.Llistxattr(path, names)
	if err != nil {
		return nil
	}
	var out []Xattr
	for _, name := range strings.Split(strings.TrimSuffix(string(names[:n]), "\x00"), "\x00") {
		if name == "" || strings.HasPrefix(name, "trusted.") || name == "security.selinux" {
			continue
		}
		value := make([]byte, 64<<10)
		n, err := unix.Lgetxattr(path, name, value)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, Xattr{Name: name, Value: value[:n]})
	}
	return out
}

func (s *testSnapshot) Entries(_ context.Context, yield func(Entry, []Blob) error) error {
	for i, l := range s.list {
		if s.onEntry != nil {
			if err := s.onEntry(i); err != nil {
				return err
			}
		}
		if err := yield(l.entry, l.blobs); err != nil {
			return err
		}
	}
	return nil
}

func (s *testSnapshot) Fetch(_ context.Context, want []Blob, put func(Blob, []byte) error) error {
	if s.onFetch != nil {
		if err := s.onFetch(want); err != nil {
			return err
		}
	}
	for i := range want {
		b := want[i]
		if s.backwards {
			b = want[len(want)-1-i]
		}
		data, err := s.load(b)
		if err != nil {
			return err
		}
		s.mu.Lock()
		s.fetched[b.ID]++
		s.mu.Unlock()
		if err := put(b, data); err != nil {
			return err
		}
	}
	return nil
}

func (s *testSnapshot) load(b Blob) ([]byte, error) {
	at, ok := s.where[b.ID]
	if !ok {
		return nil, fmt.Errorf("blob %x is not in the snapshot", b.ID[:4])
	}
	if at.data != nil {
		return at.data, nil
	}
	f, err := os.Open(at.path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data := make([]byte, b.Length)
	_, err = io.ReadFull(io.NewSectionReader(f, at.offset, int64(b.Length)), data)
	return data, err
}

// restoreInto restores a snapshot into dir over a real socket.
func restoreInto(t testing.TB, dir string, s RestoreSource, change ...func(*RestoreRequest)) (*RestoreReport, error) {
	t.Helper()
	req := RestoreRequest{Root: dir, ID: "test"}
	for _, c := range change {
		c(&req)
	}
	return connect(t, 1).Restore(t.Context(), req, s)
}

func mustRestore(t testing.TB, dir string, s RestoreSource, change ...func(*RestoreRequest)) *RestoreReport {
	t.Helper()
	rep, err := restoreInto(t, dir, s, change...)
	if err != nil {
		t.Fatalf("restore: %v", err)
	}
	return rep
}

// sameTree holds two directories against each other by rsync, which has no part
// of this code.
func sameTree(t testing.TB, a, b string) {
	t.Helper()
	if diff := treeDiff(t, a, b); diff != "" {
		t.Fatalf("%s and %s differ:\n%s", a, b, diff)
	}
}

func treeDiff(t testing.TB, a, b string) string {
	t.Helper()
	rsync, err := exec.LookPath("rsync")
	if err != nil {
		t.Skip("rsync is not installed")
	}
	out, err := exec.Command(rsync, "-aHAXn", "--checksum", "--itemize-changes", "--delete", a+"/", b+"/").CombinedOutput()
	if err != nil {
		t.Fatalf("rsync: %v\n%s", err, out)
	}
	return string(out)
}

// copyTree makes b what a is, times and all.
func copyTree(t testing.TB, a, b string) {
	t.Helper()
	if out, err := exec.Command("cp", "-a", a+"/.", b+"/").CombinedOutput(); err != nil {
		t.Fatalf("cp: %v\n%s", err, out)
	}
}

// noStaging fails if a restore left anything of its own.
func noStaging(t testing.TB, dir string) {
	t.Helper()
	left, err := filepath.Glob(filepath.Join(dir, StagingPrefix+"*"))
	if err != nil || len(left) > 0 {
		t.Fatalf("left behind: %v %v", left, err)
	}
}

func writeFile(t testing.TB, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// noise is n bytes that do not repeat.
func noise(seed, n int) string {
	out := make([]byte, 0, n+32)
	for i := 0; len(out) < n; i++ {
		sum := sha256.Sum256(fmt.Appendf(nil, "%d %d", seed, i))
		out = append(out, sum[:]...)
	}
	return string(out[:n])
}

func blobOf(data []byte) Blob {
	return Blob{ID: sha256.Sum256(data), Length: uint32(len(data))}
}
