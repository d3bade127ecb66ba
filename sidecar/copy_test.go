package sidecar

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ripplebak/ripplebak/repository"
	"github.com/ripplebak/ripplebak/sidecar/settings"
)

// copyingShop is a shop with a volume and two copies.
func copyingShop(t *testing.T) *shop {
	t.Helper()
	s := newShop(t)
	s.service("app", map[string]string{"enable": "true"}, "data")
	s.configure("RIPPLEBAK_COPY_TO="+s.path("copy"), "RIPPLEBAK_COPY2_TO="+s.path("copy2"), "RIPPLEBAK_COPY2_PASSWORD=another horse")
	return s
}

// configure sets the shop up anew with further variables.
func (s *shop) configure(more ...string) {
	s.t.Helper()
	set, err := settings.Load(append([]string{
		"RIPPLEBAK_REPOSITORY=" + s.path("repo"), "RIPPLEBAK_PASSWORD=correct horse", "RIPPLEBAK_PROJECT=shop",
		"RIPPLEBAK_STATE_DIR=" + s.path("state"), "RIPPLEBAK_RUN_DIR=" + s.path("run"),
	}, more...), os.ReadFile)
	if err != nil {
		s.t.Fatal(err)
	}
	s.app.Settings = set
}

func (s *shop) backedUp() *BackupReport {
	s.t.Helper()
	report, err := s.app.Backup(s.t.Context(), BackupOptions{})
	if err != nil {
		s.t.Fatal(err)
	}
	return report
}

func (s *shop) mustCopy(opt CopyOptions) *CopyReport {
	s.t.Helper()
	report, err := s.app.Copy(s.t.Context(), opt)
	if err != nil {
		s.t.Fatal(err)
	}
	return report
}

func (s *shop) count(dir ...string) int { return len(s.files(s.path(dir...))) }

// change gives the volume's file another content.
func (s *shop) change(content string) {
	s.t.Helper()
	if err := os.WriteFile(s.path("volumes", "shop_data", "file"), []byte(content), 0o644); err != nil {
		s.t.Fatal(err)
	}
}

func (s *shop) wantWhole(copies ...string) {
	s.t.Helper()
	for _, name := range copies {
		s.app.From = name
		if _, err := s.app.Check(s.t.Context(), CheckOptions{ReadData: true}); err != nil {
			s.t.Errorf("check of %s: %v", name, err)
		}
	}
	s.app.From = ""
}

func TestRunsAreCopied(t *testing.T) {
	s := copyingShop(t)
	report := s.backedUp()
	if len(report.Copies) != 2 || report.Copies[0].Name != "copy" || report.Copies[0].Snapshots[0].Copy == "" || report.Copies[1].BytesStored == 0 {
		t.Fatalf("%+v", report.Copies)
	}
	s.change("other content")
	s.backedUp()
	if s.count("copy", "snapshots") != 2 || s.count("copy2", "snapshots") != 2 {
		t.Errorf("%d and %d snapshots", s.count("copy", "snapshots"), s.count("copy2", "snapshots"))
	}
	s.wantWhole("copy", "copy2")
	again := s.mustCopy(CopyOptions{})
	if c := again.Copies[1]; c.Present != 2 || len(c.Snapshots) != 0 || c.BytesStored != 0 {
		t.Errorf("by hand, after: %+v", c)
	}
	s.wantQuiet()
	for _, dir := range []string{"copy", "copy2"} {
		if s.count(dir, "locks") > 0 {
			t.Errorf("a lock is left in %s", dir)
		}
	}
}

// TestF31_OnlyThisProjectIsCopied: app beside app2, safety snapshots, and those
// of nobody.
func TestF31_OnlyThisProjectIsCopied(t *testing.T) {
	s := copyingShop(t)
	s.backedUp()
	v, err := s.app.openVault(t.Context(), nil, false)
	if err != nil {
		t.Fatal(err)
	}
	list, _, err := v.repo.Snapshots(t.Context())
	if err != nil || len(list) != 1 {
		t.Fatal(err)
	}
	if err := v.repo.LoadIndex(t.Context()); err != nil {
		t.Fatal(err)
	}
	w, err := v.repo.NewWriter(t.Context(), v.store.Writer(), repository.WriterOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var foreign string
	for _, tags := range [][]string{{TagOurs, "project:shop2"}, {TagOurs, "project:sho"}, {"project:shop"}, {TagOurs, "project:shop", TagSafety}, nil} {
		sn := list[0].Snapshot
		sn.Tags = tags
		id, err := w.SaveSnapshot(t.Context(), &sn)
		if err != nil {
			t.Fatal(err)
		}
		foreign = id.String()
	}
	if err := errors.Join(w.Close(t.Context()), v.close(t.Context())); err != nil {
		t.Fatal(err)
	}
	report := s.mustCopy(CopyOptions{})
	if s.snapshots() != 6 || report.Copies[0].Present != 1 || len(report.Copies[0].Snapshots) != 0 {
		t.Errorf("%+v", report.Copies[0])
	}
	if r := s.mustCopy(CopyOptions{Snapshots: []string{foreign[:12]}, To: []string{"copy2"}}); len(r.Copies) != 1 || r.Copies[0].Name != "copy2" || len(r.Copies[0].Snapshots) != 1 {
		t.Errorf("one that was named: %+v", r.Copies)
	}
	if s.count("copy", "snapshots") != 1 || s.count("copy2", "snapshots") != 2 {
		t.Error("not the right ones were copied")
	}
}

// TestCopyThatFailsFailsNoBackup: it is a warning with an age, in the report, in
// health and in the list, until a later run has made it up.
func TestCopyThatFailsFailsNoBackup(t *testing.T) {
	s := copyingShop(t)
	s.backedUp()
	now := time.Now()
	s.app.Now = func() time.Time { return now }
	if err := os.Rename(s.path("copy"), s.path("away")); err != nil {
		t.Fatal(err)
	}
	now = now.Add(time.Hour)
	s.change("second")
	s.backedUp()
	now = now.Add(50 * time.Hour)
	s.change("third")
	report := s.backedUp()
	text := strings.Join(report.Warnings, "\n")
	if !strings.Contains(text, "copy is behind for 50h0m0s") || !strings.Contains(text, "repository is gone") || !report.Complete {
		t.Errorf("warnings: %s", text)
	}
	if _, err := os.Stat(s.path("copy")); err == nil {
		t.Error("a copy that is gone was made anew")
	}
	if c := report.Copies[1]; c.Error != "" || len(c.Snapshots) != 1 {
		t.Errorf("the other copy: %+v", c)
	}
	now = now.Add(time.Hour)
	said := len(s.log.String())
	if _, err := s.app.Snapshots(t.Context(), false); err != nil || !strings.Contains(s.log.String()[said:], "copy is behind for 51h0m0s") {
		t.Errorf("snapshots: %v, %s", err, s.log.String()[said:])
	}
	said = len(s.log.String())
	_ = s.app.Health()
	if !strings.Contains(s.log.String()[said:], "copy is behind for 51h0m0s") {
		t.Errorf("health: %s", s.log.String()[said:])
	}
	failed, err := s.app.Copy(t.Context(), CopyOptions{})
	if !errors.Is(err, ErrCopyFailed) || !errors.Is(err, ErrRepositoryGone) || len(failed.Copies) != 2 {
		t.Errorf("by hand: %v", err)
	}
	if err := os.Rename(s.path("away"), s.path("copy")); err != nil {
		t.Fatal(err)
	}
	report = s.backedUp()
	if c := report.Copies[0]; c.Error != "" || len(c.Snapshots) != 3 || !c.BehindSince.IsZero() {
		t.Errorf("made up: %+v", c)
	}
	if h := s.history().Copies["copy"]; !h.BehindSince.IsZero() || h.LastError != "" {
		t.Errorf("history: %+v", h)
	}
	s.wantWhole("copy", "copy2")
}

func TestCopyIsMadeAnewOnlyWhenAsked(t *testing.T) {
	s := copyingShop(t)
	s.backedUp()
	if err := os.RemoveAll(s.path("copy")); err != nil {
		t.Fatal(err)
	}
	dry := s.mustCopy(CopyOptions{DryRun: true})
	if c := dry.Copies[0]; !c.Create || len(c.Snapshots) != 1 || c.Snapshots[0].Copy != "" {
		t.Errorf("dry run: %+v", c)
	}
	if _, err := os.Stat(s.path("copy")); err == nil {
		t.Error("a dry run made a repository")
	}
	s.mustCopy(CopyOptions{Init: true})
	s.wantWhole("copy")
}

func TestCopyRefusesNonsense(t *testing.T) {
	s := newShop(t)
	s.service("app", map[string]string{"enable": "true"}, "data")
	if _, err := s.app.Copy(t.Context(), CopyOptions{}); err == nil || !strings.Contains(err.Error(), "RIPPLEBAK_COPY_TO") {
		t.Errorf("no copy: %v", err)
	}
	s.configure("RIPPLEBAK_COPY_TO=" + s.path("repo"))
	report := s.backedUp()
	if c := report.Copies[0]; !strings.Contains(c.Error, "the repository itself") {
		t.Errorf("a copy of itself: %+v", c)
	}
	s.configure("RIPPLEBAK_COPY_TO=" + s.path("copy"))
	if _, err := s.app.Copy(t.Context(), CopyOptions{To: []string{"copy7"}}); err == nil || !strings.Contains(err.Error(), "there is copy") {
		t.Errorf("no such copy: %v", err)
	}
	s.mustCopy(CopyOptions{})
	s.configure("RIPPLEBAK_COPY_TO="+s.path("copy"), "RIPPLEBAK_COPY_PASSWORD=wrong")
	if _, err := s.app.Copy(t.Context(), CopyOptions{}); !errors.Is(err, repository.ErrWrongPassword) || !strings.Contains(err.Error(), "RIPPLEBAK_COPY_PASSWORD") {
		t.Errorf("wrong password: %v", err)
	}
	s.app.From = "copy4"
	if _, err := s.app.Snapshots(t.Context(), false); err == nil || !strings.Contains(err.Error(), `no copy "copy4"`) {
		t.Errorf("from an unknown copy: %v", err)
	}
}

// TestCopyEndsWhenTheNextRunIsDue: and keeps what it has.
func TestCopyEndsWhenTheNextRunIsDue(t *testing.T) {
	s := copyingShop(t)
	report, err := s.app.Backup(t.Context(), BackupOptions{CopyUntil: time.Now().Add(-time.Minute)})
	if err != nil || !strings.Contains(strings.Join(report.Warnings, "\n"), "stopped before its end") || s.count("copy", "snapshots") != 0 {
		t.Errorf("%v, %q", err, report.Warnings)
	}
	s.backedUp()
	if s.count("copy", "snapshots") != 2 {
		t.Error("the next run did not make it up")
	}
}

// TestRestoreFromACopy: the repository is lost, or there; what is overwritten is
// saved in the repository, never in the copy.
func TestRestoreFromACopy(t *testing.T) {
	s := copyingShop(t)
	s.backedUp()
	file := s.path("volumes", "shop_data", "file")
	s.app.From = "copy"
	s.change("broken")
	report, err := s.app.Restore(t.Context(), RestoreOptions{Snapshot: "latest"})
	if err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(file); err != nil || string(b) != "content of data" {
		t.Errorf("restored %q, %v", b, err)
	}
	if report.Safety == "" || s.snapshots() != 2 || s.count("copy", "snapshots") != 1 {
		t.Errorf("safety %q, %d snapshots in the repository, %d in the copy", report.Safety, s.snapshots(), s.count("copy", "snapshots"))
	}
	s.change("broken again")
	if err := os.RemoveAll(s.path("repo")); err != nil {
		t.Fatal(err)
	}
	if _, err := s.app.Restore(t.Context(), RestoreOptions{Snapshot: "latest"}); err == nil || !strings.Contains(err.Error(), "--no-safety-snapshot") {
		t.Errorf("nowhere to save what is overwritten: %v", err)
	}
	if b, err := os.ReadFile(file); err != nil || string(b) != "broken again" {
		t.Errorf("%q, %v: something was touched", b, err)
	}
	if _, err := s.app.Restore(t.Context(), RestoreOptions{Snapshot: "latest", NoSafety: true}); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(file); err != nil || string(b) != "content of data" {
		t.Errorf("restored %q, %v", b, err)
	}
	if _, err := os.Stat(filepath.Join(s.path("repo"), "config")); err == nil {
		t.Error("a restore made a repository")
	}
	// And back: the repository is made anew, and filled from the copy.
	s.app.From = ""
	if _, err := s.app.Init(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.app.From = "copy"
	s.mustCopy(CopyOptions{})
	s.app.From = ""
	s.wantWhole("")
	if s.snapshots() != 1 {
		t.Errorf("%d snapshots came back", s.snapshots())
	}
	s.wantQuiet()
}

func TestKeysOfACopy(t *testing.T) {
	s := copyingShop(t)
	s.backedUp()
	s.app.From = "copy2"
	if _, err := s.changeKeys(KeyOptions{Do: ChangePassword, NewPassword: "third horse"}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.app.Keys(t.Context()); !errors.Is(err, repository.ErrWrongPassword) {
		t.Errorf("the old password of the copy: %v", err)
	}
	s.app.From = ""
	if list := s.keys(); len(list) != 1 {
		t.Errorf("the repository's keys: %+v", list)
	}
}
