package sidecar

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/ripplebak/ripplebak/manifest"
)

// TestF13_NothingIsRemovedFromACopyAfterASuddenChange, whether the repository
// has a policy or not, and the snapshot is copied all the same.
func TestF13_NothingIsRemovedFromACopyAfterASuddenChange(t *testing.T) {
	for _, policy := range []string{"RIPPLEBAK_KEEP=last=3", "RIPPLEBAK_KEEP="} {
		s := newShop(t)
		s.service("app", map[string]string{"enable": "true"}, "data")
		s.configure(policy, "RIPPLEBAK_COPY_TO="+s.path("copy"), "RIPPLEBAK_COPY2_TO="+s.path("copy2"), "RIPPLEBAK_COPY_KEEP=last=3", "RIPPLEBAK_COPY2_KEEP=last=3")
		day := -9
		s.app.Now = func() time.Time { return time.Now().AddDate(0, 0, day) }
		next := func() *BackupReport {
			day++
			return s.backedUp()
		}
		var before []past
		for d := 10; d < 14; d++ {
			v := goodVolume("data")
			v.Bytes, v.Files = 40, 40
			before = append(before, past{days: d, items: []manifest.Item{v}})
		}
		s.archiveHere(before...)
		s.mustCopy(CopyOptions{})
		if s.count("copy", "snapshots") != 3 {
			t.Fatalf("%s: %d snapshots in the copy before", policy, s.count("copy", "snapshots"))
		}
		s.fillWith("data", 0)
		r := next()
		if len(r.changed) != 1 || len(r.Copies[0].Snapshots) != 1 || r.Copies[0].Removed != 0 || r.Copies[0].Error != "" || s.count("copy", "snapshots") != 4 || s.count("copy2", "snapshots") != 4 {
			t.Errorf("%s: changed %q, %+v, %d and %d snapshots", policy, r.changed, r.Copies[0], s.count("copy", "snapshots"), s.count("copy2", "snapshots"))
		}
		if n := strings.Count(strings.Join(r.Warnings, "\n"), "removed from copies"); n != 1 {
			t.Errorf("%s: said %d times: %q", policy, n, r.Warnings)
		}
		if _, err := s.app.Forget(t.Context(), ForgetOptions{Confirm: yes}); err != nil { // somebody looks
			t.Fatal(err)
		}
		if r := next(); r.Copies[0].Removed != 2 || s.count("copy", "snapshots") != 3 {
			t.Errorf("%s: looked at: %+v, %d snapshots", policy, r.Copies[0], s.count("copy", "snapshots"))
		}
	}
}

// TestF35_NothingIsRemovedFromACopyAfterAFailure, nor after a run of a part.
func TestF35_NothingIsRemovedFromACopyAfterAFailure(t *testing.T) {
	for _, policy := range []string{"RIPPLEBAK_KEEP=last=2", "RIPPLEBAK_KEEP="} {
		s := newShop(t)
		s.service("app", map[string]string{"enable": "true"}, "data", "gone")
		s.archiveHere(days(1, 6)...)
		s.configure("RIPPLEBAK_COPY_TO=" + s.path("copy"))
		s.mustCopy(CopyOptions{})
		s.configure(policy, "RIPPLEBAK_COPY_TO="+s.path("copy"), "RIPPLEBAK_COPY_KEEP=last=2")
		away := s.path("volumes", "away")
		if err := os.Rename(s.path("volumes", "shop_gone"), away); err != nil {
			t.Fatal(err)
		}
		r, err := s.app.Backup(t.Context(), BackupOptions{})
		if !errors.Is(err, ErrIncomplete) || len(r.Copies[0].Snapshots) != 1 || r.Copies[0].Removed != 0 || s.count("copy", "snapshots") != 7 {
			t.Errorf("%s: %v, %+v, %d snapshots", policy, err, r.Copies[0], s.count("copy", "snapshots"))
		}
		if text := strings.Join(r.Warnings, "\n"); strings.Count(text, "removed from copies: the backup was not complete") != 1 {
			t.Errorf("%s: warnings %q", policy, r.Warnings)
		}
		if err := os.Rename(away, s.path("volumes", "shop_gone")); err != nil {
			t.Fatal(err)
		}
		r, err = s.app.Backup(t.Context(), BackupOptions{Services: []string{"app"}})
		if err != nil || r.Copies[0].Removed != 0 || s.count("copy", "snapshots") != 8 {
			t.Errorf("%s: a part: %v, %+v, %d snapshots", policy, err, r.Copies[0], s.count("copy", "snapshots"))
		}
		if r := s.backedUp(); r.Copies[0].Removed == 0 {
			t.Errorf("%s: after a good run nothing is removed: %+v", policy, r.Copies[0])
		}
	}
}

// TestCopyKeepsTheSnapshotsOfOtherHosts: each host's run judges its own, by hand
// nothing is removed, and nobody copies what another host's run has removed.
func TestCopyKeepsTheSnapshotsOfOtherHosts(t *testing.T) {
	s := newShop(t)
	s.service("app", map[string]string{"enable": "true"}, "data")
	a := s.archiveHere(days(1, 6)...)
	for day := 11; day <= 16; day++ {
		a.add(past{days: day, host: "elsewhere", items: []manifest.Item{goodVolume("data")}})
	}
	s.configure("RIPPLEBAK_COPY_TO=" + s.path("copy"))
	s.mustCopy(CopyOptions{})
	s.configure("RIPPLEBAK_COPY_TO="+s.path("copy"), "RIPPLEBAK_COPY_KEEP=last=4")
	if c := s.mustCopy(CopyOptions{}).Copies[0]; c.Removed != 0 || s.count("copy", "snapshots") != 12 {
		t.Errorf("by hand: %+v, %d snapshots", c, s.count("copy", "snapshots"))
	}
	if c := s.backedUp().Copies[0]; c.Error != "" || c.Removed != 3 || s.count("copy", "snapshots") != 10 {
		t.Errorf("after a run: %+v, %d snapshots, want 4 and the other host's 6", c, s.count("copy", "snapshots"))
	}
	s.app.Settings.Host = "elsewhere"
	if c := s.backedUp().Copies[0]; c.Error != "" || c.Removed != 3 || s.count("copy", "snapshots") != 8 {
		t.Errorf("after the other host's run: %+v, %d snapshots", c, s.count("copy", "snapshots"))
	}
	s.app.Settings.Host = ""
	if c := s.backedUp().Copies[0]; len(c.Snapshots) != 1 || c.Removed != 1 || s.count("copy", "snapshots") != 8 {
		t.Errorf("what the other host's run removed is copied again: %+v, %d snapshots", c, s.count("copy", "snapshots"))
	}
}
