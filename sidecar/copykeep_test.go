package sidecar

import (
	"testing"
	"time"

	"github.com/ripplebak/ripplebak/manifest"
)

// TestCopyHasARetentionOfItsOwn: what it would remove is not copied, what it
// does not keep is removed there and nowhere else, and labels have no say in it.
func TestCopyHasARetentionOfItsOwn(t *testing.T) {
	s := newShop(t)
	s.service("app", map[string]string{"enable": "true"}, "data")
	now := time.Now()
	a := s.archive(now)
	for day := 9; day >= 1; day-- {
		v := goodVolume("data")
		v.Keep = []string{"last=100"}
		a.add(past{days: day, items: []manifest.Item{v}})
	}
	s.configure("RIPPLEBAK_HOST=host", "RIPPLEBAK_COPY_TO="+s.path("copy"), "RIPPLEBAK_COPY_KEEP=last=4", "RIPPLEBAK_COPY2_TO="+s.path("copy2"))
	dry := s.mustCopy(CopyOptions{DryRun: true}).Copies
	if len(dry[0].Snapshots) != 4 || len(dry[1].Snapshots) != 9 {
		t.Errorf("planned %d and %d, want 4 and 9", len(dry[0].Snapshots), len(dry[1].Snapshots))
	}
	s.mustCopy(CopyOptions{})
	if s.count("copy", "snapshots") != 4 || s.count("copy2", "snapshots") != 9 {
		t.Errorf("%d and %d snapshots, want 4 and 9", s.count("copy", "snapshots"), s.count("copy2", "snapshots"))
	}
	if c := s.mustCopy(CopyOptions{}).Copies[0]; len(c.Snapshots) != 0 || c.Removed != 0 || c.Present != 4 || !c.BehindSince.IsZero() {
		t.Errorf("again: %+v", c)
	}
	a.add(past{days: 30, project: "shop2", items: []manifest.Item{goodVolume("data")}})
	if c := s.backedUp().Copies[0]; len(c.Snapshots) != 1 || c.Removed != 1 {
		t.Errorf("one more: %+v", c)
	}
	if s.count("copy", "snapshots") != 4 || s.count("copy2", "snapshots") != 10 || s.snapshots() != 11 {
		t.Errorf("%d, %d and %d snapshots", s.count("copy", "snapshots"), s.count("copy2", "snapshots"), s.snapshots())
	}
	if s.count("copy", "locks") > 0 {
		t.Error("a lock is left")
	}
	s.wantWhole("copy", "copy2")

	// Nothing can be removed, so nothing is decided upon either.
	s.configure("RIPPLEBAK_HOST=host", "RIPPLEBAK_COPY_TO="+s.path("copy"), "RIPPLEBAK_COPY_KEEP=last=4", "RIPPLEBAK_APPEND_ONLY=true")
	s.app.Now = func() time.Time { return now.AddDate(0, 0, 2) }
	if c := s.backedUp().Copies[0]; c.Removed != 0 || s.count("copy", "snapshots") != 11 {
		t.Errorf("append-only: %+v, %d snapshots", c, s.count("copy", "snapshots"))
	}
}

// TestF37_CopyWithAClockThatJumped: a copy names no parents, and still removes
// nothing because of a clock.
func TestF37_CopyWithAClockThatJumped(t *testing.T) {
	s := newShop(t)
	now := time.Now()
	a := s.archive(now)
	a.add(days(1, 12)...)
	s.configure("RIPPLEBAK_COPY_TO="+s.path("copy"), "RIPPLEBAK_COPY_KEEP=within=10d")
	s.mustCopy(CopyOptions{})
	before := s.count("copy", "snapshots")
	a.add(past{days: -365, items: []manifest.Item{goodVolume("data")}})
	s.app.Now = func() time.Time { return now.AddDate(1, 0, 1) }
	if c := s.mustCopy(CopyOptions{}).Copies[0]; before < 10 || c.Removed != 0 || s.count("copy", "snapshots") != before+1 {
		t.Errorf("%+v: %d snapshots, and there were %d", c, s.count("copy", "snapshots"), before)
	}
}
