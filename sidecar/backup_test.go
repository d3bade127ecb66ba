package sidecar

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/ripplebak/ripplebak/docker/dockertest"
	"github.com/ripplebak/ripplebak/manifest"
	"github.com/ripplebak/ripplebak/repository"
)

func stopLabels() map[string]string {
	return map[string]string{"enable": "true", "during": "stop"}
}

func TestBackupStopsSavesAndStarts(t *testing.T) {
	s := newShop(t)
	s.service("app", stopLabels(), "data")
	s.service("web", nil, "data") // unlabelled, and writes there too
	report, err := s.app.Backup(t.Context(), BackupOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if !report.Complete || report.Snapshot == "" || report.BytesRead != int64(len("content of data")) || len(report.Downtime) != 2 {
		t.Errorf("report: %+v", report)
	}
	s.wantQuiet()
	if h := s.history(); h.LastGood.IsZero() || h.LastAttempt.IsZero() || h.Unfinished != 0 || h.LastError != "" {
		t.Errorf("history: %+v", h)
	}
}

// TestF44_InterruptedAnywhere cancels a backup at each point: services run
// again, nothing is visible and nothing is left behind.
func TestF44_InterruptedAnywhere(t *testing.T) {
	interrupted := errors.New("interrupted")
	for _, point := range []string{"between-walks", "after-journal", "after-stop", "mid-stream", "before-start", "after-packs", "after-index"} {
		t.Run(point, func(t *testing.T) {
			s := newShop(t)
			s.service("app", stopLabels(), "data")
			s.service("web", stopLabels(), "data", "more")
			ctx, cancel := context.WithCancelCause(t.Context())
			hit := s.crashAt(point, func() { cancel(interrupted) })
			_, err := s.app.Backup(ctx, BackupOptions{})
			if !errors.Is(err, interrupted) || !hit() {
				t.Errorf("the backup ended with %v, the point was passed: %v", err, hit())
			}
			s.wantQuiet()
			if n := s.snapshots(); n != 0 {
				t.Errorf("%d snapshots", n)
			}
			if h := s.history(); !h.LastAttempt.IsZero() || !h.LastGood.IsZero() || h.Unfinished != 0 {
				t.Errorf("an interrupted run counts as an attempt: %+v", h)
			}
		})
	}
}

// TestLostLockCommitsNothing: whoever removes our lock may be deleting what the
// snapshot would rely on.
func TestLostLockCommitsNothing(t *testing.T) {
	s := newShop(t)
	s.service("app", stopLabels(), "data")
	ctx, lose := context.WithCancelCause(t.Context())
	hit := s.crashAt("after-index", func() { lose(repository.ErrLockLost) })
	if _, err := s.app.Backup(ctx, BackupOptions{}); !errors.Is(err, repository.ErrLockLost) || !hit() {
		t.Errorf("the backup ended with %v", err)
	}
	if n := s.snapshots(); n != 0 {
		t.Errorf("%d snapshots", n)
	}
	s.wantQuiet()
}

func TestServiceThatCannotBeStoppedFailsItsItems(t *testing.T) {
	s := newShop(t)
	s.service("app", stopLabels(), "data")
	s.service("other", map[string]string{"enable": "true"}, "files")
	s.f.Fail(dockertest.Fault{Call: "POST /containers/{id}/stop", Status: 403, Message: "forbidden"})
	report, err := s.app.Backup(t.Context(), BackupOptions{})
	if !errors.Is(err, ErrIncomplete) {
		t.Fatalf("the backup ended with %v", err)
	}
	states := map[string]manifest.State{}
	for _, it := range report.Items {
		states[it.Key()] = it.State
	}
	if states["volume data"] != manifest.Failed || states["volume files"] != manifest.Good {
		t.Errorf("items: %v", states)
	}
	s.wantQuiet()
	if h := s.history(); !h.LastGood.IsZero() || h.LastAttempt.IsZero() {
		t.Errorf("history: %+v", h)
	}
}

func TestNothingIsStoppedForAnItemThatHasFailed(t *testing.T) {
	s := newShop(t)
	s.service("app", stopLabels(), "data")
	if err := os.RemoveAll(s.path("volumes", "shop_data")); err != nil { // as a filesystem that is not there
		t.Fatal(err)
	}
	if _, err := s.app.Backup(t.Context(), BackupOptions{}); !errors.Is(err, ErrNothingSaved) {
		t.Errorf("the backup ended with %v", err)
	}
	if s.called("POST /containers/{id}/stop") {
		t.Error("the service was stopped for nothing")
	}
	s.wantQuiet()
}

// hooks records the commands of the labels.
type hooks struct {
	mu   sync.Mutex
	said []string
}

func (h *hooks) run(_ context.Context, p *dockertest.Process) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.said = append(h.said, p.Argv[2])
	return 0
}

func TestPostRunsAlsoWhenTheRunIsBrokenOff(t *testing.T) {
	for _, broken := range []bool{false, true} {
		s := newShop(t)
		var h hooks
		s.f.Command("sh", h.run)
		s.service("app", map[string]string{"enable": "true", "during": "stop", "pre": "freeze", "post": "thaw"}, "data")
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		if broken {
			s.crashAt("after-stop", cancel)
		}
		_, err := s.app.Backup(ctx, BackupOptions{})
		if broken != (err != nil) {
			t.Errorf("the backup ended with %v", err)
		}
		if got := strings.Join(h.said, " "); got != "freeze thaw" {
			t.Errorf("broken off %v: commands %q", broken, got)
		}
		s.wantQuiet()
	}
}

func TestServiceStartedByOthersMakesItsVolumesInconsistent(t *testing.T) {
	s := newShop(t)
	id := s.service("app", stopLabels(), "data")
	h := s.host()
	s.crashAt("before-start", func() {
		if err := h.engine.Start(t.Context(), id); err != nil {
			t.Error(err)
		}
	})
	report, err := s.app.Backup(t.Context(), BackupOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if it := report.Items[0]; !strings.Contains(it.Inconsistent, `service "app" was started by somebody else`) {
		t.Errorf("item: %+v", it)
	}
	s.wantQuiet()
}

// TestSnapshotIsKeptThoughAServiceStaysDown: the data is good, and may be
// needed more than ever. The run has failed all the same.
func TestSnapshotIsKeptThoughAServiceStaysDown(t *testing.T) {
	s := newShop(t)
	s.service("app", stopLabels(), "data")
	s.crashAt("before-start", func() {
		s.f.Fail(dockertest.Fault{Call: "POST /containers/{id}/start", Times: 100, Status: 500, Message: "port is already allocated"})
	})
	report, err := s.app.Backup(t.Context(), BackupOptions{})
	if err == nil || !strings.Contains(err.Error(), "port is already allocated") || !strings.Contains(err.Error(), "docker compose up -d app") {
		t.Errorf("the backup ended with %v", err)
	}
	if report == nil || report.Snapshot == "" || s.snapshots() != 1 {
		t.Errorf("report %+v, %d snapshots", report, s.snapshots())
	}
	if left := s.files(s.path("state", "journal")); len(left) != 1 {
		t.Errorf("journals: %q", left)
	}
}

func TestPartOfTheProjectIsNoBackupOfIt(t *testing.T) {
	s := newShop(t)
	s.service("app", map[string]string{"enable": "true"}, "data")
	s.service("web", map[string]string{"enable": "true"}, "more")
	if _, err := s.app.Backup(t.Context(), BackupOptions{Services: []string{"app"}}); err != nil {
		t.Fatal(err)
	}
	if h := s.history(); !h.LastGood.IsZero() || !h.LastAttempt.IsZero() {
		t.Errorf("history: %+v", h)
	}
}

func TestManyVolumesAreReadBeforeAnyIsStored(t *testing.T) {
	s := newShop(t)
	names := []string{"v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8"}
	s.service("app", stopLabels(), names...)
	report, err := s.app.Backup(t.Context(), BackupOptions{})
	if err != nil || len(report.Items) != len(names) {
		t.Fatalf("%+v, %v", report, err)
	}
	if slices.ContainsFunc(report.Items, func(i manifest.Item) bool { return i.State != manifest.Good }) {
		t.Errorf("items: %+v", report.Items)
	}
	s.wantQuiet()
}
