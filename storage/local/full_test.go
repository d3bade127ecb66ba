package local_test

import (
	"errors"
	"strings"
	"syscall"
	"testing"

	"github.com/ripplebak/ripplebak/storage"
	"github.com/ripplebak/ripplebak/storage/storagetest"
)

func TestF33_DiskFull(t *testing.T) {
	dir, inside := storagetest.InNamespace(t)
	if !inside {
		return
	}
	storagetest.MountTmpfs(t, dir, "size=1m")
	s := open(t, dir)
	if err := s.Writer().Provision(t.Context()); err != nil {
		t.Fatal(err)
	}
	small := storagetest.Put(t, s, storage.SnapshotFile, []byte("before"))
	data := storagetest.Content(1, 2<<20)
	h := storagetest.HandleFor(storage.PackFile, data)
	if err := s.Writer().Save(t.Context(), h, storage.NewPayload(data)); !errors.Is(err, storage.ErrNoSpace) {
		t.Errorf("save: %v, want ErrNoSpace", err)
	}
	config := storage.Handle{Kind: storage.ConfigFile}
	if err := s.Writer().Create(t.Context(), config, storage.NewPayload(data)); !errors.Is(err, storage.ErrNoSpace) {
		t.Errorf("create: %v, want ErrNoSpace", err)
	}
	if _, err := s.Reader().Stat(t.Context(), config); !errors.Is(err, storage.ErrNotExist) {
		t.Errorf("a config is visible: %v", err)
	}
	if names := storagetest.Names(t, s, storage.PackFile); len(names) != 0 {
		t.Errorf("visible: %v", names)
	}
	if left := temporaries(t, dir); len(left) != 0 {
		t.Errorf("temporary files hold the space: %v", left)
	}
	if got := storagetest.Get(t, s, small); string(got) != "before" {
		t.Errorf("an earlier file became %q", got)
	}
	// Removing needs no space, and makes some.
	if err := s.Remover().Remove(t.Context(), small); err != nil {
		t.Error(err)
	}
	storagetest.Put(t, s, storage.PackFile, storagetest.Content(2, 100_000))
}

func TestF34_ReadOnlyMount(t *testing.T) {
	dir, inside := storagetest.InNamespace(t)
	if !inside {
		return
	}
	storagetest.MountTmpfs(t, dir, "size=4m")
	s := open(t, dir)
	if err := s.Writer().Provision(t.Context()); err != nil {
		t.Fatal(err)
	}
	h := storagetest.Put(t, s, storage.PackFile, []byte("x"))
	if err := syscall.Mount("", dir, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	if err := s.Probe(t.Context()); err != nil {
		t.Errorf("probe: %v", err)
	}
	if got := storagetest.Get(t, s, h); string(got) != "x" {
		t.Errorf("load: %q", got)
	}
	for what, err := range map[string]error{
		"lock":   s.Locker().SaveLock(t.Context(), h.Name, storage.NewPayload(nil)),
		"save":   s.Writer().Save(t.Context(), h, storage.NewPayload([]byte("x"))),
		"remove": s.Remover().Remove(t.Context(), h),
	} {
		if !errors.Is(err, storage.ErrDenied) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want ErrDenied", what, err)
		}
	}
}
