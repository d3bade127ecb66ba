package integration

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// bindsProject has a service with a bind mount, one whose source may be missing,
// and files of its own beside the compose file and elsewhere.
const bindsProject = `
services:
  app:
    image: ${FILES_IMAGE}
    command: ["sleep", "infinity"]
    init: true
    env_file: [conf/app.env, %s]
    volumes:
      - ./data:/data
    labels:
      ripplebak.binds: /data
      ripplebak.during: stop
`

func TestBindsAndConfigGoAndComeBack(t *testing.T) {
	elsewhere := filepath.Join(t.TempDir(), "shared.env")
	if err := os.WriteFile(elsewhere, []byte("SHARED=yes\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	p := newProject(t, strings.Replace(bindsProject, "%s", elsewhere, 1)).withRepository()
	p.write("conf/app.env", "A=1\n")
	p.write(".env", "ONE=two\n")
	p.write("data/a", "one")
	p.write("data/sub/b", "two")
	p.up("app")

	first := p.backup()
	if state, text := first.item("bind", "app", "/data"); state != "good" {
		t.Fatalf("the bind is %q: %s", state, text)
	}
	if state, text := first.item("config", "", ""); state != "good" {
		t.Fatalf("the config is %q: %s", state, text)
	}
	p.write("data/a", "changed")
	p.write("data/extra", "more")
	p.mustRun("restore", "--yes", "latest")
	for name, want := range map[string]string{"data/a": "one", "data/sub/b": "two"} {
		if got, err := os.ReadFile(filepath.Join(p.dir, name)); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	if _, err := os.Stat(filepath.Join(p.dir, "data/extra")); err == nil {
		t.Error("what is not in the snapshot stays")
	}
	if p.state("app") != "running" {
		t.Errorf("app is %s", p.state("app"))
	}

	// Stock restic gives the project's own files byte for byte.
	to := t.TempDir()
	p.mustRestic("restore", first.Snapshot, "--target", to)
	config := filepath.Join(to, p.name, "config")
	for name, source := range map[string]string{
		"compose.yaml": filepath.Join(p.dir, "compose.yaml"), "docker-compose.backup.yml": filepath.Join(p.dir, "docker-compose.backup.yml"),
		".env": filepath.Join(p.dir, ".env"), "conf/app.env": filepath.Join(p.dir, "conf/app.env"), strings.ReplaceAll(elsewhere, "/", "%2F"): elsewhere,
	} {
		want, err := os.ReadFile(source)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(filepath.Join(config, name)); err != nil || string(got) != string(want) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}

	// A source that is gone fails its item, and is not made.
	p.mustCompose("stop", "app")
	if err := os.RemoveAll(filepath.Join(p.dir, "data")); err != nil {
		t.Fatal(err)
	}
	if r := p.run("backup", "--json"); r.code == 0 {
		t.Errorf("a backup without the bind's source succeeded: %s", r)
	}
	if r := p.run("restore", "--yes", "latest"); r.code != 1 || !strings.Contains(r.stderr, "there is no directory") {
		t.Errorf("a restore without the bind's source: %s", r)
	}
	if _, err := os.Stat(filepath.Join(p.dir, "data")); err == nil {
		t.Error("the source was made by looking for it")
	}
}

// Single files of the host and of a service, and a directory of the host, by a
// real Engine: what lies beside a file stays, and Docker's own data is left out.
func TestFilesAndPathsOfTheHostGoAndComeBack(t *testing.T) {
	p := newProject(t, `
services:
  app:
    image: ${FILES_IMAGE}
    command: ["sleep", "infinity"]
    init: true
    volumes:
      - ./app.conf:/etc/app.conf
    labels:
      ripplebak.binds: all
      ripplebak.during: stop
`).withRepository()
	p.write("app.conf", "one")
	p.write("host/etc/machine-id", "id")
	p.write("host/etc/other", "other")
	p.write("host/home/letter", "one")
	host := func(name string) string { return filepath.Join(p.dir, "host", name) }
	p.env["RIPPLEBAK_HOST_PATHS"] = host("etc/machine-id") + "," + host("home")
	p.up("app")

	first := p.backup()
	for _, want := range [][2]string{{"app", "/etc/app.conf"}, {"_host", host("etc/machine-id")}, {"_host", host("home")}} {
		if state, text := first.item("bind", want[0], want[1]); state != "good" {
			t.Errorf("%s is %q: %s", want[1], state, text)
		}
	}
	p.write("app.conf", "changed")
	p.write("host/etc/machine-id", "changed")
	p.write("host/etc/other", "changed")
	p.write("host/home/letter", "changed")
	p.mustRun("restore", "--yes", "latest")
	want := func(conf, id, letter string) {
		t.Helper()
		for name, want := range map[string]string{"app.conf": conf, "host/etc/machine-id": id, "host/etc/other": "changed", "host/home/letter": letter} {
			if got, err := os.ReadFile(filepath.Join(p.dir, name)); err != nil || string(got) != want {
				t.Errorf("%s: %q, want %q, %v", name, got, want, err)
			}
		}
	}
	want("one", "changed", "changed")
	if got := p.mustCompose("exec", "-T", "app", "cat", "/etc/app.conf"); got != "one" {
		t.Errorf("the service sees %q", got)
	}
	p.mustRun("restore", "--yes", "--service", "_host", "latest")
	want("one", "id", "one")
	p.mustRun("restore", "--yes", "--rollback")
	want("one", "changed", "changed")

	p.env["RIPPLEBAK_HOST_PATHS"] = "/var"
	if r := p.run("plan"); !strings.Contains(r.stdout, "is left out: it is Docker's own data") {
		t.Errorf("a plan of /var: %s", r)
	}
}
