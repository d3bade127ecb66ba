package sidecar

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/ripplebak/ripplebak/sidecar/state"
)

// TestScheduledChecksReadEverythingInTime: a repository of several packs is
// read as a whole within the period, and damage that comes up in between is
// found within it, said, remembered, and what health reports.
func TestScheduledChecksReadEverythingInTime(t *testing.T) {
	s := newShop(t)
	s.service("app", map[string]string{"enable": "true"}, "data")
	s.cheap()
	for i, name := range []string{"a", "b", "c"} { // each in a pack of its own
		if err := os.WriteFile(s.path("volumes", "shop_data", name), noise(byte(i), 50_000), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := s.app.Backup(t.Context(), BackupOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	// At midnight, when the schedule has it run: from any other time on, the
	// first part would be smaller.
	y, m, d := time.Now().Date()
	now := time.Date(y, m, d, 0, 0, 0, 0, time.Local)
	s.app.Now = func() time.Time { return now }
	s.app.Settings.CheckSchedule, s.app.Settings.CheckPeriod = "@daily", 4*24*time.Hour
	check := func() error {
		now = now.Add(24 * time.Hour)
		return s.app.scheduledCheck(t.Context(), turn{began: now})
	}
	unread := func() (n int) {
		dir := state.At(s.path("state"))
		times, err := dir.PackTimes(s.history().Repository)
		if err != nil {
			t.Fatal(err)
		}
		for _, id := range s.packIDs() {
			if _, read := times.When(id); !read {
				n++
			}
		}
		return n
	}
	for day := range 4 {
		if err := check(); err != nil {
			t.Fatal(err)
		}
		// A quarter is less than one of the three large packs.
		if n := unread(); day == 0 && n < 2 || day == 3 && n > 0 {
			t.Errorf("after day %d %d packs are unread", day+1, n)
		}
	}
	pack := s.largest()
	b, err := os.ReadFile(pack)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 1
	if err := errors.Join(os.Chmod(pack, 0o600), os.WriteFile(pack, b, 0o600)); err != nil {
		t.Fatal(err)
	}
	found := false
	for range 4 {
		err := check()
		if err != nil && !errors.Is(err, ErrDamaged) {
			t.Fatal(err)
		}
		found = found || err != nil
	}
	if !found || check() == nil {
		t.Error("the damage was not found within the period, or forgotten")
	}
	if h := s.history().Check; h.Healthy() == nil || !strings.Contains(s.log.String(), "lost to damage of the repository") || !strings.Contains(s.log.String(), `"item":"volume data"`) {
		t.Errorf("%+v", h)
	}
	if err := s.app.Health(); err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("health: %v", err)
	}
	s.app.Settings.CheckSchedule = "now and then"
	if err := check(); err == nil || !strings.Contains(err.Error(), "RIPPLEBAK_CHECK_SCHEDULE") {
		t.Errorf("%v", err)
	}
}

// packIDs are those of the stored packs.
func (s *shop) packIDs() (ids [][32]byte) {
	s.t.Helper()
	for _, dir := range s.files(s.path("repo", "data")) {
		for _, name := range s.files(s.path("repo", "data", dir)) {
			id, err := parsePacks([]string{name})
			if err != nil {
				s.t.Fatal(err)
			}
			ids = append(ids, id[0])
		}
	}
	return ids
}
