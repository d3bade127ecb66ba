package repository

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/ripplebak/ripplebak/storage"
)

const (
	// packShare is the part of the cache, one in so many, that packs keep
	// whatever else there is: without any room for trees each of them would
	// be a request. A single pack may be as large.
	packShare = 4
	// scanShare is how much may be added, one in so many of the limit, before
	// the directory is looked through again: other processes add to it too.
	// As much is made free where it is full.
	scanShare = 16
	// cacheAbandoned is how long files of other repositories stay unused.
	cacheAbandoned = 30 * 24 * time.Hour
	// cacheOrphan is the age from which on an incomplete file is one that a
	// killed process left.
	cacheOrphan = time.Hour
	// cacheAhead is how far in the future a last use may lie; beyond it the
	// clock was wrong, and the file counts as never used.
	cacheAhead = 24 * time.Hour
)

// cachedFile is a file of the cache as trim sees it.
type cachedFile struct {
	path string
	size int64
	used time.Time
	pack bool
}

// grew notes that a file was added, and trims the cache where that is due.
func (c *cache) grew(n int64) {
	c.mu.Lock()
	first := c.added < 0
	c.used += n
	c.added = max(c.added, 0) + n
	due := first || c.added >= c.limit/scanShare || c.used > c.limit
	c.mu.Unlock()
	if !due || !c.trimming.TryLock() {
		return
	}
	defer c.trimming.Unlock()
	files, err := c.scan()
	if err == nil {
		files, err = c.trim(files)
	}
	if err != nil {
		c.complain(err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.added, c.used = 0, 0
	for _, f := range files {
		c.used += f.size
	}
}

// scan looks through the directory. What is older than anyone can want is
// removed on the way.
func (c *cache) scan() ([]cachedFile, error) {
	var files []cachedFile
	now := c.now()
	err := filepath.WalkDir(c.root, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // deleted by another
		}
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		f := cachedFile{path: path, size: info.Size(), used: info.ModTime()}
		if f.used.Sub(now) > cacheAhead {
			f.used = time.Time{}
		}
		f.pack = filepath.Base(filepath.Dir(filepath.Dir(path))) == storage.PackFile.Dir()
		switch age := now.Sub(f.used); {
		case strings.HasPrefix(d.Name(), cacheTemp):
			if age > cacheOrphan {
				return removeCached(path)
			}
		case !isCacheName(d.Name()):
			return nil // not ours
		case age > cacheAbandoned && !strings.HasPrefix(path, c.dir+string(filepath.Separator)):
			return removeCached(path)
		}
		files = append(files, f)
		return nil
	})
	return files, err
}

func isCacheName(name string) bool {
	_, err := ParseID(name)
	return err == nil
}

// trim removes files until the rest is well below the limit, and returns the
// rest.
func (c *cache) trim(files []cachedFile) ([]cachedFile, error) {
	gone := excess(files, c.limit)
	for _, f := range files[:gone] {
		if err := removeCached(f.path); err != nil {
			return files, err
		}
		_ = os.Remove(filepath.Dir(f.path)) // where it was the last one
	}
	return files[gone:], nil
}

// excess sorts files by the order in which they go, and says how many must
// where together they have more than limit bytes. Packs of trees go first, but
// for a share: indexes and snapshots are all read by every command, trees only
// where something is looked at. Then goes whatever was used least lately.
func excess(files []cachedFile, limit int64) int {
	var total, packs int64
	for _, f := range files {
		total += f.size
		if f.pack {
			packs += f.size
		}
	}
	if total <= limit {
		return 0
	}
	slices.SortFunc(files, func(a, b cachedFile) int {
		if n := a.used.Compare(b.used); n != 0 {
			return n
		}
		return strings.Compare(a.path, b.path)
	})
	// The packs beyond their share come first, by age, then all the others.
	first := make([]cachedFile, 0, len(files))
	var rest []cachedFile
	for _, f := range files {
		if f.pack && packs > limit/packShare {
			packs -= f.size
			first = append(first, f)
		} else {
			rest = append(rest, f)
		}
	}
	copy(files, append(first, rest...))
	n := 0
	for ; n < len(files) && total > limit-limit/scanShare; n++ {
		total -= files[n].size
	}
	return n
}
