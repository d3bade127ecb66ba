package sidecar

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ripplebak/ripplebak/storage/storagetest"
)

// TestF33_StateVolumeFull: with no room for cache, history and the names of
// whoever holds the run lock a backup is a backup all the same, and says once of
// each what is missing.
func TestF33_StateVolumeFull(t *testing.T) {
	dir, inside := storagetest.InNamespace(t)
	if !inside {
		return
	}
	storagetest.MountTmpfs(t, dir, "size=2m")
	s := newShop(t)
	s.app.Settings.StateDir = filepath.Join(dir, "state")
	s.service("app", map[string]string{"enable": "true"}, "data")
	if _, err := s.app.Backup(t.Context(), BackupOptions{}); err != nil {
		t.Fatal(err)
	}
	filler, err := os.Create(filepath.Join(dir, "filler"))
	if err != nil {
		t.Fatal(err)
	}
	for size := 1 << 20; size > 0; size /= 2 {
		for err == nil {
			_, err = filler.Write(make([]byte, size))
		}
		err = nil
	}
	if err := filler.Close(); err != nil {
		t.Fatal(err)
	}
	before := len(s.log.String())
	report, err := s.app.Backup(t.Context(), BackupOptions{})
	if err != nil || !report.Complete || s.snapshots() != 2 {
		t.Fatalf("%+v, %v", report, err)
	}
	said := s.log.String()[before:]
	for _, what := range []string{"the cache does not work", "state volume cannot be written"} {
		if strings.Count(said, what) == 0 {
			t.Errorf("it does not say that %s", what)
		}
	}
	if n := strings.Count(said, "the cache does not work"); n > 1 {
		t.Errorf("it says %d times that the cache does not work", n)
	}
	if err := os.Remove(filler.Name()); err != nil {
		t.Fatal(err)
	}
	before = len(s.log.String())
	if _, err := s.app.Backup(t.Context(), BackupOptions{}); err != nil || strings.Contains(s.log.String()[before:], "no space") {
		t.Errorf("with room again: %v", err)
	}
	s.wantQuiet()
}
