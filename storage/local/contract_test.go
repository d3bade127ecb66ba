package local_test

import (
	"path/filepath"
	"testing"

	"github.com/ripplebak/ripplebak/storage"
	"github.com/ripplebak/ripplebak/storage/local"
	"github.com/ripplebak/ripplebak/storage/storagetest"
)

func TestContract(t *testing.T) {
	storagetest.Contract(t, func(t *testing.T) storage.Store { return open(t, filepath.Join(t.TempDir(), "repo")) })
}

func open(t *testing.T, path string) storage.Store {
	t.Helper()
	s, err := local.Open(path, local.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}
