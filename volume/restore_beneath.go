package volume

import (
	lru "container/list"
	"os"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// beneath opens what lies below one directory, and nothing else: every step is
// a single name, no symlink is followed, and no other filesystem is entered.
// Paths are relative to the root, which is "". It is safe for concurrent use.
type beneath struct {
	root *root

	mu   sync.Mutex
	dirs map[string]*dirHandle
	idle *lru.List // of *dirHandle without users, the latest first
}

// dirHandle is an open directory; whoever got it gives it back by release.
type dirHandle struct {
	fd    int
	path  string
	users int
	gone  bool // no longer in the map: closed with its last user
	elem  *lru.Element
}

// maxIdleDirs bounds the directories that are kept open for the next use.
const maxIdleDirs = 64

func openBeneath(path string) (*beneath, error) {
	r, err := openRoot(path)
	if err != nil {
		return nil, err
	}
	return &beneath{root: r, dirs: map[string]*dirHandle{}, idle: lru.New()}, nil
}

// close closes everything; no handle may be in use.
func (b *beneath) close() {
	b.forget("")
	b.root.close()
}

// dir opens the directory at path.
func (b *beneath) dir(path string) (*dirHandle, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.open(path)
}

func (b *beneath) open(path string) (*dirHandle, error) {
	if h, ok := b.dirs[path]; ok {
		if h.users == 0 {
			b.idle.Remove(h.elem)
		}
		h.users++
		return h, nil
	}
	fd, err := b.openNew(path)
	if err != nil {
		return nil, err
	}
	h := &dirHandle{fd: fd, path: path, users: 1}
	b.dirs[path] = h
	return h, nil
}

func (b *beneath) openNew(path string) (int, error) {
	if path == "" {
		return b.step(b.root.fd, ".")
	}
	up, name := splitPath(path)
	parent, err := b.open(up)
	if err != nil {
		return -1, err
	}
	defer b.giveBack(parent)
	fd, err := b.step(parent.fd, name)
	if err != nil {
		return -1, &os.PathError{Op: "open directory", Path: path, Err: err}
	}
	return fd, nil
}

// step opens the directory name in the directory at fd.
func (b *beneath) step(fd int, name string) (int, error) {
	child, err := b.root.open(fd, name, unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil || b.root.openat2 {
		return child, err
	}
	var m meta
	err = statFD(child, &m)
	if err == nil && name != "." && b.root.crossing(&m) {
		err = unix.EXDEV
	}
	if err != nil {
		unix.Close(child) // only read from
		return -1, err
	}
	return child, nil
}

// create makes the single name in the directory at fd, where nothing may be,
// and opens it for writing.
func (b *beneath) create(fd int, name string) (int, error) {
	return ignoringEINTR(func() (int, error) {
		return unix.Openat(fd, name, unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	})
}

// release gives a handle back.
func (b *beneath) release(h *dirHandle) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.giveBack(h)
}

func (b *beneath) giveBack(h *dirHandle) {
	h.users--
	if h.users > 0 {
		return
	}
	if h.gone {
		closeDir(h)
		return
	}
	h.elem = b.idle.PushFront(h)
	for b.idle.Len() > maxIdleDirs {
		oldest := b.idle.Remove(b.idle.Back()).(*dirHandle)
		delete(b.dirs, oldest.path)
		closeDir(oldest)
	}
}

// forget drops what is kept open at path and below it; it is called when
// another directory takes, or leaves, that path.
func (b *beneath) forget(path string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for p, h := range b.dirs {
		if !isAtOrBelow(p, path) {
			continue
		}
		delete(b.dirs, p)
		if h.users > 0 {
			h.gone = true
			continue
		}
		b.idle.Remove(h.elem)
		closeDir(h)
	}
}

// closeDir closes a directory that was only read from; such a close has
// nothing to report.
func closeDir(h *dirHandle) { _ = unix.Close(h.fd) }

// at calls do with the open directory that holds path, and path's name in it.
func (b *beneath) at(path string, do func(dir int, name string) error) error {
	if path == "" {
		return do(b.root.fd, ".")
	}
	up, name := splitPath(path)
	h, err := b.dir(up)
	if err != nil {
		return err
	}
	defer b.release(h)
	return do(h.fd, name)
}

// stat gives what lies at path, not following it; fs.ErrNotExist if nothing
// does.
func (b *beneath) stat(path string) (m meta, err error) {
	err = b.at(path, func(dir int, name string) error { return statIn(dir, name, &m) })
	return m, err
}

// statIn looks at one name of a directory, not through a symlink.
func statIn(dir int, name string, m *meta) error {
	return statName(dir, append([]byte(name), 0), m)
}

// splitPath cuts a path that is not the root into its directory and its name.
func splitPath(path string) (dir, name string) {
	i := strings.LastIndexByte(path, '/')
	return path[:max(i, 0)], path[i+1:]
}

// joinPath is the path of name in dir.
func joinPath(dir, name string) string {
	if dir == "" {
		return name
	}
	return dir + "/" + name
}

// isAtOrBelow says whether path is top or lies below it.
func isAtOrBelow(path, top string) bool {
	if top == "" {
		return true
	}
	return strings.HasPrefix(path, top) && (len(path) == len(top) || path[len(top)] == '/')
}

// readlink reads the target of the symlink at path.
func (b *beneath) readlink(path string) (target string, err error) {
	err = b.at(path, func(dir int, name string) error {
		buf := make([]byte, 4096) // more than the kernel lets a target have
		n, err := ignoringEINTR(func() (int, error) { return unix.Readlinkat(dir, name, buf) })
		target = string(buf[:max(n, 0)])
		return err
	})
	return target, err
}
