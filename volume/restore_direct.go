package volume

import (
	"errors"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The content of large files is written past the page cache (O_DIRECT): all of
// a restored volume would not stay there anyhow, and to find, clear and fill
// its pages takes the kernel longer than to write them. Only whole pages go
// this way. What a blob has before the first and after the last of them goes by
// the page cache, so that no page is ever written in both ways.

const (
	// directFile is the size in bytes from which a file is written so, and
	// directBlob the size of a blob of it.
	directFile = 1 << 20
	directBlob = 64 << 10
	// directAddress is what an address in memory has to be a multiple of.
	directAddress = 4096
)

// takesDirect says whether the filesystem is on a disk of this machine, of
// which it is known that such writes are what is stored. Btrfs would leave them
// uncompressed, whatever it was told.
func takesDirect(fd int) bool {
	var fs unix.Statfs_t
	if err := unix.Fstatfs(fd, &fs); err != nil {
		return false
	}
	switch int64(fs.Type) {
	case unix.EXT4_SUPER_MAGIC, unix.XFS_SUPER_MAGIC, unix.F2FS_SUPER_MAGIC:
		return true
	}
	return false
}

// aligned is the part of a blob at an offset that consists of whole pages: from
// one index of it to another, equal if there is none.
func aligned(offset int64, length int) (from, to int) {
	page := int64(os.Getpagesize())
	from = int((page - offset%page) % page)
	to = length - int((offset+int64(length))%page)
	if to <= from {
		return 0, 0
	}
	return from, to
}

// passes says whether a blob of a file is to be written past the page cache.
func (w *writer) passes(t *target, data []byte, offset int64) bool {
	if !w.direct.Load() || t.rec.entry.Size < directFile || len(data) < directBlob {
		return false
	}
	from, to := aligned(offset, len(data))
	return to > from && uintptr(unsafe.Pointer(&data[from]))%directAddress == 0
}

// skipped is how far into a buffer a blob is put, so that its whole pages lie
// where a direct write takes them from. Buffers of that size begin at a page.
func skipped(offset int64, length int) int {
	if length < directBlob {
		return 0
	}
	return int(offset % directAddress)
}

// putDirect writes one blob of a file past the page cache; others of the file
// may be written meanwhile. It reports false where the file takes no such
// writes, and nothing is done.
func (w *writer) putDirect(t *target, data []byte, offset int64) (done bool, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	defer func() { t.closeAfter(err) }()
	if err := w.ready(t); err != nil {
		return false, err
	}
	if t.direct < 0 {
		return false, nil
	}
	t.writing++
	err = func(fd, direct int) error {
		t.mu.Unlock()
		defer t.mu.Lock()
		return w.writePast(fd, direct, data, offset)
	}(t.fd, t.direct)
	t.writing--
	t.pending--
	if err != nil {
		return true, fmt.Errorf("write %q: %w", t.rec.entry.Path, err)
	}
	t.end = max(t.end, offset+int64(len(data)))
	return true, w.advance(t)
}

func (w *writer) writePast(fd, direct int, data []byte, offset int64) error {
	from, to := aligned(offset, len(data))
	err := pwriteFull(direct, data[from:to], offset+int64(from))
	if errors.Is(err, unix.EINVAL) {
		w.direct.Store(false) // it wants other alignments: no more of this
		err = pwriteFull(fd, data[from:to], offset+int64(from))
	}
	return errors.Join(err, pwriteFull(fd, data[:from], offset), pwriteFull(fd, data[to:], offset+int64(to)))
}

// openDirect opens a staged file, just made, a second time for such writes. It
// gets its length, because a write that makes a file longer keeps others out.
func (w *writer) openDirect(t *target, dir int, name string) error {
	if !w.direct.Load() || t.rec.entry.Size < directFile {
		return nil
	}
	fd, err := w.tree.root.open(dir, name, unix.O_WRONLY|unix.O_DIRECT)
	switch {
	case errors.Is(err, unix.EINVAL):
		w.direct.Store(false)
		return nil
	case err != nil:
		return err
	}
	t.direct = fd
	if t.rec.reuse {
		return nil // which brings a length
	}
	return unix.Ftruncate(t.fd, t.rec.entry.Size)
}
