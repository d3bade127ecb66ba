package volume

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// maxXattrBytes bounds the names and values of one file, so that its record fits
// the stream.
const maxXattrBytes = 512 << 10

var errXattrsTooLarge = fmt.Errorf("more than %d KiB of extended attributes", maxXattrBytes>>10)

// kept says whether an extended attribute is saved: the user's own, ACLs and
// file capabilities. trusted.* and security.selinux belong to the machine.
func kept(name string) bool {
	switch name {
	case "system.posix_acl_access", "system.posix_acl_default", "security.capability":
		return true
	}
	return strings.HasPrefix(name, "user.")
}

// xattrReader reads extended attributes; it keeps its buffer.
type xattrReader struct{ buf []byte }

// ofFD reads those of an open file.
func (x *xattrReader) ofFD(fd int) ([]Xattr, error) {
	return x.read(
		func(buf []byte) (int, error) { return unix.Flistxattr(fd, buf) },
		func(name string, buf []byte) (int, error) { return unix.Fgetxattr(fd, name, buf) })
}

// ofName reads those of a file that must not be opened: a device, a FIFO, a
// socket. The kernel resolves the directory by its descriptor and does not
// follow the last name.
func (x *xattrReader) ofName(dir int, name string) ([]Xattr, error) {
	path := "/proc/self/fd/" + strconv.Itoa(dir) + "/" + name
	return x.read(
		func(buf []byte) (int, error) { return unix.Llistxattr(path, buf) },
		func(name string, buf []byte) (int, error) { return unix.Lgetxattr(path, name, buf) })
}

func (x *xattrReader) read(list func([]byte) (int, error), get func(string, []byte) (int, error)) ([]Xattr, error) {
	if x.buf == nil {
		x.buf = make([]byte, 128<<10) // twice the kernel's limit for a list and for a value
	}
	n, err := list(x.buf[:64<<10])
	if unsupported(err) || n == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var out []Xattr
	total := 0
	for raw := range bytes.SplitSeq(bytes.TrimSuffix(x.buf[:n], []byte{0}), []byte{0}) {
		name := string(raw)
		if !kept(name) {
			continue
		}
		v, err := get(name, x.buf[64<<10:])
		if errors.Is(err, unix.ENODATA) {
			continue // removed meanwhile
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if total += len(name) + v; total > maxXattrBytes {
			return nil, errXattrsTooLarge
		}
		out = append(out, Xattr{Name: name, Value: bytes.Clone(x.buf[64<<10:][:v])})
	}
	slices.SortFunc(out, func(a, b Xattr) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

// unsupported says that a filesystem has no extended attributes.
func unsupported(err error) bool {
	return errors.Is(err, unix.ENOTSUP) || errors.Is(err, unix.ENOSYS)
}
