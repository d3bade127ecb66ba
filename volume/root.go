package volume

import (
	"errors"
	"fmt"
	"math"

	"golang.org/x/sys/unix"
)

// root is the directory of a volume. It is opened once; everything below is
// opened one name at a time from the descriptor of the directory that holds it,
// never by a path and never through a symlink, so that nothing that changes
// underneath can lead out of the volume.
type root struct {
	fd      int
	at      meta
	openat2 bool // else openat with O_NOFOLLOW, and mount points are seen by their device
	fs      fsKind
}

// resolveBeneath is what a name may not do when it is opened.
const resolveBeneath = unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS | unix.RESOLVE_NO_XDEV

func openRoot(path string) (*root, error) {
	fd, err := ignoringEINTR(func() (int, error) {
		return unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	})
	if err != nil {
		return nil, fmt.Errorf("open the volume at %s: %w", path, err)
	}
	r := &root{fd: fd}
	if err := r.inspect(); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("look at the volume at %s: %w", path, err)
	}
	return r, nil
}

func (r *root) inspect() error {
	if err := statFD(r.fd, &r.at); err != nil {
		return err
	}
	var st unix.Statfs_t
	if err := unix.Fstatfs(r.fd, &st); err != nil {
		return err
	}
	r.fs = kindOf(uint32(st.Type))
	// Old kernels answer ENOSYS, old seccomp profiles EPERM.
	probe, err := r.tryOpenat2(r.fd, ".", unix.O_PATH|unix.O_DIRECTORY)
	if err == nil {
		unix.Close(probe)
		r.openat2 = true
	}
	return nil
}

func (r *root) close() { unix.Close(r.fd) }

func (r *root) tryOpenat2(dir int, name string, flags uint64) (int, error) {
	how := unix.OpenHow{Flags: flags | unix.O_CLOEXEC, Resolve: resolveBeneath}
	return ignoringEINTR(func() (int, error) { return unix.Openat2(dir, name, &how) })
}

// open opens one name of the directory dir.
func (r *root) open(dir int, name string, flags int) (int, error) {
	flags |= unix.O_NOFOLLOW
	if r.openat2 {
		return r.tryOpenat2(dir, name, uint64(flags))
	}
	return ignoringEINTR(func() (int, error) { return unix.Openat(dir, name, flags|unix.O_CLOEXEC, 0) })
}

// openQuietly opens for reading and, where this process may do so, without
// moving the access time.
func (r *root) openQuietly(dir int, name string, flags int) (int, error) {
	fd, err := r.open(dir, name, flags|unix.O_RDONLY|unix.O_NOATIME)
	if errors.Is(err, unix.EPERM) {
		fd, err = r.open(dir, name, flags|unix.O_RDONLY)
	}
	return fd, err
}

// openDir opens a subdirectory for listing.
func (r *root) openDir(dir int, name string) (int, error) {
	return r.openQuietly(dir, name, unix.O_DIRECTORY)
}

// openFile opens a file for reading. What was a file a moment ago may be a FIFO
// by now: O_NONBLOCK keeps the open from waiting for a writer, and the caller
// looks at what it got before it reads.
func (r *root) openFile(dir int, name string) (int, error) {
	return r.openQuietly(dir, name, unix.O_NONBLOCK)
}

// crossing says whether m, found below the root, is a mount point: another
// filesystem, or another part of the same one.
func (r *root) crossing(m *meta) bool {
	if m.mountKnown {
		return m.mountRoot
	}
	return m.typ == Dir && m.dev != r.at.dev
}

// judgeLinks forgets that a file has further names where its inode number does
// not say which ones: on a filesystem that makes numbers up, and below the root
// of another subvolume, which has numbers of its own.
func (r *root) judgeLinks(m *meta) {
	if !r.fs.stable || m.dev != r.at.dev {
		m.links = 1
	}
}

// ignoringEINTR repeats a call that a signal interrupted.
func ignoringEINTR[T any](call func() (T, error)) (T, error) {
	for {
		v, err := call()
		if err != unix.EINTR {
			return v, err
		}
	}
}

// fsKind is what the walk must know of a filesystem.
type fsKind struct {
	stable bool   // an inode number stays with its file, and two names of one inode are one file
	silent bool   // a store through mmap may never move the times: nothing can be trusted
	slack  uint32 // milliseconds by which the filesystem's stamps may lie behind our clock
}

// Magic numbers that golang.org/x/sys/unix does not have.
const (
	magicCIFS  = 0xFF534D42
	magicSMB2  = 0xFE534D42
	magicNTFS3 = 0x7366746E
	magicExFAT = 0x2011BAB0
	magicLustr = 0x0BD00BD0
	magicGFS2  = 0x01161970
	magicOCFS2 = 0x7461636F
	magicVBox  = 0x786F4256
	magicZFS   = 0x2FC12FC1
)

// Stamps come from the kernel's coarse clock, which moves at each tick: 100 Hz
// at the slowest. Two ticks.
const tickSlack = 20

// kindOf judges a filesystem by its magic number. A local filesystem takes its
// stamps from the clock that we read too. One that is served by somebody else
// may take them from a clock of its own, which cannot be read through a
// read-only mount: it gets a minute.
func kindOf(magic uint32) fsKind {
	const remote = 60_000
	switch magic {
	case unix.FUSE_SUPER_MAGIC, unix.V9FS_MAGIC, unix.SMB_SUPER_MAGIC, magicCIFS, magicSMB2, magicVBox,
		unix.AFS_SUPER_MAGIC, unix.CODA_SUPER_MAGIC, unix.NCP_SUPER_MAGIC:
		return fsKind{slack: remote} // virtiofs answers as FUSE
	case unix.NFS_SUPER_MAGIC, unix.CEPH_SUPER_MAGIC, magicLustr, magicGFS2, magicOCFS2:
		return fsKind{stable: true, slack: remote}
	case unix.MSDOS_SUPER_MAGIC, magicExFAT:
		return fsKind{slack: 4_000} // stamps in steps of two seconds, inodes made up at mount
	case unix.TMPFS_MAGIC, unix.RAMFS_MAGIC, unix.HUGETLBFS_MAGIC:
		return fsKind{stable: true, silent: true, slack: tickSlack}
	case unix.EXT4_SUPER_MAGIC, unix.XFS_SUPER_MAGIC, unix.BTRFS_SUPER_MAGIC, unix.F2FS_SUPER_MAGIC,
		unix.OVERLAYFS_SUPER_MAGIC, unix.NILFS_SUPER_MAGIC, magicZFS, unix.BCACHEFS_SUPER_MAGIC:
		return fsKind{stable: true, slack: tickSlack}
	case magicNTFS3:
		return fsKind{stable: true, slack: 1_000}
	}
	return fsKind{slack: remote} // unknown: nothing is taken for granted
}

// sync writes the filesystem's dirty pages back, so that the next store into
// any of them, through mmap too, moves its file's times; then it reads the
// clock that those times come from. Whatever could have changed unseen since
// then has times after it.
//
// The clock is CLOCK_REALTIME_COARSE: it is the one that the kernel stamps
// files of local filesystems with, and it can be read without touching the
// volume, which is mounted read-only. Its steps are the slack of fsKind.
//
// The zero Time means that nothing may be trusted on the strength of this walk.
func (r *root) sync() (Time, error) {
	if r.fs.silent {
		return Time{}, nil
	}
	if err := unix.Syncfs(r.fd); err != nil {
		return Time{}, err
	}
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_REALTIME_COARSE, &ts); err != nil {
		return Time{}, err
	}
	return Time{Sec: int64(ts.Sec), Nsec: uint32(min(max(ts.Nsec, 0), math.MaxInt32))}, nil
}
