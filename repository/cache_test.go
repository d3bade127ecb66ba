package repository

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/ripplebak/ripplebak/storage"
	"github.com/ripplebak/ripplebak/storage/storagetest"
)

// testCache is a cache of its own "repository" below dir.
func testCache(t testing.TB, dir string, limit int64, now func() time.Time) *cache {
	t.Helper()
	if now == nil {
		now = time.Now
	}
	warn := func(err error) { t.Errorf("warning: %v", err) }
	return newCache(&Options{CacheDir: dir, CacheSize: limit, Now: now, Warn: warn}).of(randomID(t).String())
}

func randomID(t testing.TB) ID {
	t.Helper()
	m, err := newMasterKey()
	if err != nil {
		t.Fatal(err)
	}
	return ID(m.Encrypt)
}

// cachedFiles are the sizes of the files below dir, by path from there.
func cachedFiles(t testing.TB, dir string) map[string]int64 {
	t.Helper()
	out := map[string]int64{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		out[rel] = info.Size()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestExcess(t *testing.T) {
	at := func(hour int) time.Time { return testTime().Add(time.Duration(hour) * time.Hour) }
	for _, c := range []struct {
		name  string
		files []cachedFile
		want  []string // in the order in which they go
	}{
		{"room for all", []cachedFile{{"p", 500, at(0), true}, {"i", 500, at(1), false}}, nil},
		{"trees before older indexes", []cachedFile{{"i", 500, at(0), false}, {"p", 300, at(5), true}, {"q", 300, at(4), true}}, []string{"q"}},
		{"trees keep their share", []cachedFile{{"i", 500, at(0), false}, {"s", 400, at(1), false}, {"p", 200, at(2), true}}, []string{"i"}},
		{"the least lately used goes first", []cachedFile{{"a", 400, at(2), false}, {"b", 400, at(0), false}, {"c", 400, at(1), false}}, []string{"b"}},
		{"a clock that was wrong", []cachedFile{{"a", 600, time.Time{}, false}, {"b", 600, at(0), false}}, []string{"a"}},
	} {
		n := excess(c.files, 1000)
		var gone []string
		for _, f := range c.files[:n] {
			gone = append(gone, f.path)
		}
		if !slices.Equal(gone, c.want) {
			t.Errorf("%s: %q go, want %q", c.name, gone, c.want)
		}
	}
}

// TestCacheIsBounded: whatever is put, the directory stays below its limit,
// for all repositories together; what was read lately stays.
func TestCacheIsBounded(t *testing.T) {
	dir := t.TempDir()
	now := testTime()
	clock := func() time.Time { return now }
	const limit = 64 << 10
	a, b := testCache(t, dir, limit, clock), testCache(t, dir, limit, clock)
	put := func(c *cache, k storage.Kind, size int) storage.Handle {
		h := storage.Handle{Kind: k, Name: randomID(t).String()}
		c.put(h, make([]byte, size))
		now = now.Add(2 * time.Hour)
		return h
	}
	first := put(a, storage.IndexFile, 100)
	favourite := put(a, storage.PackFile, 4<<10)
	for range 40 {
		put(a, storage.PackFile, 4<<10)
		put(b, storage.PackFile, 4<<10)
		if !a.readAt(favourite, make([]byte, 10), 0) {
			t.Fatal("a file that is always in use went")
		}
		var total int64
		for _, n := range cachedFiles(t, dir) {
			total += n
		}
		if total > limit+limit/scanShare {
			t.Fatalf("%d bytes are kept", total)
		}
	}
	if _, ok := a.get(first, 1000); !ok {
		t.Error("an index went before the trees")
	}
	big := put(a, storage.PackFile, limit/packShare+1)
	if _, ok := a.get(big, limit); ok {
		t.Error("a pack was kept that is larger than their share")
	}
}

// TestCacheForgetsOthers: what another repository has not used for a month
// goes, and what a killed process left; what is not ours stays.
func TestCacheForgetsOthers(t *testing.T) {
	dir := t.TempDir()
	now := testTime()
	clock := func() time.Time { return now }
	old, own := testCache(t, dir, 0, clock), testCache(t, dir, 0, clock)
	h := storage.Handle{Kind: storage.IndexFile, Name: randomID(t).String()}
	old.put(h, []byte("old"))
	own.put(h, []byte("own"))
	for _, name := range []string{"notes.txt", cacheTemp + "123"} {
		path := filepath.Join(own.dir, "index", name)
		if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, now, now); err != nil {
			t.Fatal(err)
		}
	}
	now = now.Add(40 * 24 * time.Hour)
	next := newCache(&Options{CacheDir: dir, Now: clock}).of(filepath.Base(own.dir))
	next.put(storage.Handle{Kind: storage.SnapshotFile, Name: h.Name}, []byte("new"))
	want := []string{"index/" + h.Name, "index/notes.txt", "snapshots/" + h.Name}
	if got := sortedKeys(cachedFiles(t, own.dir)); !slices.Equal(got, slices.Sorted(slices.Values(want))) {
		t.Errorf("left: %q, want %q", got, want)
	}
	if got := cachedFiles(t, old.dir); len(got) != 0 {
		t.Errorf("left of the other: %v", got)
	}
}

// TestCacheOddFiles: what is no regular file is not opened for good, and not
// waited for.
func TestCacheOddFiles(t *testing.T) {
	c := testCache(t, t.TempDir(), 0, nil)
	fifo := storage.Handle{Kind: storage.IndexFile, Name: randomID(t).String()}
	c.put(fifo, []byte("x"))
	if err := os.Remove(c.path(fifo)); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(c.path(fifo), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, ok := c.get(fifo, 100); ok {
		t.Error("a FIFO was read")
	}
	c.warn = func(error) {}
	link := storage.Handle{Kind: storage.SnapshotFile, Name: fifo.Name}
	c.put(link, []byte("x"))
	if err := os.Remove(c.path(link)); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc/hostname", c.path(link)); err != nil {
		t.Fatal(err)
	}
	if _, ok := c.get(link, 1<<20); ok {
		t.Error("a link was followed")
	}
}

// TestCacheSharedAndDeleted: goroutines of several repositories put, read and
// trim while the folder is deleted again and again. Nobody notices.
func TestCacheSharedAndDeleted(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cache")
	stop := make(chan struct{})
	var deleting, working sync.WaitGroup
	deleting.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			_ = os.RemoveAll(dir) // fails where a file appears meanwhile
			time.Sleep(time.Millisecond)
		}
	})
	id := randomID(t).String()
	for range 4 {
		c := newCache(&Options{CacheDir: dir, CacheSize: 64 << 10, Now: time.Now, Warn: func(err error) { t.Errorf("warning: %v", err) }}).of(id)
		working.Go(func() { exercise(t, c, 150) })
	}
	working.Wait()
	close(stop)
	deleting.Wait()
}

// exercise puts and reads files whose content says which they are.
func exercise(t testing.TB, c *cache, rounds int) {
	kinds := []storage.Kind{storage.PackFile, storage.IndexFile, storage.SnapshotFile}
	for i := range rounds {
		h := storage.Handle{Kind: kinds[i%3], Name: fmt.Sprintf("%064x", i%50)}
		want := randomData(uint64(i%50), 2000)
		c.put(h, want)
		if got, ok := c.get(h, 1<<20); ok && !slices.Equal(got, want) {
			t.Errorf("round %d: another content", i)
		}
		switch i % 20 {
		case 7:
			c.drop(h)
		case 13:
			c.retain(h.Kind, func(id ID) bool { return id[31]%2 == 0 })
		}
	}
}

const cacheProcessEnv = "RIPPLEBAK_TEST_CACHE"

// TestCacheOfTwoProcesses is the same with processes of their own.
func TestCacheOfTwoProcesses(t *testing.T) {
	if dir := os.Getenv(cacheProcessEnv); dir != "" {
		c := newCache(&Options{CacheDir: dir, CacheSize: 64 << 10, Now: time.Now, Warn: func(err error) { t.Errorf("warning: %v", err) }}).of(fmt.Sprintf("%064x", 1))
		exercise(t, c, 400)
		return
	}
	dir := filepath.Join(t.TempDir(), "cache")
	var wg sync.WaitGroup
	var running atomic.Int32
	for range 2 {
		cmd := exec.Command(os.Args[0], "-test.run=^TestCacheOfTwoProcesses$", "-test.v")
		cmd.Env = append(os.Environ(), cacheProcessEnv+"="+dir)
		running.Add(1)
		wg.Go(func() {
			defer running.Add(-1)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
	for running.Load() > 0 {
		_ = os.RemoveAll(dir) // fails where a file appears meanwhile
		time.Sleep(5 * time.Millisecond)
	}
	wg.Wait()
	c := newCache(&Options{CacheDir: dir, CacheSize: 64 << 10, Now: time.Now}).of(fmt.Sprintf("%064x", 1))
	exercise(t, c, 1)
	var total int64
	for _, n := range cachedFiles(t, dir) {
		total += n
	}
	if total == 0 || total > 64<<10 {
		t.Errorf("%d bytes are kept", total)
	}
}

// TestCacheDeletedUnderWork: backups and reads through two repositories work
// on while their cache is deleted.
func TestCacheDeletedUnderWork(t *testing.T) {
	mem := storagetest.NewMemory()
	testInit(t, mem, InitOptions{})
	dir := filepath.Join(t.TempDir(), "cache")
	opt := Options{CacheDir: dir, CacheSize: 64 << 10, Warn: func(err error) { t.Errorf("warning: %v", err) }}
	stop := make(chan struct{})
	var deleting, working sync.WaitGroup
	deleting.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				_ = os.RemoveAll(dir) // fails where a file appears meanwhile
				time.Sleep(2 * time.Millisecond)
			}
		}
	})
	for n := range 2 {
		working.Go(func() {
			for i := range 6 {
				files := map[string][]byte{"f": testData(uint64(100*n+i), 20_000)}
				id := backup(t, testOpen(t, mem, opt), mem.Writer(), files)
				verifySnapshot(t, testOpen(t, mem, opt), id, files)
			}
		})
	}
	working.Wait()
	close(stop)
	deleting.Wait()
}

// TestF33_CacheDiskFull: a disk that is full costs one warning, no run, and no
// request more than without a cache; nothing is left by half.
func TestF33_CacheDiskFull(t *testing.T) {
	dir, inside := storagetest.InNamespace(t)
	if !inside {
		return
	}
	storagetest.MountTmpfs(t, dir, "size=64k")
	if err := os.WriteFile(filepath.Join(dir, "filler"), make([]byte, 48<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	mem := storagetest.NewMemory()
	testInit(t, mem, InitOptions{})
	var warnings []error
	var mu sync.Mutex
	r := testOpen(t, mem, Options{CacheDir: dir, Warn: func(err error) {
		mu.Lock()
		defer mu.Unlock()
		warnings = append(warnings, err)
	}})
	for i := range 30 {
		files := map[string][]byte{"a": testData(uint64(i), 1000)}
		verifySnapshot(t, r, backup(t, r, mem.Writer(), files), files)
	}
	if len(warnings) != 1 {
		t.Errorf("%d warnings: %v", len(warnings), warnings)
	}
	for path := range cachedFiles(t, dir) {
		if name := filepath.Base(path); name != "filler" && !isCacheName(name) {
			t.Errorf("left: %s", path)
		}
	}
}
