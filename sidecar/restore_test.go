package sidecar

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ripplebak/ripplebak/manifest"
	"github.com/ripplebak/ripplebak/repository"
)

// saved is a shop with one backup, whose data has changed since.
func saved(t *testing.T) *shop {
	t.Helper()
	s := newShop(t)
	s.service("app", stopLabels(), "data")
	s.service("web", nil, "data")
	if _, err := s.app.Backup(t.Context(), BackupOptions{}); err != nil {
		t.Fatal(err)
	}
	s.write("data", "changed")
	return s
}

func (s *shop) write(volume, content string) {
	s.t.Helper()
	if err := os.WriteFile(s.path("volumes", "shop_"+volume, "file"), []byte(content), 0o644); err != nil {
		s.t.Fatal(err)
	}
}

func (s *shop) read(volume string) string {
	s.t.Helper()
	b, err := os.ReadFile(s.path("volumes", "shop_"+volume, "file"))
	if err != nil {
		s.t.Fatal(err)
	}
	return string(b)
}

func latest() RestoreOptions { return RestoreOptions{Snapshot: "latest"} }

func TestRestoreBringsBackAndStarts(t *testing.T) {
	s := saved(t)
	report, err := s.app.Restore(t.Context(), latest())
	if err != nil {
		t.Fatal(err)
	}
	if got := s.read("data"); got != "content of data" || report.Safety == "" || len(report.Items) != 1 || !report.Items[0].Restored || len(report.Downtime) != 2 {
		t.Errorf("%q, report %+v", got, report)
	}
	s.wantQuiet()
	if n := s.snapshots(); n != 2 {
		t.Errorf("%d snapshots", n)
	}
	// The safety snapshot is what was there before, and never the latest.
	if _, err := s.app.Restore(t.Context(), RestoreOptions{Snapshot: report.Safety, NoSafety: true}); err != nil || s.read("data") != "changed" {
		t.Errorf("after the restore of the safety snapshot: %q, %v", s.read("data"), err)
	}
}

// TestF44_RestoreInterruptedAnywhere: services run again, and the volume is as
// it was before or as it was saved.
func TestF44_RestoreInterruptedAnywhere(t *testing.T) {
	interrupted := errors.New("interrupted")
	for _, point := range []string{"after-journal", "after-stop", "mid-restore", "before-start"} {
		t.Run(point, func(t *testing.T) {
			s := saved(t)
			ctx, cancel := context.WithCancelCause(t.Context())
			hit := s.crashAt(point, func() { cancel(interrupted) })
			opt := latest()
			opt.NoSafety = true
			_, err := s.app.Restore(ctx, opt)
			if !errors.Is(err, interrupted) || !hit() {
				t.Errorf("the restore ended with %v, the point was passed: %v", err, hit())
			}
			if got := s.read("data"); got != "changed" && got != "content of data" {
				t.Errorf("the file holds %q", got)
			}
			s.wantQuiet()
		})
	}
}

// TestJournalThatCannotBeWrittenLeavesNothingStopped: nothing of the volume is
// touched then, so nothing keeps its services from starting.
func TestJournalThatCannotBeWrittenLeavesNothingStopped(t *testing.T) {
	s := saved(t)
	s.crashAt("after-stop", func() {
		// As a disk that is full: no file can be made there any more.
		if err := os.RemoveAll(s.path("state", "journal")); err != nil {
			t.Error(err)
		}
		if err := os.WriteFile(s.path("state", "journal"), nil, 0o600); err != nil {
			t.Error(err)
		}
	})
	opt := latest()
	opt.NoSafety = true
	if _, err := s.app.Restore(t.Context(), opt); err == nil {
		t.Error("the restore succeeded")
	}
	for _, c := range s.f.Containers() {
		if c.State != "running" {
			t.Errorf("%s is %s", c.Name, c.State)
		}
	}
	if got := s.read("data"); got != "changed" {
		t.Errorf("the file holds %q", got)
	}
}

// TestF21_VolumeThatSomebodyTookIntoUse is one that was free when the restore
// was planned.
func TestF21_VolumeThatSomebodyTookIntoUse(t *testing.T) {
	s := saved(t)
	opt := latest()
	opt.NoSafety = true
	web := ""
	for _, c := range s.f.Containers() {
		if c.Name == "shop-web-1" {
			web = c.ID
		}
	}
	h := s.host()
	stopped := 0
	s.app.Crash = func(p string) {
		if p != "after-stop" {
			return
		}
		if stopped++; stopped == 2 { // both are down; somebody starts one
			if err := h.engine.Start(t.Context(), web); err != nil {
				t.Error(err)
			}
		}
	}
	report, err := s.app.Restore(t.Context(), opt)
	if !errors.Is(err, ErrRestoreFailed) || len(report.Items) != 1 || !strings.Contains(report.Items[0].Error, "shop-web-1 uses it") {
		t.Errorf("%+v, %v", report, err)
	}
	if got := s.read("data"); got != "changed" {
		t.Errorf("the file holds %q", got)
	}
	s.wantQuiet()
}

// TestUnreadableFilesThatAreNotNamedAreKept: a manifest names the first of them
// only, and what was unreadable is never touched.
func TestUnreadableFilesThatAreNotNamedAreKept(t *testing.T) {
	info := &manifest.VolumeInfo{Unreadable: []string{"a"}, UnreadableCount: 1}
	if manyUnreadable(info) {
		t.Error("all are named")
	}
	r := &restore{host: &host{}, app: &App{}}
	if req := r.restoreRequest(&sourceItem{item: manifest.Item{VolumeInfo: info}}); req.KeepExtra {
		t.Error("what is extra stays though every path is known")
	}
	if info.Unreadable[0] = "a\uFFFD"; !manyUnreadable(info) {
		t.Error("a name that the manifest cannot hold is taken for known")
	}
	info.UnreadableCount = 2
	if req := r.restoreRequest(&sourceItem{item: manifest.Item{VolumeInfo: info}}); !req.KeepExtra {
		t.Error("what could not be read would be removed")
	}
}

// TestRestoreTouchesNothingOfADamagedSnapshot: everything is looked for first.
func TestRestoreTouchesNothingOfADamagedSnapshot(t *testing.T) {
	s := saved(t)
	err := filepath.WalkDir(s.path("repo", "data"), func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		return os.Remove(path)
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(s.path("state", "cache")); err != nil {
		t.Fatal(err)
	}
	if _, err := s.app.Restore(t.Context(), latest()); err == nil || errors.Is(err, repository.ErrNoRepository) {
		t.Errorf("the restore ended with %v", err)
	}
	s.wantQuiet()
	if got := s.read("data"); got != "changed" {
		t.Errorf("the file holds %q", got)
	}
}
