package integration

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// pruneReport is what the tests read of prune --json.
type pruneReport struct {
	Steps []struct {
		Do string `json:"do"`
	} `json:"steps"`
	PacksNew     int   `json:"packs_new"`
	PacksRemoved int   `json:"packs_removed"`
	BytesRemoved int64 `json:"bytes_removed"`
}

// prune removes all that no snapshot needs.
func (p *project) prune(args ...string) (r pruneReport) {
	p.t.Helper()
	p.decode(p.mustRun(append([]string{"prune", "--max-unused", "0", "--json"}, args...)...), &r)
	return r
}

// halfGarbage gives the repository packs of which a part is needed: what goes
// lies beside what stays. It returns the snapshot that is kept.
func (p *project) halfGarbage(root, stays string) string {
	p.t.Helper()
	randomFile(p.t, filepath.Join(root, stays), 1<<20)
	randomFile(p.t, filepath.Join(root, "goes"), 3<<20)
	gone := p.backup().Snapshot
	if err := os.Remove(filepath.Join(root, "goes")); err != nil {
		p.t.Fatal(err)
	}
	kept := p.backup().Snapshot
	p.mustRestic("forget", gone)
	return kept
}

// locks are the locks of the repository.
func (p *project) locks() []string {
	p.t.Helper()
	// restic writes a lock under another name first.
	return slices.DeleteFunc(namesIn(p.t, filepath.Join(p.repositoryDir(), "locks")), func(name string) bool { return len(name) != 64 })
}

// TestF26_F39_PruneKilledAtEachPoint: the next command, whichever it is, is not
// kept out by the lock of the dead, a prune finishes what was begun, and every
// snapshot that was kept comes back whole.
func TestF26_F39_PruneKilledAtEachPoint(t *testing.T) {
	t.Parallel()
	c := crashingOf(t, filesApp, "app")
	root := c.mountpoint("data")
	kept := map[string]string{} // what the volume held, by snapshot
	for _, crash := range []struct {
		point string
		next  []string // what comes before the prune that finishes
	}{
		{"mid-prune", nil}, {"mid-prune:2", []string{"backup"}}, {"mid-prune:3", []string{"check"}},
	} {
		t.Run(crash.point, func(t *testing.T) {
			c := c.inTest(t)
			c.halfGarbage(root, "stays at "+crash.point)
			c.killedAt(crash.point, "prune", "--max-unused", "0")
			if n := len(c.locks()); n != 1 {
				t.Errorf("the killed prune left %d locks, want its own", n)
			}
			if crash.next != nil {
				c.mustRun(crash.next...)
			}
			if done := c.prune(); done.PacksRemoved == 0 {
				t.Errorf("nothing was left to be finished: %+v", done)
			}
			c.assertSettled(c.services...)
			c.resticSays()
		})
		copied := savedCopy(t, root)
		for _, id := range c.stored() {
			if kept[id] == "" {
				kept[id] = copied
			}
		}
	}
	if left := c.prune("--dry-run"); len(left.Steps) != 0 {
		t.Errorf("a further prune would do %+v", left.Steps)
	}
	if len(kept) != 4 || len(c.stored()) != len(kept) {
		t.Fatalf("%d snapshots are stored, and %d were kept, want 4", len(c.stored()), len(kept))
	}
	for i, id := range slices.Sorted(maps.Keys(kept)) {
		if i == 0 { // by us
			empty(t, root)
			c.mustRun("restore", id, "--yes")
			assertSame(t, kept[id], root)
			continue
		}
		target := filepath.Join(t.TempDir(), "restored")
		c.mustRestic("restore", id, "--target", target)
		assertSame(t, kept[id], filepath.Join(target, c.name, "volumes", "data"))
	}
}
