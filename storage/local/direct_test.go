package local

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/ripplebak/ripplebak/storage"
	"github.com/ripplebak/ripplebak/storage/storagetest"
)

// TestLargeFilesPassThePageCacheBy: whatever its length, a file is stored as it
// is, and of a large one hardly anything is left in memory.
func TestLargeFilesPassThePageCacheBy(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Writer().Provision(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i, size := range []int{0, 1, directFrom - 1, directFrom, directFrom + 1, directFrom + directBlock, 2*directBuffer - 1, 8<<20 + 123} {
		data := storagetest.Content(uint64(i), size)
		h := storagetest.HandleFor(storage.PackFile, data)
		if err := s.Writer().Save(t.Context(), h, storage.NewPayload(data)); err != nil {
			t.Fatalf("%d bytes: %v", size, err)
		}
		path := filepath.Join(dir, h.Path())
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		cached := -1
		if size >= directFrom && takesDirect(f) {
			cached = cachedPages(t, f, size)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		if cached > size/directBlock/10+2 {
			t.Errorf("%d bytes: %d pages are in the page cache", size, cached)
		}
		if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, data) {
			t.Errorf("%d bytes: %d are stored, %v", size, len(got), err)
		}
	}
}

func cachedPages(t *testing.T, f *os.File, size int) (n int) {
	t.Helper()
	m, err := unix.Mmap(int(f.Fd()), 0, size, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(m)
	vec := make([]byte, (size+directBlock-1)/directBlock)
	if err := mincore(m, vec); err != nil {
		t.Fatal(err)
	}
	for _, v := range vec {
		n += int(v & 1)
	}
	return n
}

// TestDirectWritesGiveWay: where the filesystem wants another alignment than
// ours, the rest goes by the page cache, and nothing is lost.
func TestDirectWritesGiveWay(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "file"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if !takesDirect(f) {
		t.Skip("this filesystem takes no direct writes")
	}
	out := newOutput(f, directFrom)
	data := storagetest.Content(1, 3*directBlock)
	odd := alignedBuffer(4 * directBlock)[1:] // no address that a direct write takes
	copy(odd, data)
	for _, p := range [][]byte{odd[:directBlock], odd[directBlock : 3*directBlock]} {
		if err := out.write(p); err != nil {
			t.Fatal(err)
		}
	}
	if out.direct {
		t.Error("writes from an odd address are direct")
	}
	if got, err := os.ReadFile(f.Name()); err != nil || !bytes.Equal(got, data) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

func mincore(m, vec []byte) error {
	_, _, errno := unix.Syscall(unix.SYS_MINCORE, uintptr(unsafe.Pointer(unsafe.SliceData(m))), uintptr(len(m)), uintptr(unsafe.Pointer(unsafe.SliceData(vec))))
	if errno != 0 {
		return errno
	}
	return nil
}
