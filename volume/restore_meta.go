package volume

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The order in which metadata is set matters: a change of owner clears setuid
// and capabilities, a mode narrows an ACL, and whatever comes after the times
// could move them. So: owner, mode, ACLs and other attributes, capabilities,
// times.

// sameXattrs says whether have is what want asks for.
func sameXattrs(have, want []Xattr) bool {
	wanted := make([]Xattr, 0, len(want))
	for _, x := range want {
		if kept(x.Name) {
			wanted = append(wanted, x)
		}
	}
	slices.SortFunc(wanted, func(a, b Xattr) int { return strings.Compare(a.Name, b.Name) })
	return slices.EqualFunc(have, wanted, func(a, b Xattr) bool {
		return a.Name == b.Name && string(a.Value) == string(b.Value)
	})
}

// object is what metadata is set of: a name in an open directory, or an open
// file.
type object struct {
	dir  int
	name string
	fd   int // -1: not open
}

func named(dir int, name string) object { return object{dir: dir, name: name, fd: -1} }
func opened(fd int) object              { return object{fd: fd} }

func (o object) stat(m *meta) error {
	if o.fd >= 0 {
		return statFD(o.fd, m)
	}
	return statIn(o.dir, o.name, m)
}

func (o object) chown(uid, gid uint32) error {
	if o.fd >= 0 {
		return unix.Fchown(o.fd, int(uid), int(gid))
	}
	return unix.Fchownat(o.dir, o.name, int(uid), int(gid), unix.AT_SYMLINK_NOFOLLOW)
}

func (o object) chmod(r *root, mode uint32) error {
	if o.fd >= 0 {
		return unix.Fchmod(o.fd, mode)
	}
	// By a handle: what may be a device is not opened, and no link is followed.
	fd, err := r.open(o.dir, o.name, unix.O_PATH)
	if err != nil {
		return err
	}
	defer unix.Close(fd) // only a handle
	return unix.Chmod("/proc/self/fd/"+strconv.Itoa(fd), mode)
}

// path is one that the calls take that have no form for descriptors; they do
// not follow its last name.
func (o object) path() string { return "/proc/self/fd/" + strconv.Itoa(o.dir) + "/" + o.name }

func (o object) xattrs() ([]Xattr, error) {
	var reader xattrReader
	if o.fd >= 0 {
		return reader.ofFD(o.fd)
	}
	return reader.ofName(o.dir, o.name)
}

func (o object) setXattr(x Xattr) error {
	if o.fd >= 0 {
		return unix.Fsetxattr(o.fd, x.Name, x.Value, 0)
	}
	return unix.Lsetxattr(o.path(), x.Name, x.Value, 0)
}

func (o object) removeXattr(name string) error {
	if o.fd >= 0 {
		return unix.Fremovexattr(o.fd, name)
	}
	return unix.Lremovexattr(o.path(), name)
}

func (o object) setTimes(atime, mtime Time) error {
	ts := [2]unix.Timespec{{Sec: atime.Sec, Nsec: int64(atime.Nsec)}, {Sec: mtime.Sec, Nsec: int64(mtime.Nsec)}}
	if o.fd < 0 {
		return unix.UtimesNanoAt(o.dir, o.name, ts[:], unix.AT_SYMLINK_NOFOLLOW)
	}
	// Without a name the call is about the descriptor.
	_, _, errno := unix.Syscall6(unix.SYS_UTIMENSAT, uintptr(o.fd), 0, uintptr(unsafe.Pointer(&ts)), 0, 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// metaWriter sets metadata; what the filesystem cannot keep is told to warn.
type metaWriter struct {
	tree *beneath
	warn func(string)
	uid  uint32 // what a file that we make belongs to
	gid  uint32

	lenient *lenience // nil: what cannot be set is an error
}

func newMetaWriter(tree *beneath, warn func(string)) *metaWriter {
	return &metaWriter{tree: tree, warn: warn, uid: uint32(os.Geteuid()), gid: uint32(os.Getegid())}
}

// set gives what lies at path the metadata of e. fresh says that we have just
// made it: mode 0600 or 0700, our own owner, no attributes.
func (m *metaWriter) set(path string, e *Entry, fresh bool) error {
	return m.tree.at(path, func(dir int, name string) error {
		return m.setObject(named(dir, name), e, fresh)
	})
}

// setTimes sets the times of what lies at path, and nothing else.
func (m *metaWriter) setTimes(path string, e *Entry) error {
	return m.tree.at(path, func(dir int, name string) error {
		if err := m.times(named(dir, name), e); err != nil {
			return fmt.Errorf("set the times of %q: %w", e.Path, err)
		}
		return nil
	})
}

func (m *metaWriter) setObject(o object, e *Entry, fresh bool) error {
	var errs error
	step := func(what string, do func() error) {
		if errs != nil {
			return
		}
		if err := do(); err != nil {
			errs = fmt.Errorf("set the %s of %q: %w", what, e.Path, err)
		}
	}
	if m.lenient != nil {
		allowed, err := m.lenient.adapt(m, o, e, fresh)
		if err != nil {
			return err
		}
		e = allowed
	}
	made := uint32(0o600)
	if e.Type == Dir {
		made = 0o700
	}
	if m.lenient == nil && (!fresh || e.UID != m.uid || e.GID != m.gid) {
		step("owner", func() error { return m.owner(o, e) })
	}
	if e.Type != Symlink && (!fresh || e.Mode != made) {
		step("mode", func() error { return m.mode(o, e) })
	}
	if !fresh {
		step("attributes", func() error { return m.removeXattrs(o, e) })
	}
	if len(e.Xattrs) > 0 {
		step("attributes", func() error { return m.setXattrs(o, e) })
	}
	step("times", func() error { return m.times(o, e) })
	return errs
}

// owner does not mind a filesystem that gives every file the same owner, if it
// is the right one; and so mode.
func (m *metaWriter) owner(o object, e *Entry) error {
	err := o.chown(e.UID, e.GID)
	var is meta
	if err != nil && o.stat(&is) == nil && is.uid == e.UID && is.gid == e.GID {
		return nil
	}
	return err
}

func (m *metaWriter) mode(o object, e *Entry) error {
	err := o.chmod(m.tree.root, e.Mode)
	var is meta
	if err != nil && o.stat(&is) == nil && is.mode == e.Mode {
		return nil
	}
	return err
}

func (m *metaWriter) setXattrs(o object, e *Entry) error {
	for _, capabilities := range []bool{false, true} {
		for _, x := range e.Xattrs {
			if !kept(x.Name) || (x.Name == "security.capability") != capabilities {
				continue
			}
			if err := o.setXattr(x); err != nil && !m.tolerated(e, x.Name, err) {
				return fmt.Errorf("%q: %w", x.Name, err)
			}
		}
	}
	return nil
}

func (m *metaWriter) removeXattrs(o object, e *Entry) error {
	have, err := o.xattrs()
	if err != nil {
		return err
	}
	for _, x := range have {
		if slices.ContainsFunc(e.Xattrs, func(w Xattr) bool { return w.Name == x.Name }) {
			continue
		}
		err := o.removeXattr(x.Name)
		if err != nil && !errors.Is(err, unix.ENODATA) && !m.tolerated(e, x.Name, err) {
			return fmt.Errorf("%q: %w", x.Name, err)
		}
	}
	return nil
}

// tolerated says whether an attribute that could not be set is only worth a
// warning: the filesystem, or the helper's rights, do not have that kind.
func (m *metaWriter) tolerated(e *Entry, attr string, err error) bool {
	readOnly := m.lenient != nil && errors.Is(err, unix.EACCES) // to its owner, who is not root
	if !readOnly && !errors.Is(err, unix.ENOTSUP) && !errors.Is(err, unix.EPERM) && !errors.Is(err, unix.EINVAL) {
		return false
	}
	m.warn(fmt.Sprintf("%q: attribute %q not set: %s", e.Path, attr, errnoText(err)))
	return true
}

func (m *metaWriter) times(o object, e *Entry) error {
	if err := o.setTimes(e.AccessTime, e.ModTime); err != nil {
		return err
	}
	// Kernels clamp silently to what the filesystem can keep; every Unix
	// filesystem can keep these.
	if e.ModTime.Sec >= 0 && e.ModTime.Sec < 1<<31 {
		return nil
	}
	var is meta
	if err := o.stat(&is); err != nil {
		return err
	}
	if is.mtime.Sec != e.ModTime.Sec {
		m.warn(fmt.Sprintf("%q: the filesystem cannot keep the time %s", e.Path, e.ModTime.Time()))
	}
	return nil
}
