package volume

import (
	"context"
	"os"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// TestLargeFilesAreRestoredPastThePageCache: wherever their blobs begin and
// end, files are restored as they were, and hardly anything of the large ones
// is left in memory.
func TestLargeFilesAreRestoredPastThePageCache(t *testing.T) {
	for _, cut := range []int64{testChunk, 300_001, 1 << 20, 1<<20 + 1} {
		src, dst := t.TempDir(), t.TempDir()
		large := 5<<20 + 77
		writeFile(t, src+"/large", noise(1, large))
		writeFile(t, src+"/whole", noise(2, 4<<20))
		writeFile(t, src+"/below", noise(3, directFile-1))
		writeFile(t, src+"/sparse", "")
		f, err := os.OpenFile(src+"/sparse", os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, offset := range []int64{1 << 20, 3<<20 + 5} {
			if _, err := f.WriteAt([]byte(noise(int(offset), 700_000)), offset); err != nil {
				t.Fatal(err)
			}
		}
		if err := f.Truncate(9<<20 + 3); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		s := snapshotCut(t, src, cut)
		s.backwards = cut%2 == 1
		mustRestore(t, dst, s)
		if n := cachedPages(t, dst+"/large"); n > large/directAddress/8 {
			t.Errorf("chunks of %d: %d pages are in the page cache", cut, n)
		}
		sameTree(t, src, dst)
		noStaging(t, dst)

		// Of a file that differs in one place, the rest is taken from there.
		writeFile(t, dst+"/large", noise(1, large-100)+noise(4, 100))
		mustRestore(t, dst, snapshotCut(t, src, cut))
		sameTree(t, src, dst)
	}
}

// cachedPages is how much of a file is in the page cache, and 0 where the
// filesystem takes no direct writes.
func cachedPages(t *testing.T, path string) (n int) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if !takesDirect(int(f.Fd())) {
		return 0
	}
	fi, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	m, err := unix.Mmap(int(f.Fd()), 0, int(fi.Size()), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(m)
	vec := make([]byte, (len(m)+os.Getpagesize()-1)/os.Getpagesize())
	_, _, errno := unix.Syscall(unix.SYS_MINCORE, uintptr(unsafe.Pointer(&m[0])), uintptr(len(m)), uintptr(unsafe.Pointer(&vec[0])))
	if errno != 0 {
		t.Fatal(errno)
	}
	for _, v := range vec {
		n += int(v & 1)
	}
	return n
}

func TestAligned(t *testing.T) {
	page := int64(os.Getpagesize())
	for _, c := range []struct {
		offset   int64
		length   int
		from, to int
	}{
		{0, int(2 * page), 0, int(2 * page)},
		{0, int(2*page) + 5, 0, int(2 * page)},
		{1, int(2 * page), int(page) - 1, int(2*page) - 1},
		{page - 1, int(page) + 2, 1, int(page) + 1},
		{1, int(page), 0, 0},
		{1, 5, 0, 0},
		{page, 5, 0, 0},
	} {
		if from, to := aligned(c.offset, c.length); from != c.from || to != c.to {
			t.Errorf("%d bytes at %d: %d to %d, want %d to %d", c.length, c.offset, from, to, c.from, c.to)
		}
	}
}

// changing changes a file of the volume once content of it is asked for.
type changing struct {
	*testSnapshot
	change func()
}

func (c *changing) Fetch(ctx context.Context, want []Blob, put func(Blob, []byte) error) error {
	c.change()
	return c.testSnapshot.Fetch(ctx, want, put)
}

// TestRestoreThatFailsLeavesNoFileOpen: it would keep its space until the helper
// ends, after what was staged has been thrown away.
func TestRestoreThatFailsLeavesNoFileOpen(t *testing.T) {
	src, dst := t.TempDir(), t.TempDir()
	writeFile(t, src+"/file", noise(1, 2<<20))
	writeFile(t, dst+"/file", noise(1, 1<<20)+noise(2, 1<<20))
	s := &changing{snapshotCut(t, src, 1<<20), func() { writeFile(t, dst+"/file", "written meanwhile") }}
	if _, err := restoreInto(t, dst, s); err == nil {
		t.Fatal("the file changed while it was copied from, and nothing was said")
	}
	noStaging(t, dst)
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		if to, err := os.Readlink("/proc/self/fd/" + fd.Name()); err == nil && strings.HasPrefix(to, dst+"/") {
			t.Errorf("%s is still open", to)
		}
	}
}
