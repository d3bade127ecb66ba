package integration

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestF33_RepositoryFull: nothing of a run that found no room is visible, the
// services are back, and the next run is clean once there is room.
func TestF33_RepositoryFull(t *testing.T) {
	t.Parallel()
	p := newProject(t, restfulApp)
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=24m"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	p.env["RIPPLEBAK_DIR"] = dir
	p.up("app", "writer")
	root := p.mountpoint("data")
	randomFile(t, filepath.Join(root, "small"), 1<<20)
	first := p.backup()
	randomFile(t, filepath.Join(root, "big"), 64<<20)
	r := p.run("backup")
	if r.code == 0 || !strings.Contains(r.stderr, "space") && !strings.Contains(r.stderr, "full") {
		t.Fatalf("a backup into a full repository: %s", r)
	}
	if got := p.stored(); len(got) != 1 || got[0] != first.Snapshot {
		t.Errorf("snapshots: %v", got)
	}
	p.assertSettled("app", "writer")
	if err := unix.Mount("tmpfs", dir, "tmpfs", unix.MS_REMOUNT, "size=256m"); err != nil {
		t.Fatal(err)
	}
	want := savedCopy(t, root)
	next := p.backup()
	p.assertSettled("app", "writer")
	p.mustRun("check", "--read-data")
	empty(t, root)
	p.mustRun("restore", next.Snapshot, "--yes")
	assertSame(t, want, root)
}

// TestF33_SpoolFull: the service is started first, then the item has failed.
// The repository takes nothing meanwhile, so that all has to wait in the spool.
func TestF33_SpoolFull(t *testing.T) {
	p := newResting(t, "stop", 96)
	repository := newLoop(t, 512<<20).mounted(t)
	p.env["RIPPLEBAK_DIR"] = repository
	p.env["RIPPLEBAK_SPOOL_SIZE"] = "2M"
	p.upResting()
	p.mustRun("init")
	stopping, starting := p.nextEvent("app", "kill"), p.nextEvent("writer", "start")
	run := p.start("run", "--rm", "-T", "backup", "backup", "--json")
	await(t, "the app is told to stop", stopping)
	thaw := freeze(t, repository)
	await(t, "all are started again", starting)
	thaw()
	r := run.wait()
	if r.code != 1 || !strings.Contains(r.stdout, "spool") {
		t.Fatalf("backup with a full spool: %s", r)
	}
	if got := p.stored(); len(got) != 0 {
		t.Errorf("snapshots: %v", got)
	}
	p.assertSettled("app", "writer", "reader")
	delete(p.env, "RIPPLEBAK_SPOOL_SIZE")
	p.backup()
	p.assertSettled("app", "writer", "reader")
}

// fill writes to a filesystem until nothing goes in any more.
func fill(t testing.TB, dir string) (filler string) {
	t.Helper()
	filler = filepath.Join(dir, "filler")
	f, err := os.Create(filler)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for size := 1 << 20; size > 0; size /= 2 {
		for {
			if _, err := f.Write(make([]byte, size)); err != nil {
				if !errors.Is(err, unix.ENOSPC) {
					t.Fatal(err)
				}
				break
			}
		}
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	return filler
}

// withState gives the sidecar a state volume on a filesystem of its own.
func (p *project) withState(l loopFilesystem) {
	p.t.Helper()
	name := filepath.Join(p.dir, "docker-compose.backup.yml")
	old := readFile(p.t, name)
	changed := strings.Replace(old, "\nvolumes:\n  ripplebak:\n", "\nvolumes:\n"+l.composeVolume("ripplebak"), 1)
	if changed == old {
		p.t.Fatal("docker-compose.backup.yml declares its volumes in another way")
	}
	writeFile(p.t, name, changed)
}

// TestF33_StateFull: cache and state hold no data, and a backup without them is
// a backup. But nothing is stopped that could not be noted down.
func TestF33_StateFull(t *testing.T) {
	t.Parallel()
	state := newLoop(t, 16<<20)
	p := newProject(t, strings.Replace(restfulApp, "data:\n", "data:\n  calm:\n", 1)+`
`).withRepository()
	p.write("more.yaml", `services:
  quiet:
    image: ${FILES_IMAGE}
    command: ["sleep", "infinity"]
    init: true
    volumes: ["calm:/calm"]
    labels: {ripplebak.enable: "true"}
`)
	p.env["COMPOSE_FILE"] = "compose.yaml:more.yaml"
	p.withState(state)
	p.up("app", "writer", "quiet")
	randomFile(t, filepath.Join(p.mountpoint("calm"), "f"), 1<<20)
	p.backup()
	dir := state.mounted(t)
	filler := fill(t, dir)
	randomFile(t, filepath.Join(p.mountpoint("calm"), "f"), 1<<20)
	seen := p.watchEvents()
	r := p.run("backup", "--json")
	var report backupReport
	p.decode(r.stdout, &report)
	if s, text := report.item("volume", "", "calm"); s != "good" {
		t.Errorf("the volume that is read live is %q: %s", s, text)
	}
	if s, text := report.item("volume", "", "data"); s != "failed" || !strings.Contains(text, "space") {
		t.Errorf("the volume whose service would be stopped is %q: %s", s, text)
	}
	if r.code != 3 || !strings.Contains(r.stderr, "no space left") {
		t.Errorf("the run does not say what is full: %s", r)
	}
	// A journal of one name may still have found room; one of both has not.
	got := order(seen.events(), "die", "start")
	if len(got) != 0 && !slices.Equal(got, []string{"die writer", "start writer"}) {
		t.Errorf("events: %v", got)
	}
	t.Run("only what is read live", func(t *testing.T) {
		p := p.inTest(t)
		if r := p.run("backup", "quiet", "--json"); r.code != 0 || !strings.Contains(r.stderr, "no space left") {
			t.Errorf("backup: %s", r)
		}
	})
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	p.backup()
	for _, service := range []string{"app", "writer", "quiet"} {
		if got := p.state(service); got != "running" {
			t.Errorf("service %s is %q", service, got)
		}
	}
	if names := append(namesIn(t, filepath.Join(dir, "journal")), p.helpers()...); len(names) != 0 {
		t.Errorf("left: %q", names)
	}
	p.resticSays()
}
