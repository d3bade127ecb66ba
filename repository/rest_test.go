package repository

import (
	"strings"
	"testing"
	"time"

	"github.com/ripplebak/ripplebak/storage"
	"github.com/ripplebak/ripplebak/storage/location"
	"github.com/ripplebak/ripplebak/storage/rest/resttest"
)

// TestResticReadsOursByREST: what we write through a server for restic's REST
// protocol, stock restic checks, backs up to and restores through the same
// server, and the other way round.
func TestResticReadsOursByREST(t *testing.T) {
	restic := needRestic(t)
	for name, start := range map[string]func(t *testing.T) string{
		"Fake":       func(t *testing.T) string { return resttest.New(t).URL() },
		"Version1":   func(t *testing.T) string { s := resttest.New(t); s.Version = 1; return s.URL() },
		"AppendOnly": func(t *testing.T) string { s := resttest.New(t); s.AppendOnly = true; return s.URL() },
		"Rclone": func(t *testing.T) string {
			return resttest.StartRclone(t, t.TempDir(), "--append-only").URL + "app/"
		},
	} {
		t.Run(name, func(t *testing.T) {
			if testing.Short() && name != "Rclone" {
				t.Skip("one server is enough")
			}
			repo := "rest:" + start(t)
			loc, err := location.Parse(repo)
			if err != nil {
				t.Fatal(err)
			}
			opened, err := location.Open(t.Context(), loc, func(string) string { return "" }, location.Options{StallTimeout: 20 * time.Second})
			if err != nil {
				t.Fatal(err)
			}
			s := opened.(storage.Store)
			t.Cleanup(func() {
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			})
			if err := s.Writer().Provision(t.Context()); err != nil {
				t.Fatal(err)
			}
			testInit(t, s, InitOptions{})
			files := map[string][]byte{"big": testData(1, 3<<20), "small": []byte("x"), "empty": {}}
			r := testOpen(t, s, Options{})
			id := backup(t, r, s.Writer(), files)
			if out := restic(repo, "check", "--read-data"); !strings.Contains(out, "no errors were found") {
				t.Errorf("check says:\n%s", out)
			}
			restic(repo, "backup", t.TempDir())
			again := testOpen(t, s, Options{})
			verifySnapshot(t, again, id, files)
			if list, bad, err := again.Snapshots(t.Context()); err != nil || len(bad) > 0 || len(list) != 2 {
				t.Errorf("snapshots: %d, %v, %v", len(list), bad, err)
			}
			lock, err := again.Lock(t.Context(), s.Locker(), LockOptions{Exclusive: true})
			if err != nil {
				t.Fatal(err)
			}
			if err := lock.Unlock(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}
