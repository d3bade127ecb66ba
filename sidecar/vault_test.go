package sidecar

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/ripplebak/ripplebak/repository"
	"github.com/ripplebak/ripplebak/sidecar/state"
)

// damageHistory leaves a record of past runs that cannot be read.
func (s *shop) damageHistory() {
	s.t.Helper()
	if err := os.WriteFile(s.path("state", "history.json"), []byte(`{"repository": "`), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

func (s *shop) removeRepository() {
	s.t.Helper()
	if err := os.RemoveAll(s.path("repo")); err != nil {
		s.t.Fatal(err)
	}
}

// TestRepositoryThatIsGoneIsNotMadeAnew, also where a damaged record hides that
// there was one: an empty repository in its place would look like a backup.
func TestRepositoryThatIsGoneIsNotMadeAnew(t *testing.T) {
	for name, c := range map[string]struct {
		before func(*shop)
		want   error
	}{
		"known":   {func(*shop) {}, ErrRepositoryGone},
		"damaged": {(*shop).damageHistory, repository.ErrNoRepository},
	} {
		t.Run(name, func(t *testing.T) {
			s := newShop(t)
			s.service("app", map[string]string{"enable": "true"}, "data")
			if _, err := s.app.Backup(t.Context(), BackupOptions{}); err != nil {
				t.Fatal(err)
			}
			s.removeRepository()
			c.before(s)
			for range 2 { // the first writes the record anew
				if _, err := s.app.Backup(t.Context(), BackupOptions{}); !errors.Is(err, c.want) || !strings.Contains(err.Error(), `run "init"`) {
					t.Errorf("a backup: %v, want %v", err, c.want)
				}
			}
			if left := s.files(s.path("repo")); len(left) != 0 {
				t.Errorf("the repository was made: %q", left)
			}
			if _, err := s.app.Init(t.Context()); err != nil {
				t.Fatal(err)
			}
			if _, err := s.app.Backup(t.Context(), BackupOptions{}); err != nil || s.history().Lost {
				t.Errorf("after init: %+v, %v", s.history(), err)
			}
		})
	}
}

// TestDamagedHistoryStopsNoBackup where the repository is there.
func TestDamagedHistoryStopsNoBackup(t *testing.T) {
	s := newShop(t)
	s.service("app", map[string]string{"enable": "true"}, "data")
	if _, err := s.app.Backup(t.Context(), BackupOptions{}); err != nil {
		t.Fatal(err)
	}
	known := s.history().Repository
	s.damageHistory()
	if _, err := s.app.Backup(t.Context(), BackupOptions{}); err != nil {
		t.Fatal(err)
	}
	if h := s.history(); h.Lost || h.Repository != known || h.LastGood.IsZero() {
		t.Errorf("%+v", h)
	}
	if !strings.Contains(s.log.String(), "put aside as "+state.DamagedHistory) {
		t.Error("the log does not say it")
	}
}

// TestRehearsalMakesARepositoryOnlyForASoundPlan, as a run does.
func TestRehearsalMakesARepositoryOnlyForASoundPlan(t *testing.T) {
	s := newShop(t)
	bad := s.service("app", map[string]string{"during": "sideways"}, "data")
	dir := s.host().state
	s.app.rehearse(t.Context(), dir)
	if left := s.files(s.path("repo")); len(left) != 0 {
		t.Errorf("a repository for a plan with problems: %q", left)
	}
	if log := s.log.String(); strings.Count(log, "would fail") != 1 || !strings.Contains(log, "sideways") {
		t.Errorf("the log says:\n%s", log)
	}
	s.f.RemoveContainer(bad)
	s.service("app", map[string]string{"enable": "true"}, "data")
	s.app.rehearse(t.Context(), dir)
	if _, err := os.Stat(s.path("repo", "config")); err != nil || !strings.Contains(s.log.String(), "will be saved") {
		t.Errorf("%v, and the log says:\n%s", err, s.log.String())
	}
}
