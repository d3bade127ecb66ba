package sidecar

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ripplebak/ripplebak/plan"
	"github.com/ripplebak/ripplebak/sidecar/settings"
	"github.com/ripplebak/ripplebak/storage"
	"github.com/ripplebak/ripplebak/storage/storagetest"
)

// onGateway moves a shop's repository to an S3 server.
func (s *shop) onGateway() *storagetest.Gateway {
	s.t.Helper()
	g := storagetest.StartGateway(s.t, s.t.TempDir())
	set, err := settings.Load([]string{
		"RIPPLEBAK_REPOSITORY=s3:http://" + g.Host + "/backups/shop", "RIPPLEBAK_PASSWORD=correct horse", "RIPPLEBAK_PROJECT=shop",
		"RIPPLEBAK_STATE_DIR=" + s.path("state"), "RIPPLEBAK_RUN_DIR=" + s.path("run"),
		"AWS_ACCESS_KEY_ID=" + g.AccessKey, "AWS_SECRET_ACCESS_KEY=" + g.SecretKey, "AWS_REGION=" + g.Region,
	}, os.ReadFile)
	if err != nil {
		s.t.Fatal(err)
	}
	s.app.Settings = set
	return g
}

// TestKeyIsKept: the second time that a process opens the repository it lists
// no keys: there is no state directory here, so the one in memory was taken.
// When its file is gone it is of no use any more.
func TestKeyIsKept(t *testing.T) {
	s := newShop(t)
	if _, err := s.app.Init(t.Context()); err != nil {
		t.Fatal(err)
	}
	open := func() (storage.RequestCounts, error) {
		v, err := s.app.openVault(t.Context(), nil, false)
		if err != nil {
			return storage.RequestCounts{}, err
		}
		return v.requests.Counts(), v.close(t.Context())
	}
	for _, want := range []int64{1, 0, 0} {
		n, err := open()
		if err != nil || n.List != want || n.Get != 2 {
			t.Errorf("%s, %v: want %d LIST and 2 GET", n, err, want)
		}
	}
	for _, name := range s.files(s.path("repo", "keys")) {
		if err := os.Remove(s.path("repo", "keys", name)); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := open(); err == nil {
		t.Errorf("opened without any key file: %s", n)
	}
}

// TestRequestsOfAnUnchangedRun: a run in which nothing has changed asks an S3
// server for a handful of things, and says for how many.
func TestRequestsOfAnUnchangedRun(t *testing.T) {
	s := newShop(t)
	s.onGateway()
	s.service("app", map[string]string{"enable": "true"}, "data")
	for i := range 50 {
		dir := s.path("volumes", "shop_data", fmt.Sprint(i))
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "file"), []byte(fmt.Sprint("content ", i)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var last storage.RequestCounts
	for range 3 {
		report, err := s.app.Backup(t.Context(), BackupOptions{})
		if err != nil {
			t.Fatal(err)
		}
		t.Log(report.Requests)
		last = report.Requests
	}
	// Put: lock, manifest, trees, index, snapshot. Get: config, key. List:
	// locks before and after ours is written, snapshots, indexes. Delete: lock.
	atMost := storage.RequestCounts{Put: 5, Get: 2, List: 4, Delete: 1}
	if last.Put > atMost.Put || last.Get > atMost.Get || last.Head > 0 || last.List > atMost.List || last.Delete > atMost.Delete || last.Other > 0 {
		t.Errorf("requests: %s, want at most %s", last, atMost)
	}
	if last.Put == 0 || last.Get == 0 || last.List == 0 || last.Delete == 0 {
		t.Errorf("requests: %s: some are not counted", last)
	}
	if want := fmt.Sprintf(`"put":%d,"get":%d,"head":0,"list":%d,"delete":1`, last.Put, last.Get, last.List); !strings.Contains(s.log.String(), want) {
		t.Errorf("the log does not say %s", want)
	}
}

// TestRequestsOfARestore: beside the packs, each once, a restore asks for no
// more than a backup; and without the cache for the indexes, snapshots and
// trees.
func TestRequestsOfARestore(t *testing.T) {
	s := newShop(t)
	s.onGateway()
	s.service("app", map[string]string{"enable": "true"}, "data")
	if _, err := s.app.Backup(t.Context(), BackupOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, cached := range []bool{true, false} {
		if err := os.WriteFile(s.path("volumes", "shop_data", "file"), []byte("lost"), 0o644); err != nil {
			t.Fatal(err)
		}
		atMost := storage.RequestCounts{Put: 1, Get: 4, List: 4, Delete: 1}
		if !cached {
			if err := os.RemoveAll(s.path("state", "cache")); err != nil {
				t.Fatal(err)
			}
			atMost = storage.RequestCounts{Put: 1, Get: 10, List: 4, Delete: 1}
		}
		before := len(s.log.String())
		opt := RestoreOptions{Snapshot: "latest", NoSafety: true, Confirm: func(*plan.Restore) error { return nil }}
		if _, err := s.app.Restore(t.Context(), opt); err != nil {
			t.Fatal(err)
		}
		got := loggedRequests(t, s.log.String()[before:])
		t.Logf("cached %v: %s", cached, got)
		if got.Put > atMost.Put || got.Get > atMost.Get || got.Head > atMost.Head || got.List > atMost.List || got.Delete > atMost.Delete || got.Other > 0 {
			t.Errorf("cached %v: %s, want at most %s", cached, got, atMost)
		}
	}
}

// loggedRequests are those that the log speaks of.
func loggedRequests(t *testing.T, log string) (n storage.RequestCounts) {
	t.Helper()
	for line := range strings.Lines(log) {
		if strings.Contains(line, "requests to the storage") {
			if err := json.Unmarshal([]byte(line), &n); err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatal("the log speaks of no requests")
	return n
}
