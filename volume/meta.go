package volume

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// meta is what the kernel says of a file.
type meta struct {
	typ                Type
	mode               uint32
	uid, gid           uint32
	size               int64
	blocks             uint64
	mtime, atime, ctim Time
	ino, links         uint64
	rdev, dev          uint64
	mountRoot          bool // it is where something is mounted,
	mountKnown         bool // if the kernel can tell
}

const statxMask = unix.STATX_BASIC_STATS

// empty is the empty name, which with AT_EMPTY_PATH means the descriptor; it is
// never written.
var empty [1]byte

// statFD looks at an open file.
func statFD(fd int, m *meta) error {
	return statAt(fd, empty[:], unix.AT_EMPTY_PATH, m)
}

// statName looks at one name of a directory, not through a symlink. The name
// must be followed by a zero byte, which is part of the slice.
func statName(dir int, nameZ []byte, m *meta) error {
	return statAt(dir, nameZ, unix.AT_SYMLINK_NOFOLLOW|unix.AT_NO_AUTOMOUNT, m)
}

// statAt spares the copy of the name that the library's statx makes: a walk of
// what did not change does little else. Kernels before 4.11 answer ENOSYS, old
// seccomp profiles EPERM, which stat has no other use for: they are asked in the
// old way.
func statAt(dir int, nameZ []byte, flags int, m *meta) error {
	var st unix.Statx_t
	for {
		_, _, errno := unix.Syscall6(unix.SYS_STATX, uintptr(dir), uintptr(unsafe.Pointer(&nameZ[0])),
			uintptr(flags), statxMask, uintptr(unsafe.Pointer(&st)), 0)
		switch errno {
		case 0:
			m.fromStatx(&st)
			return nil
		case unix.EINTR:
		case unix.ENOSYS, unix.EPERM:
			return fstatAt(dir, nameZ, flags, m)
		default:
			return errno
		}
	}
}

func (m *meta) fromStatx(st *unix.Statx_t) {
	m.typ, m.mode = typeOf(uint32(st.Mode)), uint32(st.Mode)&0o7777
	m.uid, m.gid = st.Uid, st.Gid
	m.size, m.blocks = int64(st.Size), st.Blocks
	m.mtime = Time{Sec: st.Mtime.Sec, Nsec: st.Mtime.Nsec}
	m.atime = Time{Sec: st.Atime.Sec, Nsec: st.Atime.Nsec}
	m.ctim = Time{Sec: st.Ctime.Sec, Nsec: st.Ctime.Nsec}
	m.ino, m.links = st.Ino, uint64(st.Nlink)
	m.rdev = unix.Mkdev(st.Rdev_major, st.Rdev_minor)
	m.dev = unix.Mkdev(st.Dev_major, st.Dev_minor)
	m.mountKnown = st.Attributes_mask&unix.STATX_ATTR_MOUNT_ROOT != 0
	m.mountRoot = st.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0
}

func fstatAt(dir int, nameZ []byte, flags int, m *meta) error {
	var st unix.Stat_t
	name := unix.ByteSliceToString(nameZ)
	_, err := ignoringEINTR(func() (struct{}, error) {
		return struct{}{}, unix.Fstatat(dir, name, &st, flags)
	})
	if err != nil {
		return err
	}
	*m = meta{
		typ: typeOf(st.Mode), mode: st.Mode & 0o7777,
		uid: st.Uid, gid: st.Gid,
		size: st.Size, blocks: uint64(st.Blocks),
		mtime: Time{Sec: int64(st.Mtim.Sec), Nsec: uint32(st.Mtim.Nsec)},
		atime: Time{Sec: int64(st.Atim.Sec), Nsec: uint32(st.Atim.Nsec)},
		ctim:  Time{Sec: int64(st.Ctim.Sec), Nsec: uint32(st.Ctim.Nsec)},
		ino:   st.Ino, links: uint64(st.Nlink),
		rdev: uint64(st.Rdev), dev: uint64(st.Dev),
	}
	return nil
}

func typeOf(mode uint32) Type {
	switch mode & unix.S_IFMT {
	case unix.S_IFREG:
		return File
	case unix.S_IFDIR:
		return Dir
	case unix.S_IFLNK:
		return Symlink
	case unix.S_IFCHR:
		return CharDevice
	case unix.S_IFBLK:
		return BlockDevice
	case unix.S_IFIFO:
		return FIFO
	case unix.S_IFSOCK:
		return Socket
	}
	return 0
}

// sameContent says whether two looks at one open file saw it unchanged.
func (m *meta) sameContent(n *meta) bool {
	return m.size == n.size && m.mtime == n.mtime && m.ctim == n.ctim
}

// fill puts m into an entry whose path is set.
func (m *meta) fill(e *Entry) {
	e.Type, e.Mode, e.UID, e.GID = m.typ, m.mode, m.uid, m.gid
	e.ModTime, e.AccessTime, e.ChangeTime = m.mtime, m.atime, m.ctim
	e.Inode, e.Links = m.ino, m.links
	if m.typ == File {
		e.Size = m.size
	}
	if m.typ == CharDevice || m.typ == BlockDevice {
		e.Rdev = m.rdev
	}
}
