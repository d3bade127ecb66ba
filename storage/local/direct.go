package local

import (
	"errors"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Packs are written past the page cache (O_DIRECT): nobody is about to read
// them, they would push out what the project's own services have there, and
// each page of it would have to be found, cleared and copied to first. What is
// left of that is a third of the time in the kernel.

const (
	// directFrom is the size in bytes from which a file is written so: below
	// that the page cache is quicker.
	directFrom = 1 << 20
	// directBlock is what addresses, offsets and lengths must be multiples of,
	// at most, on the filesystems of takesDirect.
	directBlock = 4096
	// directBuffer is what is written at once.
	directBuffer = 1 << 20
)

// takesDirect says whether the file lies on a filesystem on a disk of this
// machine, of which it is known that such writes are what is stored. Others
// refuse them, ignore them, or make each wait for a network.
func takesDirect(f *os.File) bool {
	var fs unix.Statfs_t
	if err := control(f, func(fd int) error { return unix.Fstatfs(fd, &fs) }); err != nil {
		return false
	}
	switch int64(fs.Type) {
	case unix.EXT4_SUPER_MAGIC, unix.XFS_SUPER_MAGIC, unix.BTRFS_SUPER_MAGIC, unix.F2FS_SUPER_MAGIC:
		return true
	}
	return false
}

// setDirect has what is written to f from now on pass the page cache by, or not.
func setDirect(f *os.File, on bool) error {
	return control(f, func(fd int) error {
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
		if err != nil {
			return err
		}
		flags &^= unix.O_DIRECT
		if on {
			flags |= unix.O_DIRECT
		}
		_, err = unix.FcntlInt(uintptr(fd), unix.F_SETFL, flags)
		return err
	})
}

func control(f *os.File, do func(fd int) error) error {
	c, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var derr error
	if err := c.Control(func(fd uintptr) { derr = do(int(fd)) }); err != nil {
		return err
	}
	return derr
}

// alignedBuffer is a buffer whose address a direct write takes.
func alignedBuffer(size int) []byte {
	b := make([]byte, size+directBlock)
	skip := -int(uintptr(unsafe.Pointer(unsafe.SliceData(b)))) & (directBlock - 1)
	return b[skip : skip+size : skip+size]
}

// output writes a file from its beginning. Each piece but the last is a
// multiple of directBlock.
type output struct {
	f      *os.File
	direct bool
}

// newOutput begins a file that will have so many bytes.
func newOutput(f *os.File, size int64) *output {
	return &output{f: f, direct: size >= directFrom && takesDirect(f) && setDirect(f, true) == nil}
}

func (o *output) write(p []byte) error {
	whole := len(p) &^ (directBlock - 1)
	for o.direct && whole > 0 {
		n, err := o.f.Write(p[:whole])
		p, whole = p[n:], whole-n
		if err == nil {
			break
		}
		if !errors.Is(err, unix.EINVAL) {
			return err
		}
		// It wants other alignments: a block size of its own, or the rest of a
		// write that came through in part.
		if err := o.buffered(); err != nil {
			return err
		}
	}
	if len(p) == 0 {
		return nil
	}
	if err := o.buffered(); err != nil {
		return err
	}
	_, err := o.f.Write(p)
	return err
}

// buffered goes on by the page cache.
func (o *output) buffered() error {
	if !o.direct {
		return nil
	}
	o.direct = false
	return setDirect(o.f, false)
}
