package integration

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// elsewhere gives a command a state of its own, as on another host: it knows
// nothing of this one's run lock, and meets the repository's.
func elsewhere() []string { return []string{"RIPPLEBAK_STATE_DIR=/elsewhere"} }

// freezeLocked stops the sidecar as soon as it holds a lock of the repository,
// so that others meet it however slow this machine is.
func (c *crashing) freezeLocked() (container string, thaw func()) {
	c.t.Helper()
	eventually(c.t, "the repository is locked", func() bool { return len(c.locks()) > 0 })
	container = c.sidecar()
	must(c.t, "docker", "pause", container)
	c.t.Cleanup(func() { command(c.t, "", nil, "", "docker", "unpause", container) }) // else a test that fails leaves it
	return container, func() { must(c.t, "docker", "unpause", container) }
}

// wantRefused with exit code 11, and told of whoever is there.
func wantRefused(t testing.TB, what string, r result, says ...string) {
	t.Helper()
	for _, part := range append(says, "since "+time.Now().UTC().Format("2006-")) {
		if r.code != 11 || !strings.Contains(r.stderr, part) {
			t.Errorf("%s: want exit code 11 and %q: %s", what, part, r)
		}
	}
}

// wantResticRefused with who holds the lock.
func (p *project) wantResticRefused(holder string, args ...string) {
	p.t.Helper()
	if r := p.restic(args...); r.code == 0 || !strings.Contains(r.stderr, "locked") || !strings.Contains(r.stderr, holder) {
		p.t.Errorf("restic %v: want it to be refused because of %s: %s", args, holder, r)
	}
}

// TestF42_BesideAPrune: two sidecars, and ours and stock restic, on one
// repository at once, each a process of its own. One waits, or is told who is
// there, and nothing is lost.
func TestF42_BesideAPrune(t *testing.T) {
	t.Parallel()
	c := crashingOf(t, filesApp, "app")
	root := c.mountpoint("data")
	t.Run("our prune", func(t *testing.T) { c.inTest(t).besideOurPrune(root) })
	t.Run("our backup, and restic's prune", func(t *testing.T) { c.inTest(t).besideOurBackup(root) })
	t.Run("restic's prune, and our backup", func(t *testing.T) { c.inTest(t).besideResticsPrune(root) })
	want := savedCopy(t, root)
	last := c.backup()
	c.assertSettled(c.services...)
	c.resticSays()
	empty(t, root)
	c.mustRun("restore", last.Snapshot, "--yes", "--no-safety-snapshot")
	assertSame(t, want, root)
}

func (c *crashing) besideOurPrune(root string) {
	c.t.Helper()
	c.halfGarbage(root, "one")
	before := len(c.stored())
	run := c.paused("CRASH_POINT", "mid-prune", "3s", "prune", "--max-unused", "0", "--json")
	container, thaw := c.freezeLocked()
	wantRefused(c.t, "a backup by hand", c.run("backup"), "another run is under way: prune in container", container[:12])
	wantRefused(c.t, "a backup from another host", c.runEnv(elsewhere(), "backup"), "repository is locked, exclusively, by process ", "/"+container)
	c.wantResticRefused(container, "backup", root)
	c.mustRestic("unlock") // removes what restic takes for dead
	if n := len(c.locks()); n != 1 {
		c.t.Errorf("%d locks: restic takes ours for dead", n)
	}
	c.missARun() // so that serve begins one at once, and waits
	c.mustCompose("--profile", "backup", "up", "-d", "backup")
	eventually(c.t, "serve has come up", func() bool { return len(c.logged("serving")) > 0 })
	if n := len(c.stored()); n != before {
		c.t.Errorf("%d snapshots were made beside the prune", n-before)
	}
	thaw()
	var done pruneReport
	r := run.wait()
	if c.decode(r.stdout, &done); r.code != 0 || done.PacksRemoved == 0 {
		c.t.Errorf("the prune itself: %s", r)
	}
	eventually(c.t, "the backup that waited is made", func() bool { return len(c.stored()) == before+1 })
	c.mustCompose("rm", "-s", "-f", "backup")
	c.resticSays()
}

// besideOurBackup: what is shared goes on beside it, what is exclusive does not.
func (c *crashing) besideOurBackup(root string) {
	c.t.Helper()
	c.halfGarbage(root, "two")
	randomFile(c.t, filepath.Join(root, "three"), 2<<20)
	run := c.paused("CRASH_POINT", "mid-stream", "3s", "backup", "--json")
	container, thaw := c.freezeLocked()
	wantRefused(c.t, "a prune by hand", c.run("prune"), "another run is under way: backup in container", container[:12])
	wantRefused(c.t, "a prune from another host", c.runEnv(elsewhere(), "prune"), "repository is locked, shared, by process ", "/"+container)
	c.wantResticRefused(container, "prune")
	c.mustRestic("backup", filepath.Join(root, "one"))
	thaw()
	if r := run.wait(); r.code != 0 {
		c.t.Errorf("the backup itself: %s", r)
	}
	c.mustRestic("prune", "--max-unused", "0")
	c.resticSays()
}

// besideResticsPrune stops stock restic while it has the repository to itself.
// Its process is none of the sidecar's, and must not be taken for dead.
func (c *crashing) besideResticsPrune(root string) {
	c.t.Helper()
	c.halfGarbage(root, "four")
	cmd := exec.Command("restic", "--no-cache", "prune", "--max-unused", "0")
	cmd.Env = append(os.Environ(), "RESTIC_PASSWORD="+password, "RESTIC_REPOSITORY="+c.repositoryDir())
	if err := cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { _ = cmd.Process.Kill() })
	for deadline := time.Now().Add(time.Minute); len(c.locks()) == 0; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			c.t.Fatal("restic took no lock")
		}
	}
	if err := cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		c.t.Fatal(err)
	}
	host, err := os.Hostname()
	if err != nil {
		c.t.Fatal(err)
	}
	holder := fmt.Sprintf("repository is locked, exclusively, by process %d on %s ", cmd.Process.Pid, host)
	wantRefused(c.t, "our backup", c.run("backup"), holder)
	wantRefused(c.t, "our prune", c.run("prune"), holder)
	if err := cmd.Process.Signal(syscall.SIGCONT); err != nil {
		c.t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		c.t.Errorf("restic's prune: %v", err)
	}
	c.resticSays()
}
