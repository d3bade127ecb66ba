package sidecar

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ripplebak/ripplebak/storage"
	"github.com/ripplebak/ripplebak/storage/storagetest"
)

// locked are the settings of a copy that is locked for ten days.
const locked = "RIPPLEBAK_COPY_S3_LOCK=governance"

// copiedToS3 is a shop whose repository is a directory, and whose copy is in a
// bucket.
func copiedToS3(t *testing.T, g *storagetest.Gateway, more ...string) *shop {
	t.Helper()
	s := newShop(t)
	s.service("app", map[string]string{"enable": "true"}, "data")
	s.configureCopyInS3(g, more...)
	s.fill("first", 300_000)
	return s
}

func (s *shop) configureCopyInS3(g *storagetest.Gateway, more ...string) {
	s.t.Helper()
	s.configure(append([]string{
		"RIPPLEBAK_COPY_TO=s3:http://" + g.Host + "/copies/shop", "RIPPLEBAK_COPY_S3_LOCK_DAYS=10",
		"RIPPLEBAK_KEEP_MINIMUM=1", "RIPPLEBAK_PRUNE_SCHEDULE=@weekly", "RIPPLEBAK_CHECK_SCHEDULE=off",
		"AWS_ACCESS_KEY_ID=" + g.AccessKey, "AWS_SECRET_ACCESS_KEY=" + g.SecretKey, "AWS_REGION=" + g.Region,
	}, more...)...)
}

// copyLocks says of every file of the copy how many days it is locked, rounded.
func (s *shop) copyLocks() map[storage.Handle]int {
	s.t.Helper()
	c, _ := s.app.Settings.Copy("copy")
	store, err := s.app.openStorage(s.t.Context(), s.app.copyTarget(c), nil)
	if err != nil {
		s.t.Fatal(err)
	}
	defer store.Close()
	out := map[storage.Handle]int{}
	for _, k := range storage.Kinds() {
		err := store.Reader().List(s.t.Context(), k, func(i storage.Info) error {
			h := storage.Handle{Kind: k, Name: i.Name}
			until, err := store.Retainer().Retained(s.t.Context(), h)
			out[h] = int(time.Until(until).Round(24*time.Hour) / (24 * time.Hour))
			return err
		})
		if err != nil {
			s.t.Fatal(err)
		}
	}
	return out
}

// wantCopyLocked for so many days, all of it.
func (s *shop) wantCopyLocked(days int) (files int) {
	s.t.Helper()
	locks := s.copyLocks()
	for _, k := range storage.Kinds() {
		n := 0
		for h, got := range locks {
			if h.Kind != k {
				continue
			}
			n++
			if got != days {
				s.t.Errorf("%s is locked for %d days, want %d", h, got, days)
			}
		}
		if (n == 0) != (k == storage.LockFile) {
			s.t.Errorf("%d files of kind %s", n, k)
		}
	}
	return len(locks)
}

// pruneJobOfCopy runs what serve runs for the copy, so many days from now.
func (s *shop) pruneJobOfCopy(days int) {
	s.t.Helper()
	s.app.Now = func() time.Time { return time.Now().AddDate(0, 0, days) }
	defer func() { s.app.Now = time.Now }()
	jobs, err := s.app.scheduledJobs()
	if err != nil {
		s.t.Fatal(err)
	}
	i := slices.IndexFunc(jobs, func(j *job) bool { return j.name == "prune of copy" })
	if i < 0 {
		s.t.Fatalf("serve has %d jobs, and none for the copy", len(jobs))
	}
	if err := jobs[i].run(s.t.Context(), turn{}); err != nil {
		s.t.Errorf("the job: %v", err)
	}
}

// TestCopiesAreLocked as they are written, and longer by what serve does for
// the copy, whether anything can be removed there or not. What is removed from
// it stays behind its lock.
func TestCopiesAreLocked(t *testing.T) {
	g := storagetest.StartVersioningGateway(t, t.TempDir(), t.TempDir())
	s := copiedToS3(t, g, locked)
	s.mustBackup()
	files := s.wantCopyLocked(10)
	s.pruneJobOfCopy(4) // more than half is left
	s.wantCopyLocked(10)
	s.pruneJobOfCopy(6)
	if s.wantCopyLocked(16) != files {
		t.Error("something was removed from a copy that keeps all")
	}

	s.configureCopyInS3(g, locked, "RIPPLEBAK_APPEND_ONLY=true", "RIPPLEBAK_COPY_KEEP=last=1")
	s.pruneJobOfCopy(12)
	if s.wantCopyLocked(22) != files {
		t.Error("something was removed though nothing may be")
	}

	s.configureCopyInS3(g, locked, "RIPPLEBAK_COPY_KEEP=last=1", "RIPPLEBAK_S3_LOCK_DAYS=99")
	s.fill("first", 200_000)
	s.mustBackup()
	s.app.From = "copy"
	report, err := s.app.Prune(t.Context(), PruneOptions{MaxUnused: "0"})
	s.app.From = ""
	if err != nil || report.PacksRemoved == 0 || report.PacksHidden != report.PacksRemoved || report.PacksLocked != 0 {
		t.Errorf("prune of the copy: %+v, %v; want all removed packs hidden", report, err)
	}
	s.wantWhole("copy")
	s.pruneJobOfCopy(14) // of what is left, the new has lost its locks by then
	for h, days := range s.copyLocks() {
		if days != 22 && days != 24 {
			t.Errorf("%s is locked for %d days", h, days)
		}
	}
	s.wantQuiet()
}

// TestF28_CopyThatCannotBeLocked: said with the setting that asks for it, and
// the backup is good. Nothing is put where it would not be locked.
func TestF28_CopyThatCannotBeLocked(t *testing.T) {
	g := storagetest.StartGateway(t, t.TempDir())
	s := copiedToS3(t, g)
	if report := s.backedUp(); report.Copies[0].Error != "" {
		t.Fatalf("without locks: %+v", report.Copies)
	}
	s.change("other")
	for _, c := range []struct{ setting, says string }{
		{locked, "bucket copies has no Object Lock, and RIPPLEBAK_COPY_S3_LOCK is set"},
		{"RIPPLEBAK_COPY_TO=" + s.path("copy"), "RIPPLEBAK_COPY_S3_LOCK is set, and " + s.path("copy") + " is not in S3"},
	} {
		s.configureCopyInS3(g, locked, c.setting)
		report := s.backedUp()
		if got := report.Copies[0]; !strings.Contains(got.Error, c.says) || slices.ContainsFunc(got.Snapshots, func(s CopyStep) bool { return s.Copy != "" }) {
			t.Errorf("%s: %+v", c.setting, got)
		}
	}
	if s.count("copy") != 0 {
		t.Error("a repository was made where nothing can be locked")
	}
}

// TestF28_LockWithoutS3: a lock that somebody relies on, and that is none.
func TestF28_LockWithoutS3(t *testing.T) {
	s := newShop(t)
	s.service("app", map[string]string{"enable": "true"}, "data")
	s.configure("RIPPLEBAK_S3_LOCK=compliance")
	s.fill("first", 1000)
	for range 2 { // where there is no repository yet, and where there is one
		_, err := s.app.Backup(t.Context(), BackupOptions{})
		if !errors.Is(err, storage.ErrRefused) || !strings.Contains(err.Error(), "RIPPLEBAK_S3_LOCK is set, and") {
			t.Errorf("backup: %v", err)
		}
		s.configure()
		s.mustBackup()
		s.configure("RIPPLEBAK_S3_LOCK=compliance")
	}
	if list, err := s.app.Snapshots(t.Context(), true); err != nil || len(list) != 2 {
		t.Errorf("%d snapshots, %v: what reads needs no lock", len(list), err)
	}
}
