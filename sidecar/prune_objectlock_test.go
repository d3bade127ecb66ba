package sidecar

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/ripplebak/ripplebak/sidecar/settings"
	"github.com/ripplebak/ripplebak/storage"
	"github.com/ripplebak/ripplebak/storage/storagetest"
)

// lockedShop is a shop on a bucket with Object Lock, with two snapshots of
// which the first was forgotten.
func lockedShop(t *testing.T, g *storagetest.Gateway, days string, env ...string) *shop {
	t.Helper()
	s := newShop(t)
	s.service("app", map[string]string{"enable": "true"}, "data")
	set, err := settings.Load(append([]string{
		"RIPPLEBAK_REPOSITORY=s3:http://" + g.Host + "/backups/shop", "RIPPLEBAK_PASSWORD=correct horse", "RIPPLEBAK_PROJECT=shop",
		"RIPPLEBAK_STATE_DIR=" + s.path("state"), "RIPPLEBAK_RUN_DIR=" + s.path("run"),
		"AWS_ACCESS_KEY_ID=" + g.AccessKey, "AWS_SECRET_ACCESS_KEY=" + g.SecretKey, "AWS_REGION=" + g.Region,
		"RIPPLEBAK_S3_LOCK=governance", "RIPPLEBAK_S3_LOCK_DAYS=" + days,
	}, env...), os.ReadFile)
	if err != nil {
		t.Fatal(err)
	}
	s.app.Settings = set
	s.fill("first", 300_000)
	s.mustBackup()
	if err := os.Remove(s.path("volumes", "shop_data", "first")); err != nil {
		t.Fatal(err)
	}
	s.fill("second", 200_000)
	s.mustBackup()
	return s
}

// names lists what the shop's repository holds of a kind.
func (s *shop) names(k storage.Kind) (out []string) {
	s.t.Helper()
	store, err := s.app.openStore(s.t.Context(), nil)
	if err != nil {
		s.t.Fatal(err)
	}
	err = store.Reader().List(s.t.Context(), k, func(i storage.Info) error {
		out = append(out, i.Name)
		return nil
	})
	if err := errors.Join(err, store.Close()); err != nil {
		s.t.Fatal(err)
	}
	return out
}

// forgetOne removes a snapshot as a forget does.
func (s *shop) forgetOne(name string) {
	s.t.Helper()
	store, err := s.app.openStore(s.t.Context(), nil)
	if err != nil {
		s.t.Fatal(err)
	}
	err = store.(storage.Store).Remover().Remove(s.t.Context(), storage.Handle{Kind: storage.SnapshotFile, Name: name})
	if err := errors.Join(err, store.Close()); err != nil {
		s.t.Fatal(err)
	}
}

// TestPruneOnALockedBucket: on a real server with versions a prune goes on as
// ever, and says what stays stored behind the locks.
func TestPruneOnALockedBucket(t *testing.T) {
	s := lockedShop(t, storagetest.StartVersioningGateway(t, t.TempDir(), t.TempDir()), "10")
	s.forgetOne(s.names(storage.SnapshotFile)[0])
	report, err := s.app.Prune(t.Context(), PruneOptions{MaxUnused: "0"})
	if err != nil {
		t.Fatal(err)
	}
	if report.PacksRemoved == 0 || report.PacksHidden != report.PacksRemoved || report.BytesHidden != report.BytesRemoved || report.PacksLocked != 0 {
		t.Errorf("%+v: want all removed packs hidden", report)
	}
	var text strings.Builder
	if err := report.Print(&text); err != nil || !strings.Contains(text.String(), "hidden and still locked") {
		t.Errorf("%v: %s", err, &text)
	}
	if !strings.Contains(s.log.String(), "locks of the storage looked after") {
		t.Errorf("the locks of the rest were not looked after:\n%s", s.log.String())
	}
	if _, err := s.app.Check(t.Context(), CheckOptions{ReadData: true}); err != nil {
		t.Errorf("check: %v", err)
	}
	again, err := s.app.Prune(t.Context(), PruneOptions{MaxUnused: "0"})
	if err != nil || again.PacksRemoved != 0 || again.PacksHidden != 0 {
		t.Errorf("a second prune: %+v, %v", again, err)
	}
}

// TestPruneInAppendOnlyOnlyProlongs: serve's job does not fail every week.
func TestPruneInAppendOnlyOnlyProlongs(t *testing.T) {
	s := lockedShop(t, storagetest.StartVersioningGateway(t, t.TempDir(), t.TempDir()), "10", "RIPPLEBAK_APPEND_ONLY=true")
	packs := len(s.names(storage.PackFile))
	if _, err := s.app.Prune(t.Context(), PruneOptions{}); !errors.Is(err, ErrAppendOnly) {
		t.Errorf("prune: %v, want ErrAppendOnly", err)
	}
	if err := s.app.scheduledPrune(t.Context(), turn{}); err != nil {
		t.Errorf("the scheduled one: %v", err)
	}
	if got := len(s.names(storage.PackFile)); got != packs || len(s.names(storage.LockFile)) != 0 {
		t.Errorf("%d packs, want %d", got, packs)
	}
	if log := s.log.String(); !strings.Contains(log, "no prune") || !strings.Contains(log, "locks of the storage looked after") {
		t.Errorf("the log says:\n%s", log)
	}
}

// TestF28_BackupToABucketThatCannotLock: said before a service is touched; what
// was saved before can still be read.
func TestF28_BackupToABucketThatCannotLock(t *testing.T) {
	s := newShop(t)
	s.service("app", map[string]string{"enable": "true", "during": "stop"}, "data")
	s.onGateway()
	s.fill("first", 1000)
	s.mustBackup()
	s.app.Settings.S3Lock = "governance"
	stops := strings.Count(strings.Join(s.f.Calls(), "\n"), "stop")
	_, err := s.app.Backup(t.Context(), BackupOptions{})
	if !errors.Is(err, storage.ErrRefused) || !strings.Contains(err.Error(), "has no Object Lock") {
		t.Errorf("backup: %v, want that the bucket has no Object Lock", err)
	}
	if got := strings.Count(strings.Join(s.f.Calls(), "\n"), "stop"); got != stops {
		t.Errorf("%d stops, %d before", got, stops)
	}
	if _, err := s.app.Check(t.Context(), CheckOptions{}); err != nil {
		t.Errorf("check: %v", err)
	}
}
