package integration

import (
	"path/filepath"
	"slices"
	"testing"
)

// TestF26_BackupKilledAtEachPoint kills a backup at each crash point, each time
// with new data to save.
func TestF26_BackupKilledAtEachPoint(t *testing.T) {
	t.Parallel()
	c := newCrashing(t)
	root := c.mountpoint("data")
	randomFile(t, filepath.Join(root, "big"), 6<<20)
	c.backup()
	for _, crash := range []struct {
		point   string
		visible int  // snapshots that are there at once
		serve   bool // serve comes up next, else a backup
	}{
		{"after-journal", 0, false}, {"after-stop", 0, true}, {"after-stop:2", 0, false},
		{"mid-stream", 0, false}, {"between-walks", 0, false}, {"before-start:2", 0, true},
		{"after-packs", 0, false}, {"after-index", 0, false}, {"after-snapshot", 1, false},
	} {
		t.Run(crash.point, func(t *testing.T) {
			c := c.inTest(t)
			randomFile(t, filepath.Join(root, "new"), 3<<20)
			before := c.stored()
			c.killedAt(crash.point, "backup")
			if n := len(c.stored()) - len(before); n != crash.visible {
				t.Errorf("%d snapshots are visible of the killed run, want %d", n, crash.visible)
			}
			if crash.serve {
				c.serveRecovers()
			}
			report := c.backup()
			c.assertSettled(c.services...)
			if n := len(c.stored()) - len(before); n != crash.visible+1 || !slices.Contains(c.stored(), report.Snapshot) {
				t.Errorf("%d new snapshots after the next run", n)
			}
			c.mustRestic("check")
		})
	}
	want := savedCopy(t, root)
	empty(t, root)
	c.mustRun("restore", "latest", "--yes")
	assertSame(t, want, root)
	c.assertSettled(c.services...)
	c.resticSays()
}
