package integration

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What a plan says to somebody who reads nothing else.
func TestPlanSaysWhatWillHappen(t *testing.T) {
	t.Parallel()
	p := newProject(t, `
services:
  db:
    image: ${POSTGRES_IMAGE}
    environment:
      POSTGRES_PASSWORD: postgres
    volumes: ["db:/var/lib/postgresql/data"]
    healthcheck:
      test: ["CMD", "pg_isready", "-q", "-h", "127.0.0.1", "-U", "postgres"]
      interval: 1s
      retries: 60
    labels: {ripplebak.dump: pg_dump}
  app:
    image: ${FILES_IMAGE}
    command: [sleep, infinity]
    init: true
    volumes: ["data:/data"]
    labels: {ripplebak.during: stop}
  reader:
    image: ${FILES_IMAGE}
    command: [sleep, infinity]
    init: true
    volumes: ["data:/data:ro"]
  writer:
    image: ${FILES_IMAGE}
    command: [sleep, infinity]
    init: true
    volumes: ["data:/data", "other:/other"]
  once:
    image: ${FILES_IMAGE}
    profiles: [tools]
    command: [sleep, infinity]
    volumes: ["data:/data"]
volumes:
  db:
  data:
  other:
`)
	p.up("db", "app", "reader", "writer")
	out := p.mustRun("plan")
	for _, want := range []string{
		"dump db/postgres", "pg_dump", "volume data", // by name, though the password is "postgres"
		"down for a moment", "app is stopped", "writer is stopped",
		"in this order", "not labelled", "writer: ", "other", "ripplebak.enable",
		"same machine",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("the plan does not say %q:\n%s", want, out)
		}
	}
	if strings.Contains(out, "reader is stopped") {
		t.Errorf("what only reads is stopped:\n%s", out)
	}
	if list, err := os.ReadDir(filepath.Join(p.dir, "backups")); err != nil || len(list) != 0 {
		t.Errorf("a plan made something: %v, %v", list, err)
	}
	p.planWithout(t, "- ripplebak-run:/run/ripplebak", "- ripplebak-run:/run/ripplebak", "ripplebak-run:")
	p.planWithout(t, "- ripplebak:/var/lib/ripplebak", "- ripplebak:/var/lib/ripplebak", "ripplebak:")
}

// planWithout takes a line out of the sidecar's compose file: the plan then
// has a problem, and says which lines to put back.
func (p *project) planWithout(t *testing.T, line string, paste ...string) {
	t.Helper()
	whole, err := os.ReadFile(filepath.Join(p.dir, "docker-compose.backup.yml"))
	if err != nil {
		t.Fatal(err)
	}
	p.write("docker-compose.backup.yml", strings.Replace(string(whole), line, "", 1))
	defer p.write("docker-compose.backup.yml", string(whole))
	r := p.run("plan")
	if r.code != 1 {
		t.Errorf("without %q: want exit code 1: %s", line, r)
	}
	for _, l := range paste {
		if !strings.Contains(r.stdout, "\n") || !lineEnds(r.stdout, l) {
			t.Errorf("without %q: the plan has no line %q to paste: %s", line, l, r)
		}
	}
	if r := p.run("backup"); r.code != 1 || p.state("app") != "running" {
		t.Errorf("without %q: backup: want exit code 1: %s", line, r)
	}
}

func lineEnds(text, with string) bool {
	for l := range strings.Lines(text) {
		if strings.TrimSpace(l) == with {
			return true
		}
	}
	return false
}

// A compose file is checked before anything runs, on a machine where nothing
// of it is set up.
func TestPlanOfAFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(labels string) string {
		file := filepath.Join(dir, "compose.yaml")
		text := "name: shop\nservices:\n  db:\n    image: postgres:${PG_VERSION}\n    env_file: [missing.env]\n    environment:\n      POSTGRES_PASSWORD: ${DB_PASSWORD:?not set here}\n" +
			"    volumes: [\"db:/var/lib/postgresql/data\"]\n    labels:\n      " + labels + "\n" +
			"  app:\n    build: https://example.invalid/repo.git\n    volumes: [\"data:/data\"]\n    labels:\n      ripplebak.during: stop\nvolumes:\n  db:\n  data:\n"
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return file
	}
	plan := func(file string) result {
		return command(t, dir, []string{"DOCKER_HOST=unix:///nowhere.sock"}, "", os.Getenv("INTEGRATION_BINARY"), "plan", "--file", file)
	}
	r := plan(write("ripplebak.dump: pg_dump"))
	if r.code != 0 {
		t.Errorf("plan --file: %s", r)
	}
	for _, want := range []string{"dump db", "volume data", "app is stopped", "PG_VERSION"} {
		if !strings.Contains(r.stdout, want) {
			t.Errorf("plan --file does not say %q: %s", want, r)
		}
	}
	r = plan(write("ripplebak.dmup: pg_dump"))
	if r.code != 1 || !strings.Contains(r.stdout, `did you mean "ripplebak.dump"`) {
		t.Errorf("plan --file with a misspelt label: %s", r)
	}
}
