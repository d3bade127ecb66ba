package local_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ripplebak/ripplebak/storage"
	"github.com/ripplebak/ripplebak/storage/local"
	"github.com/ripplebak/ripplebak/storage/storagetest"
)

func provisioned(t *testing.T) (storage.Store, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "repo")
	s := open(t, dir)
	if err := s.Writer().Provision(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s, dir
}

// temporaries returns what lies in tmp/.
func temporaries(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(dir, "tmp"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestLayoutAndModes(t *testing.T) {
	old := syscall.Umask(0)
	defer syscall.Umask(old)
	s, dir := provisioned(t)
	for _, k := range storage.Kinds() {
		h := storagetest.Put(t, s, k, []byte("x"))
		fi, err := os.Stat(filepath.Join(dir, h.Path()))
		if err != nil || fi.Mode() != 0o400 {
			t.Errorf("%s: %v, %v; want mode 0400", h.Path(), fi.Mode(), err)
		}
	}
	for _, sub := range []string{"", "keys", "locks", "snapshots", "index", "data", "data/00", "data/7f", "data/ff", "tmp"} {
		fi, err := os.Stat(filepath.Join(dir, sub))
		if err != nil || fi.Mode() != fs.ModeDir|0o700 {
			t.Errorf("%q: %v, %v; want a directory 0700", sub, fi, err)
		}
	}
	if left := temporaries(t, dir); len(left) != 0 {
		t.Errorf("temporary files left: %v", left)
	}
}

// A repository that its group may read stays one.
func TestGroupReadable(t *testing.T) {
	s, dir := provisioned(t)
	config := storagetest.Put(t, s, storage.ConfigFile, []byte("x"))
	if err := os.Chmod(filepath.Join(dir, config.Path()), 0o440); err != nil {
		t.Fatal(err)
	}
	h := storagetest.Put(t, open(t, dir), storage.PackFile, []byte("x"))
	if fi, err := os.Stat(filepath.Join(dir, h.Path())); err != nil || fi.Mode() != 0o440 {
		t.Errorf("%v, %v; want mode 0440", fi.Mode(), err)
	}
}

func TestF28_DirectoryMissing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "gone")
	s := open(t, dir)
	if err := s.Probe(t.Context()); !errors.Is(err, storage.ErrNoBucket) || !strings.Contains(err.Error(), dir) {
		t.Errorf("probe: %v, want ErrNoBucket with the path", err)
	}
	p := storage.NewPayload([]byte("x"))
	h := storagetest.HandleFor(storage.PackFile, []byte("x"))
	for what, err := range map[string]error{
		"save":   s.Writer().Save(t.Context(), h, p),
		"create": s.Writer().Create(t.Context(), storage.Handle{Kind: storage.ConfigFile}, p),
		"lock":   s.Locker().SaveLock(t.Context(), h.Name, p),
		"list":   s.Reader().List(t.Context(), storage.PackFile, func(storage.Info) error { return nil }),
	} {
		if !errors.Is(err, storage.ErrNoBucket) {
			t.Errorf("%s: %v, want ErrNoBucket", what, err)
		}
	}
	if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Error("something but Provision made the directory")
	}
	if err := os.WriteFile(dir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.Probe(t.Context()); err == nil {
		t.Error("probe takes a file for a repository")
	}
	if _, err := local.Open("", local.Options{}); !errors.Is(err, storage.ErrInvalid) {
		t.Errorf("empty path: %v", err)
	}
}

// A directory that was unmounted under us is not made again below the mount
// point.
func TestDirectoryVanishes(t *testing.T) {
	s, dir := provisioned(t)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	h := storagetest.HandleFor(storage.PackFile, nil)
	if err := s.Writer().Save(t.Context(), h, storage.NewPayload(nil)); err == nil {
		t.Error("saved into a directory that is gone")
	}
	if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Error("the directory was made again")
	}
}

func TestF31_LinksOutAreRefused(t *testing.T) {
	s, dir := provisioned(t)
	outside := t.TempDir()
	data := []byte("outside")
	h := storagetest.HandleFor(storage.SnapshotFile, data)
	if err := os.WriteFile(filepath.Join(outside, h.Name), data, 0o600); err != nil {
		t.Fatal(err)
	}
	link := func(target, name string) {
		t.Helper()
		if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	link(outside, "snapshots")
	link(outside, "tmp")
	lock := storagetest.HandleFor(storage.LockFile, data)
	link(filepath.Join(outside, h.Name), lock.Path())
	p := storage.NewPayload([]byte("new"))
	_, loadErr := s.Reader().Load(t.Context(), h, 0, 0)
	_, lockErr := s.Reader().Load(t.Context(), lock, 0, 0)
	for what, err := range map[string]error{
		"load":        loadErr,
		"load a link": lockErr,
		"save":        s.Writer().Save(t.Context(), storagetest.HandleFor(storage.SnapshotFile, []byte("new")), p),
		"remove":      s.Remover().Remove(t.Context(), h),
		"list":        s.Reader().List(t.Context(), storage.SnapshotFile, func(storage.Info) error { return nil }),
	} {
		if err == nil || errors.Is(err, storage.ErrNotExist) {
			t.Errorf("%s through a link that leads out: %v, want a refusal", what, err)
		}
	}
	entries, err := os.ReadDir(outside)
	if err != nil || len(entries) != 1 {
		t.Errorf("outside: %v, %v; want the one file that was there", entries, err)
	}
}

func TestF32_ForeignNames(t *testing.T) {
	s, dir := provisioned(t)
	h := storagetest.Put(t, s, storage.PackFile, []byte("ours"))
	other := storagetest.HandleFor(storage.PackFile, []byte("in the wrong folder")).Name
	for _, name := range []string{"data/README", "data/00/" + other, "data/" + other, h.Path() + ".tmp", "data/xx", filepath.Dir(h.Path()) + "/.nfs01"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	odd := storagetest.HandleFor(storage.PackFile, []byte("odd"))
	if err := os.Mkdir(filepath.Join(dir, odd.Path()), 0o700); err != nil {
		t.Fatal(err)
	}
	fifo := storagetest.HandleFor(storage.PackFile, []byte("fifo"))
	if err := syscall.Mkfifo(filepath.Join(dir, fifo.Path()), 0o600); err != nil {
		t.Fatal(err)
	}
	if names := storagetest.Names(t, s, storage.PackFile); !slices.Equal(names, []string{h.Name}) {
		t.Errorf("listed %v, want %s", names, h.Name)
	}
	for _, h := range []storage.Handle{odd, fifo} {
		if _, err := s.Reader().Load(t.Context(), h, 0, 0); err == nil {
			t.Errorf("%s was opened", h)
		}
	}
}

// Folders that are missing are made as needed: other tools copy repositories
// without their empty ones.
func TestMissingFolders(t *testing.T) {
	s, dir := provisioned(t)
	for _, sub := range []string{"data", "tmp", "snapshots"} {
		if err := os.RemoveAll(filepath.Join(dir, sub)); err != nil {
			t.Fatal(err)
		}
	}
	if names := storagetest.Names(t, s, storage.PackFile); len(names) != 0 {
		t.Errorf("listed %v", names)
	}
	for _, k := range []storage.Kind{storage.PackFile, storage.SnapshotFile} {
		h := storagetest.Put(t, s, k, []byte("x"))
		if got := storagetest.Get(t, s, h); string(got) != "x" {
			t.Errorf("%s: %q", h, got)
		}
	}
}

func TestForgottenTemporariesGo(t *testing.T) {
	_, dir := provisioned(t)
	for name, age := range map[string]time.Duration{"old": 25 * time.Hour, "young": 23 * time.Hour} {
		path := filepath.Join(dir, "tmp", name)
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		when := time.Now().Add(-age)
		if err := os.Chtimes(path, when, when); err != nil {
			t.Fatal(err)
		}
	}
	if err := open(t, dir).Writer().Provision(t.Context()); err != nil {
		t.Fatal(err)
	}
	if left := temporaries(t, dir); !slices.Equal(left, []string{"young"}) {
		t.Errorf("left: %v", left)
	}
}

func TestF24_NoTemporaryStays(t *testing.T) {
	s, dir := provisioned(t)
	data := storagetest.Content(1, 1<<20)
	p := storage.NewPayload(data)
	p.Open = func() (io.ReadSeekCloser, error) {
		return readSeekCloser{io.MultiReader(bytes.NewReader(data[:1000]), failing{})}, nil
	}
	h := storagetest.HandleFor(storage.PackFile, data)
	if err := s.Writer().Save(t.Context(), h, p); !errors.Is(err, storage.ErrSource) {
		t.Errorf("save: %v", err)
	}
	if left := temporaries(t, dir); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

type readSeekCloser struct{ io.Reader }

func (readSeekCloser) Seek(int64, int) (int64, error) { return 0, errors.ErrUnsupported }
func (readSeekCloser) Close() error                   { return nil }

// Two stores on one directory stand for two processes.
func TestTwoProcesses(t *testing.T) {
	s, dir := provisioned(t)
	stores := []storage.Store{s, open(t, dir)}
	data := storagetest.Content(1, 300_000)
	h := storagetest.HandleFor(storage.PackFile, data)
	var wg sync.WaitGroup
	for _, s := range stores {
		for range 4 {
			wg.Go(func() {
				if err := s.Writer().Save(t.Context(), h, storage.NewPayload(data)); err != nil {
					t.Error(err)
				}
				if got := storagetest.Get(t, s, h); !bytes.Equal(got, data) {
					t.Error("other content")
				}
			})
		}
	}
	wg.Wait()
	if left := temporaries(t, dir); len(left) != 0 {
		t.Errorf("temporary files left: %v", left)
	}
}
