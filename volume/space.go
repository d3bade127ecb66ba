package volume

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// Space is what a filesystem has left for us.
type Space struct {
	Bytes  int64
	Inodes int64 // -1: it does not count them
	Block  int64 // it hands out space by as many bytes
	// Device tells filesystems apart, on one machine.
	Device uint64
}

// SpaceAt gives the space of the filesystem that the directory is on.
func SpaceAt(dir string) (Space, error) {
	r, err := openRoot(dir)
	if err != nil {
		return Space{}, err
	}
	defer r.close()
	return spaceOf(r)
}

func spaceOf(r *root) (Space, error) {
	var st unix.Statfs_t
	err := unix.Fstatfs(r.fd, &st)
	for errors.Is(err, unix.EINTR) {
		err = unix.Fstatfs(r.fd, &st)
	}
	if err != nil {
		return Space{}, fmt.Errorf("ask for the volume's space: %w", err)
	}
	block := int64(st.Frsize)
	if block <= 0 {
		block = int64(st.Bsize)
	}
	s := Space{Bytes: saturate(st.Bavail, block), Inodes: -1, Block: block, Device: r.at.dev}
	if st.Files > 0 {
		s.Inodes = saturate(st.Ffree, 1)
	}
	return s, nil
}

// Holds says whether there is room for so many bytes in so many new files. The
// filesystem's own records of them take space that nobody can foretell: a
// sixty-fourth is left for them.
func (s Space) Holds(bytes, inodes int64) bool {
	return s.holdsBytes(bytes) && s.holdsInodes(inodes)
}

func (s Space) holdsBytes(n int64) bool { return n <= s.Bytes && n/64 <= s.Bytes-n }

func (s Space) holdsInodes(n int64) bool { return s.Inodes < 0 || n <= s.Inodes }

// saturate is n*unit, as far as it can be counted.
func saturate(n uint64, unit int64) int64 {
	const most = 1<<63 - 1
	if unit > 0 && n > uint64(most/unit) {
		return most
	}
	return int64(n) * unit
}

// checkSpace says whether the volume takes what is going to be staged.
func (r *RestoreReport) checkSpace(free Space) error {
	r.FreeBytes, r.FreeInodes = free.Bytes, free.Inodes
	switch {
	case r.NeedInodes == 0:
	case !free.holdsBytes(r.NeedBytes):
		return fmt.Errorf("%w: the restore needs %d bytes, %d are free; nothing was changed", ErrNoSpace, r.NeedBytes, free.Bytes)
	case !free.holdsInodes(r.NeedInodes):
		return fmt.Errorf("%w: the restore needs %d inodes, %d are free; nothing was changed", ErrNoSpace, r.NeedInodes, free.Inodes)
	}
	return nil
}
