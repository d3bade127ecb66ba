package volume

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// space is what a filesystem has left for us.
type space struct {
	bytes  int64
	inodes int64 // -1: it does not count them
	block  int64
}

func spaceOf(r *root) (space, error) {
	var st unix.Statfs_t
	err := unix.Fstatfs(r.fd, &st)
	for errors.Is(err, unix.EINTR) {
		err = unix.Fstatfs(r.fd, &st)
	}
	if err != nil {
		return space{}, fmt.Errorf("ask for the volume's space: %w", err)
	}
	block := int64(st.Frsize)
	if block <= 0 {
		block = int64(st.Bsize)
	}
	s := space{bytes: saturate(st.Bavail, block), inodes: -1, block: block}
	if st.Files > 0 {
		s.inodes = saturate(st.Ffree, 1)
	}
	return s, nil
}

// saturate is n*unit, as far as it can be counted.
func saturate(n uint64, unit int64) int64 {
	const most = 1<<63 - 1
	if unit > 0 && n > uint64(most/unit) {
		return most
	}
	return int64(n) * unit
}

// checkSpace says whether the volume takes what is going to be staged. The
// filesystem's own records of it take space that nobody can foretell: a
// sixty-fourth is left for them.
func (r *RestoreReport) checkSpace(free space) error {
	r.FreeBytes, r.FreeInodes = free.bytes, free.inodes
	if r.NeedInodes == 0 {
		return nil
	}
	if need := r.NeedBytes + r.NeedBytes/64; need > free.bytes {
		return fmt.Errorf("%w: the restore needs %d bytes, %d are free; nothing was changed", ErrNoSpace, need, free.bytes)
	}
	if free.inodes >= 0 && r.NeedInodes > free.inodes {
		return fmt.Errorf("%w: the restore needs %d inodes, %d are free; nothing was changed", ErrNoSpace, r.NeedInodes, free.inodes)
	}
	return nil
}
