package integration

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestF33_RestoreIntoAFullVolume: that a volume has no room is said before a
// service is stopped; once it has, all comes back.
func TestF33_RestoreIntoAFullVolume(t *testing.T) {
	t.Parallel()
	disk := newLoop(t, 48<<20)
	p := newProject(t, strings.Replace(filesApp, "  data:\n", disk.composeVolume("data"), 1)).withRepository()
	p.up("app")
	root := p.mountpoint("data")
	randomFile(t, filepath.Join(root, "big"), 16<<20)
	writeFile(t, filepath.Join(root, "little"), "as it was")
	want := savedCopy(t, root)
	p.backup()
	randomFile(t, filepath.Join(root, "big"), 16<<20)
	randomFile(t, filepath.Join(root, "hog"), 16<<20)
	changed := savedCopy(t, root)
	seen := p.watchEvents()
	for _, args := range [][]string{{"restore", "latest", "--dry-run"}, {"restore", "latest", "--yes", "--no-safety-snapshot"}} {
		r := p.run(args...)
		if r.code != 1 || !strings.Contains(r.stderr, "volume data: the Docker volume "+p.name+"_data lacks space: needs 16MiB") {
			t.Errorf("%q into a full volume: %s", args, r)
		}
	}
	if got := order(seen.events(), "kill", "die", "start"); len(got) != 0 {
		t.Errorf("services were touched: %v", got)
	}
	assertSame(t, changed, root, "lost+found")
	if err := os.Remove(filepath.Join(root, "hog")); err != nil {
		t.Fatal(err)
	}
	if out := p.mustRun("restore", "latest", "--dry-run"); !strings.Contains(out, "needs at most 16MiB beside what is there") {
		t.Errorf("the plan says:\n%s", out)
	}
	p.mustRun("restore", "latest", "--yes", "--no-safety-snapshot")
	assertSame(t, want, root, "lost+found")
}
