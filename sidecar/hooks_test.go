package sidecar

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ripplebak/ripplebak/docker/dockertest"
	"github.com/ripplebak/ripplebak/manifest"
	"github.com/ripplebak/ripplebak/sidecar/settings"
	"github.com/ripplebak/ripplebak/sidecar/state"
)

// told records commands with what they are told, as "command outcome".
type told struct {
	mu        sync.Mutex
	said      []string
	snapshots []string
	fails     string // the command that fails
}

func (h *told) run(_ context.Context, p *dockertest.Process) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	said := p.Argv[2]
	for _, kv := range p.Env {
		if outcome, ok := strings.CutPrefix(kv, "RIPPLEBAK_OUTCOME="); ok {
			said += " " + outcome
		}
		if id, ok := strings.CutPrefix(kv, "RIPPLEBAK_SNAPSHOT="); ok {
			h.snapshots = append(h.snapshots, id)
		}
	}
	h.said = append(h.said, said)
	if p.Argv[2] == h.fails {
		return 1
	}
	return 0
}

func (h *told) want(t *testing.T, want ...string) {
	t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	if !slices.Equal(h.said, want) {
		t.Errorf("commands %q, want %q", h.said, want)
	}
}

// newHooked is a project with commands around its service, and around the run.
func newHooked(t *testing.T) (*shop, *told) {
	s := newShop(t)
	h := &told{}
	s.f.Command("sh", h.run)
	s.service("app", map[string]string{"enable": "true", "during": "stop", "pre": "freeze", "post": "thaw"}, "data")
	s.service("web", nil)
	s.app.Settings.Pre = settings.Hook{Service: "web", Command: "close"}
	s.app.Settings.Post = settings.Hook{Service: "web", Command: "open"}
	return s, h
}

func TestPostCommandsAreToldTheOutcome(t *testing.T) {
	t.Run("of a good run", func(t *testing.T) {
		s, h := newHooked(t)
		report, err := s.app.Backup(t.Context(), BackupOptions{})
		if err != nil {
			t.Fatal(err)
		}
		h.want(t, "close", "freeze", "thaw success", "open success")
		if !slices.Equal(h.snapshots, []string{report.Snapshot}) {
			t.Errorf("told of snapshots %q, it is %s", h.snapshots, report.Snapshot)
		}
		s.wantQuiet()
	})
	t.Run("of one with a failed item", func(t *testing.T) {
		s, h := newHooked(t)
		s.service("other", map[string]string{"enable": "true", "post": "other"}, "files")
		s.f.Fail(dockertest.Fault{Call: "POST /containers/{id}/stop", Status: 403, Message: "forbidden"})
		report, err := s.app.Backup(t.Context(), BackupOptions{})
		if !errors.Is(err, ErrIncomplete) {
			t.Fatalf("the backup ended with %v", err)
		}
		h.want(t, "close", "freeze", "thaw failure", "other success", "open failure")
		if !slices.Equal(h.snapshots, []string{report.Snapshot}) {
			t.Errorf("told of snapshots %q", h.snapshots)
		}
		s.wantQuiet()
	})
	t.Run("of one that saves nothing", func(t *testing.T) {
		s, h := newHooked(t)
		h.fails = "freeze"
		if _, err := s.app.Backup(t.Context(), BackupOptions{}); !errors.Is(err, ErrNothingSaved) {
			t.Errorf("the backup ended with %v", err)
		}
		h.want(t, "close", "freeze", "thaw failure", "open failure")
		if h.snapshots != nil {
			t.Errorf("told of snapshots %q", h.snapshots)
		}
		s.wantQuiet()
	})
	for _, point := range []string{"after-stop", "after-index"} {
		t.Run("of one that is broken off "+point, func(t *testing.T) {
			s, h := newHooked(t)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			hit := s.crashAt(point, cancel)
			if _, err := s.app.Backup(ctx, BackupOptions{}); err == nil || !hit() {
				t.Errorf("the backup ended with %v, the point was hit: %v", err, hit())
			}
			thaw := "thaw failure"
			if point == "after-index" {
				thaw = "thaw success" // what is stored after it is no matter of the service
			}
			h.want(t, "close", "freeze", thaw, "open failure")
			s.wantQuiet()
		})
	}
}

func TestCommandBeforeTheRunThatFailsKeepsEverythingUntouched(t *testing.T) {
	s, h := newHooked(t)
	h.fails = "close"
	report, err := s.app.Backup(t.Context(), BackupOptions{})
	if err == nil || !strings.Contains(err.Error(), `service "web": the command of RIPPLEBAK_PRE failed`) || report != nil {
		t.Errorf("the backup ended with %v, %+v", err, report)
	}
	h.want(t, "close", "open failure")
	if s.called("POST /containers/{id}/stop") || s.called("POST /containers/create") || s.snapshots() != 0 {
		t.Errorf("something was touched: %q", s.f.Calls())
	}
	s.wantQuiet()
}

func TestCommandAfterTheRunThatFailsIsAWarning(t *testing.T) {
	s, h := newHooked(t)
	h.fails = "open"
	report, err := s.app.Backup(t.Context(), BackupOptions{})
	if err != nil || s.snapshots() != 1 || !slices.ContainsFunc(report.Warnings, func(w string) bool { return strings.Contains(w, "RIPPLEBAK_POST failed") }) {
		t.Errorf("the backup ended with %v, %+v", err, report)
	}
	s.wantQuiet()
}

func TestCommandOfNoServiceKeepsTheRunFromBeginning(t *testing.T) {
	s, h := newHooked(t)
	s.app.Settings.Post.Service = "wep"
	if _, err := s.app.Backup(t.Context(), BackupOptions{}); !errors.Is(err, ErrProblems) || !strings.Contains(err.Error(), `RIPPLEBAK_POST: project "shop" has no service "wep"`) {
		t.Errorf("the backup ended with %v", err)
	}
	h.want(t)
}

// TestPostCommandsRunAfterAKill: the journal of a run that died names them, that
// of the run last, and who works it off tells them that it has failed.
func TestPostCommandsRunAfterAKill(t *testing.T) {
	s, h := newHooked(t)
	dir := state.At(s.path("state"))
	var left *state.Journal
	hit := s.crashAt("after-stop", func() {
		journals, err := dir.Journals()
		if err != nil || len(journals) != 1 {
			t.Errorf("%v, %v", journals, err)
			return
		}
		left = journals[0]
	})
	if _, err := s.app.Backup(t.Context(), BackupOptions{}); err != nil || !hit() || left == nil {
		t.Fatalf("the backup ended with %v, the point was hit: %v", err, hit())
	}
	if want := []state.Post{{Service: "app", Command: "thaw"}, {Service: "web", Command: "open", OfRun: true}}; !slices.Equal(left.Posts, want) {
		t.Errorf("the journal names %+v, want %+v", left.Posts, want)
	}
	h.want(t, "close", "freeze", "thaw success", "open success")
	h.said = nil
	if err := dir.WriteJournal(left); err != nil { // as a kill would leave it
		t.Fatal(err)
	}
	if err := s.app.recoverNow(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.want(t, "thaw failure", "open failure")
	s.wantQuiet()
}

// TestCommandOfAServiceOfAGroupWithoutData: if it is not prepared, the group is not.
func TestCommandOfAServiceOfAGroupWithoutData(t *testing.T) {
	s := newShop(t)
	h := &told{}
	s.f.Command("sh", h.run)
	s.app.Settings.Config = false
	s.service("app", map[string]string{"during": "stop", "group": "g"}, "data")
	s.service("other", map[string]string{"enable": "true"}, "files")
	s.service("worker", map[string]string{"group": "g", "pre": "drain", "post": "fill"})
	if report, err := s.app.Backup(t.Context(), BackupOptions{}); err != nil || len(report.Downtime) != 2 {
		t.Fatalf("%v, %+v", err, report)
	}
	h.want(t, "drain", "fill success")
	h.said, h.fails = nil, "drain"
	report, err := s.app.Backup(t.Context(), BackupOptions{})
	if !errors.Is(err, ErrIncomplete) || len(report.Downtime) != 0 {
		t.Fatalf("%v, %+v", err, report)
	}
	if it := stateOfItem(report, "volume data"); it.State != manifest.Failed || !strings.Contains(it.Error, "ripplebak.pre failed") {
		t.Errorf("%+v", it)
	}
	if it := stateOfItem(report, "volume files"); it.State != manifest.Good {
		t.Errorf("%+v", it)
	}
	h.want(t, "drain", "fill failure")
	s.wantQuiet()
}

// TestPostCommandOfAServiceThatIsDownIsMadeUpFor: what the pre command has begun
// would else go on for ever.
func TestPostCommandOfAServiceThatIsDownIsMadeUpFor(t *testing.T) {
	s, h := newHooked(t)
	s.app.Settings.Config = false
	// The helper starts; the service not at its turn, nor before its command.
	s.f.Fail(dockertest.Fault{Call: "POST /containers/{id}/start", Skip: 1, Times: resumeTries + 1, Status: 500, Message: "port is already allocated"})
	report, err := s.app.Backup(t.Context(), BackupOptions{})
	if err != nil || !slices.ContainsFunc(report.Warnings, func(w string) bool { return strings.Contains(w, "tried again at the end") }) {
		t.Errorf("the backup ended with %v, %+v", err, report)
	}
	h.want(t, "close", "freeze", "thaw failure", "open success")
	s.wantQuiet()

	// Of a service that stays down the next command takes care, as long as there
	// is one.
	dir := state.At(s.path("state"))
	left := &state.Journal{Run: "0123", Project: "shop", Posts: []state.Post{{Service: "app", Command: "thaw"}, {Service: "gone", Command: "thaw"}}}
	if err := dir.WriteJournal(left); err != nil {
		t.Fatal(err)
	}
	h.said = nil
	s.f.KillContainer("shop-app-1")
	if err := s.app.recoverNow(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.want(t)
	if journals, err := dir.Journals(); err != nil || len(journals) != 1 || !slices.Equal(journals[0].Posts, left.Posts[:1]) {
		t.Errorf("left: %+v, %v", journals, err)
	}
}

func TestCommandsAreBoundedInTimeAndOutput(t *testing.T) {
	secret := "a-very-secret-password"
	for _, fails := range []bool{false, true} {
		s := newShop(t)
		s.app.Redactor().Add(secret)
		s.f.Command("sh", func(_ context.Context, p *dockertest.Process) int {
			line := []byte(strings.Repeat("x", 1022) + "\n")
			for range 20 << 10 { // more than any reader of ours takes at once
				if _, err := p.Stdout.Write(line); err != nil {
					return 9
				}
			}
			_, _ = io.WriteString(p.Stdout, secret+strings.Repeat("y", 1990)) // so that what is cut off would split it
			if fails {
				return 4
			}
			return 0
		})
		s.service("app", map[string]string{"enable": "true", "pre": "talk"}, "data")
		_, err := s.app.Backup(t.Context(), BackupOptions{})
		if fails != (err != nil) || fails && !strings.Contains(err.Error(), "sh exited with 4") {
			t.Errorf("the backup ended with %v", err)
		}
		log := s.log.String()
		if !strings.Contains(log, "yyyy") || strings.Contains(log, "password") || len(log) > 20<<10 {
			t.Errorf("the log has %d bytes", len(log))
		}
	}
	s := newShop(t)
	s.app.Settings.HookTime = 300 * time.Millisecond
	s.f.Command("sh", func(ctx context.Context, _ *dockertest.Process) int {
		<-ctx.Done()
		return 137
	})
	s.service("app", map[string]string{"enable": "true", "pre": "hang"}, "data")
	if _, err := s.app.Backup(t.Context(), BackupOptions{}); err == nil || !strings.Contains(err.Error(), "deadline exceeded of 300ms") {
		t.Errorf("the backup ended with %v", err)
	}
	s.wantQuiet()
}
