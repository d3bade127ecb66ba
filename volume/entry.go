package volume

import "time"

// Type says what kind of file an entry is.
type Type uint8

// The kinds of files. The numbers are part of the wire form.
const (
	File Type = iota + 1
	Dir
	Symlink
	CharDevice
	BlockDevice
	FIFO
	Socket
)

// String gives the type's name as messages use it.
func (t Type) String() string {
	switch t {
	case File:
		return "file"
	case Dir:
		return "directory"
	case Symlink:
		return "symlink"
	case CharDevice:
		return "character device"
	case BlockDevice:
		return "block device"
	case FIFO:
		return "FIFO"
	case Socket:
		return "socket"
	}
	return "unknown"
}

// Valid says whether t is one of the types above.
func (t Type) Valid() bool { return t >= File && t <= Socket }

// Time is a moment as filesystems keep it: seconds since 1970, which may lie
// before it and after the year 2262, and nanoseconds (0..999,999,999) that
// count forward from the second.
type Time struct {
	Sec  int64
	Nsec uint32
}

// TimeOf converts t; nothing is lost for any time.Time of a sane calendar.
func TimeOf(t time.Time) Time {
	return Time{Sec: t.Unix(), Nsec: uint32(t.Nanosecond())}
}

// Time converts to a time.Time in UTC.
func (t Time) Time() time.Time { return time.Unix(t.Sec, int64(t.Nsec)).UTC() }

// Before says whether t lies before u.
func (t Time) Before(u Time) bool {
	return t.Sec < u.Sec || t.Sec == u.Sec && t.Nsec < u.Nsec
}

// Add moves t by d, which may be negative.
func (t Time) Add(d time.Duration) Time {
	sec, nsec := int64(d/time.Second), int64(d%time.Second)
	sec, nsec = t.Sec+sec, int64(t.Nsec)+nsec
	switch {
	case nsec < 0:
		sec, nsec = sec-1, nsec+int64(time.Second)
	case nsec >= int64(time.Second):
		sec, nsec = sec+1, nsec-int64(time.Second)
	}
	return Time{Sec: sec, Nsec: uint32(nsec)}
}

// IsZero says whether t is the zero Time, which stands for "not known".
func (t Time) IsZero() bool { return t == Time{} }

// Xattr is one extended attribute; the value is raw bytes and may be empty.
type Xattr struct {
	Name  string
	Value []byte
}

// Entry is one file of a volume, of whatever type, without its content.
//
// Path is relative to the volume's root, its parts joined by "/", raw bytes as
// the filesystem has them; the root itself is "". Mode holds the permission
// bits with setuid, setgid and sticky (07777) and nothing else. Size is the
// length of a file's content in bytes and 0 for every other type. Rdev is the
// kernel's device number of a device. HardLinkOf is the path of the earlier
// entry of the same walk that is the same file, or "".
type Entry struct {
	Path       string
	Type       Type
	Mode       uint32
	UID, GID   uint32
	Size       int64
	ModTime    Time
	AccessTime Time
	ChangeTime Time
	Inode      uint64
	Links      uint64
	Rdev       uint64
	LinkTarget string
	HardLinkOf string
	Xattrs     []Xattr
}

// Known is what the parent snapshot holds of one path. Trusted says that the
// recorded times are old enough to be believed: when type, size, mtime, ctime
// and inode are as recorded, the content is too.
//
// Known entries come in walk order (see Compare), the root excepted.
type Known struct {
	Path       string
	Type       Type
	Size       int64
	ModTime    Time
	ChangeTime Time
	Inode      uint64
	Trusted    bool
}

// KnownSource calls yield for every Known of the parent snapshot, in walk
// order, and ends with the first error, its own or yield's.
type KnownSource func(yield func(Known) error) error

// Compare orders two paths as a walk visits them: pre-order, the children of a
// directory by raw bytes, each directory's content directly after it. It is
// negative when a comes first.
func Compare(a, b string) int {
	n := min(len(a), len(b))
	for i := range n {
		x, y := a[i], b[i]
		if x == y {
			continue
		}
		// "/" ends a name, and a name comes before all that it is a prefix of.
		if x == '/' {
			return -1
		}
		if y == '/' {
			return 1
		}
		return int(x) - int(y)
	}
	return len(a) - len(b)
}
