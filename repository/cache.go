package repository

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/ripplebak/ripplebak/storage"
)

// cache keeps copies of repository files, as they are stored, below a
// directory: what is read from it is authenticated and compared with its name
// like anything that comes from the storage. It never fails: a file that it
// cannot give or keep is one that the storage gives. A nil cache is none.
type cache struct {
	dir  string
	warn func(error)

	warned  atomic.Bool
	mu      sync.Mutex
	reading map[storage.Handle]bool // being fetched
}

// newCache returns the cache of one repository, nil where dir is empty.
func newCache(dir, repositoryID string, warn func(error)) *cache {
	if dir == "" {
		return nil
	}
	if warn == nil {
		warn = func(error) {}
	}
	return &cache{dir: filepath.Join(dir, repositoryID), warn: warn, reading: make(map[storage.Handle]bool)}
}

func (c *cache) path(h storage.Handle) string {
	return filepath.Join(c.dir, filepath.FromSlash(h.Path()))
}

// complain warns once: a full disk would say the same for every file.
func (c *cache) complain(err error) {
	if !c.warned.Swap(true) {
		c.warn(fmt.Errorf("the cache does not work, the storage is asked instead: %w", err))
	}
}

// get returns a copy of a file of at most limit bytes.
func (c *cache) get(h storage.Handle, limit int64) ([]byte, bool) {
	if c == nil {
		return nil, false
	}
	f, err := os.Open(c.path(h))
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			c.complain(err)
		}
		return nil, false
	}
	defer f.Close() //nolint:errcheck // only read
	info, err := f.Stat()
	if err != nil || info.Size() > limit || !info.Mode().IsRegular() {
		return nil, false
	}
	data := make([]byte, info.Size())
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
	f, err := os.Open(c.path(h))
	if err != nil {
		return false
	}
	defer f.Close() //nolint:errcheck // only read
	_, err = f.ReadAt(buf, offset)
	return err == nil
}

// put keeps a file. It is renamed into place, so that a reader in another
// process sees it whole or not at all.
func (c *cache) put(h storage.Handle, data []byte) {
	if c == nil {
		return
	}
	if err := c.write(c.path(h), data); err != nil {
		c.complain(err)
	}
}

func (c *cache) write(path string, data []byte) (err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), "new-*")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		err = errors.Join(err, os.Remove(f.Name()))
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
// one gets it. done gives it back.
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
		if err != nil || d.IsDir() {
			return err
		}
		id, perr := ParseID(d.Name())
		if perr != nil || keep(id) {
			return nil
		}
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		c.complain(err)
	}
}
