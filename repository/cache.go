package repository

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/ripplebak/ripplebak/storage"
)

// cache keeps copies of repository files, as they are stored, below a
// directory: what is read from it is authenticated and compared with its name
// like anything that comes from the storage. It never fails: a file that it
// cannot give or keep is one that the storage gives. Several processes may
// use one directory, and anyone may delete it or parts of it at any time. A
// nil cache is none.
//
// It is bounded for all repositories of the directory together: see trim. A
// file's modification time is when it was last used, to the hour.
type cache struct {
	root  string // of all repositories
	dir   string // of this one
	limit int64  // bytes, for all
	now   func() time.Time
	warn  func(error)

	warned   atomic.Bool
	trimming sync.Mutex // held by who looks through the directory

	mu      sync.Mutex
	reading map[storage.Handle]bool // being fetched, or not worth it
	used    int64                   // bytes below root, as seen last and grown since
	added   int64                   // of these, since the directory was last looked through; -1: never
}

// defaultCacheSize is the bound where none is given, in bytes.
const defaultCacheSize = 1 << 30

// cacheTouch is how exactly the time of the last use is known.
const cacheTouch = time.Hour

// newCache returns a cache, nil where there shall be none. It is of no
// repository yet: see of.
func newCache(opt *Options) *cache {
	if opt.CacheDir == "" {
		return nil
	}
	c := &cache{
		root: opt.CacheDir, dir: filepath.Join(opt.CacheDir, "none"), limit: opt.CacheSize,
		now: opt.Now, warn: opt.Warn, reading: make(map[storage.Handle]bool), added: -1,
	}
	if c.limit <= 0 {
		c.limit = defaultCacheSize
	}
	if c.warn == nil {
		c.warn = func(error) {}
	}
	return c
}

// of makes the cache that of one repository, before it is used for any file.
func (c *cache) of(repositoryID string) *cache {
	if c != nil {
		c.dir = filepath.Join(c.root, repositoryID)
	}
	return c
}

// hintPath is where the name of the key file is kept that opened last the
// repository at a place.
func (c *cache) hintPath(location string) string {
	return filepath.Join(c.root, "keys", ID(sha256.Sum256([]byte(location))).String())
}

// hint returns the name of the key file that opened last the repository at a
// place. It says only where to look first.
func (c *cache) hint(location string) (name string, ok bool) {
	if c == nil {
		return "", false
	}
	data, ok := c.read(c.hintPath(location), 2*sha256.Size)
	if !ok {
		return "", false
	}
	id, err := ParseID(string(data))
	return id.String(), err == nil
}

func (c *cache) setHint(location, name string) {
	if known, ok := c.hint(location); c != nil && (!ok || known != name) {
		c.keep(c.hintPath(location), []byte(name))
	}
}

func (c *cache) path(h storage.Handle) string {
	return filepath.Join(c.dir, filepath.FromSlash(h.Path()))
}

// complain warns once: a full disk would say the same for every file. Nothing
// more is written then.
func (c *cache) complain(err error) {
	if !c.warned.Swap(true) {
		c.warn(fmt.Errorf("the cache does not work, the storage is asked instead: %w", err))
	}
}

// open opens a cached file and notes that it was used. What is no regular file
// is none of ours, and must not make us wait.
func (c *cache) open(path string) (*os.File, int64, bool) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			c.complain(err)
		}
		return nil, 0, false
	}
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		_ = f.Close() // only opened
		return nil, 0, false
	}
	if now := c.now(); now.Sub(info.ModTime()).Abs() > cacheTouch {
		_ = os.Chtimes(path, now, now) // it may be gone again, or read-only; only the order suffers
	}
	return f, info.Size(), true
}

// get returns a copy of a file of at most limit bytes.
func (c *cache) get(h storage.Handle, limit int64) ([]byte, bool) {
	if c == nil {
		return nil, false
	}
	return c.read(c.path(h), limit)
}

func (c *cache) read(path string, limit int64) ([]byte, bool) {
	f, size, ok := c.open(path)
	if !ok {
		return nil, false
	}
	defer f.Close() //nolint:errcheck // only read
	if size > limit {
		return nil, false
	}
	data := make([]byte, size)
	if _, err := io.ReadFull(f, data); err != nil {
		return nil, false
	}
	return data, true
}

// readAt fills buf from a cached file at an offset.
func (c *cache) readAt(h storage.Handle, buf []byte, offset int64) bool {
	if c == nil {
		return false
	}
	f, _, ok := c.open(c.path(h))
	if !ok {
		return false
	}
	defer f.Close() //nolint:errcheck // only read
	_, err := f.ReadAt(buf, offset)
	return err == nil
}

// largest is how large a file of a kind may be to be kept: one pack must not
// push everything else out.
func (c *cache) largest(kind storage.Kind) int64 {
	if kind == storage.PackFile {
		return min(maxCachedPack, c.limit/packShare)
	}
	return c.limit
}

// put keeps a file. It is renamed into place, so that a reader in another
// process sees it whole or not at all.
func (c *cache) put(h storage.Handle, data []byte) {
	if c != nil && int64(len(data)) <= c.largest(h.Kind) {
		c.keep(c.path(h), data)
	}
}

func (c *cache) keep(path string, data []byte) {
	if c.warned.Load() {
		return
	}
	err := c.write(path, data)
	if deletedMeanwhile(err) {
		err = c.write(path, data)
	}
	switch {
	case err == nil:
		c.grew(int64(len(data)))
	case !deletedMeanwhile(err):
		c.complain(err)
	}
}

// deletedMeanwhile says whether a folder went away between two steps. That it
// "exists" is what MkdirAll says of one that went while it looked.
func deletedMeanwhile(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrExist)
}

// cacheTemp begins the names of files that are not complete.
const cacheTemp = "new-"

func (c *cache) write(path string, data []byte) (err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), cacheTemp+"*")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if now := c.now(); err == nil {
		err = os.Chtimes(f.Name(), now, now)
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		if rerr := os.Remove(f.Name()); rerr != nil && !errors.Is(rerr, fs.ErrNotExist) {
			err = errors.Join(err, rerr)
		}
	}
	return err
}

// drop forgets a file that turned out to be damaged.
func (c *cache) drop(h storage.Handle) {
	if c == nil {
		return
	}
	if err := os.Remove(c.path(h)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		c.complain(err)
	}
}

// fetch claims the right to load a file into the cache; of several goroutines
// one gets it. done gives it back; of a file that cannot be kept it is not
// given back.
func (c *cache) fetch(h storage.Handle) (ok bool) {
	if c == nil || c.warned.Load() {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.reading[h] {
		return false
	}
	c.reading[h] = true
	return true
}

func (c *cache) done(h storage.Handle) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.reading, h)
}

// retain removes the cached files of a kind that keep does not name.
func (c *cache) retain(kind storage.Kind, keep func(ID) bool) {
	if c == nil {
		return
	}
	root := filepath.Join(c.dir, kind.Dir())
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // deleted by another
		}
		if err != nil || d.IsDir() {
			return err
		}
		id, perr := ParseID(d.Name())
		if perr != nil || keep(id) {
			return nil
		}
		return removeCached(path)
	})
	if err != nil {
		c.complain(err)
	}
}

// removeCached removes a file; another process may have been faster.
func removeCached(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
