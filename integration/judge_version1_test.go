package integration

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestRepositoryOfVersion1 works on a repository that restic made in the older
// format: reads and restores what it wrote there, and adds to it.
func TestRepositoryOfVersion1(t *testing.T) {
	t.Parallel()
	p := newProject(t, filesApp)
	p.up("app")
	root := p.mountpoint("data")
	if err := os.MkdirAll(filepath.Join(root, "sub"), 0o750); err != nil {
		t.Fatal(err)
	}
	randomFile(t, filepath.Join(root, "sub", "random"), 3<<20)
	writeFile(t, filepath.Join(root, "text"), strings.Repeat("text ", 100000))
	want := savedCopy(t, root)
	manifest := p.mustRestic("dump", "-q", p.backup().Snapshot, "/"+p.name+"/ripplebak.json")

	dir := filepath.Join(p.dir, "version1")
	p.env["RIPPLEBAK_DIR"] = dir
	base := t.TempDir()
	data := filepath.Join(base, p.name, "volumes", "data")
	if err := os.MkdirAll(filepath.Dir(data), 0o755); err != nil {
		t.Fatal(err)
	}
	must(t, "cp", "-a", want, data)
	writeFile(t, filepath.Join(base, p.name, "ripplebak.json"), manifest)
	env := []string{"RESTIC_PASSWORD=" + password, "RESTIC_REPOSITORY=" + dir}
	for _, args := range [][]string{{"init", "--repository-version", "1"}, {"backup", "--tag", "ripplebak", "--tag", "project:" + p.name, p.name}} {
		if r := command(t, base, env, "", append([]string{"restic", "--no-cache"}, args...)...); r.code != 0 {
			t.Fatalf("restic %v: %s", args, r)
		}
	}
	p.mustRun("check", "--read-data")
	id := p.newestSnapshot()
	if out := p.mustRun("ls", id); !strings.Contains(out, "volumes/data/sub/random") {
		t.Errorf("ls lists:\n%s", out)
	}
	empty(t, root)
	r := p.run("restore", id, "--yes", "--no-safety-snapshot")
	if r.code != 0 {
		t.Fatalf("restore: %s", r)
	}
	assertSame(t, want, root)
	// And written as it is, without compression, which restic would refuse.
	writeFile(t, filepath.Join(root, "text"), strings.Repeat("more ", 100000))
	ours := p.backup().Snapshot
	if r := command(t, base, env, "", "restic", "--no-cache", "check", "--read-data"); r.code != 0 {
		t.Errorf("restic check: %s", r)
	}
	r = command(t, base, env, "", "restic", "--no-cache", "dump", ours, "/"+p.name+"/volumes/data/text")
	if r.stdout != strings.Repeat("more ", 100000) {
		t.Error("restic reads something else from our snapshot")
	}
}
