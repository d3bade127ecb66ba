package storage_test

import (
	"strings"
	"testing"

	"github.com/ripplebak/ripplebak/storage"
)

func TestPaths(t *testing.T) {
	name := "ab" + strings.Repeat("0", 62)
	for h, want := range map[storage.Handle]string{
		{Kind: storage.ConfigFile}:               "config",
		{Kind: storage.KeyFile, Name: name}:      "keys/" + name,
		{Kind: storage.LockFile, Name: name}:     "locks/" + name,
		{Kind: storage.SnapshotFile, Name: name}: "snapshots/" + name,
		{Kind: storage.IndexFile, Name: name}:    "index/" + name,
		{Kind: storage.PackFile, Name: name}:     "data/ab/" + name,
	} {
		if got := h.Path(); got != want {
			t.Errorf("%s: %q, want %q", h, got, want)
		}
		if back, ok := storage.HandleAt(want); !ok || back != h {
			t.Errorf("%q leads back to %v, %t", want, back, ok)
		}
		if err := h.Valid(); err != nil {
			t.Errorf("%s: %v", h, err)
		}
	}
}

func FuzzHandleAt(f *testing.F) {
	name := strings.Repeat("0a", 32)
	for _, s := range []string{"", "config", "keys/" + name, "data/0a/" + name, "data/00/" + name, "data/" + name, "keys//" + name[1:], "../keys/" + name, "Config", "keys/" + strings.ToUpper(name)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, path string) {
		h, ok := storage.HandleAt(path)
		if !ok {
			return
		}
		if h.Valid() != nil || h.Path() != path {
			t.Errorf("%q is taken for %#v, which lies at %q", path, h, h.Path())
		}
	})
}
