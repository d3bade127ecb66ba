package integration

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"
)

// databaseProject is a database, an app that depends on it, and one that has
// nothing to do with it.
const databaseProject = `
services:
  db:
    extends: {file: postgres.yaml, service: postgres}
    shm_size: 256m
    volumes:
      - ./shim:/usr/local/sbin
  app:
    image: ${FILES_IMAGE}
    command: ["sleep", "infinity"]
    init: true
    depends_on: [db]
  worker:
    image: ${FILES_IMAGE}
    command: ["sleep", "infinity"]
    init: true
    depends_on: [app]
  aside:
    image: ${FILES_IMAGE}
    command: ["sleep", "infinity"]
    init: true
volumes:
  db:
`

func newDatabase(t testing.TB) *dumpFault {
	t.Helper()
	p := newProject(t, databaseProject).withRepository()
	p.write("shim/.keep", "")
	p.up("db", "app", "worker", "aside")
	return &dumpFault{project: p}
}

// allServices are those of databaseProject.
func allServices() []string { return []string{"db", "app", "worker", "aside"} }

// events starts to watch what happens to the project's containers; the
// returned function ends that and returns "stop SERVICE" and "start SERVICE",
// in their order.
func (p *project) events() func() []string {
	p.t.Helper()
	cmd := exec.Command("docker", "events", "--filter", "type=container", "--filter", "event=start", "--filter", "event=die",
		"--filter", "label=com.docker.compose.project="+p.name, "--filter", "label=com.docker.compose.oneoff=False",
		"--format", `{{.Action}} {{index .Actor.Attributes "com.docker.compose.service"}}`)
	var out strings.Builder
	cmd.Stdout = &out
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	return func() []string {
		p.t.Helper()
		// A marker: once it is seen, everything before it was.
		must(p.t, "docker", "run", "--rm", "--label", "com.docker.compose.project="+p.name, "--label", "com.docker.compose.oneoff=False",
			"--label", "com.docker.compose.service=marker", p.env["FILES_IMAGE"], "true")
		if err := cmd.Process.Kill(); err != nil {
			p.t.Fatal(err)
		}
		_ = cmd.Wait() // killed, as it should be
		var events []string
		for line := range strings.Lines(out.String()) {
			if line = strings.TrimSpace(line); !strings.HasSuffix(line, " marker") {
				events = append(events, strings.Replace(line, "die ", "stop ", 1))
			}
		}
		return events
	}
}

// noLeftovers asserts that no database of an interrupted restore is there.
func (p *project) noLeftovers() {
	p.t.Helper()
	if got := p.sql("postgres", `SELECT datname FROM pg_database WHERE datname LIKE 'ripplebak%'`); got != "" {
		p.t.Errorf("databases are left: %s", got)
	}
}

// want asserts what a query answers.
func (p *project) want(database, query, want string) {
	p.t.Helper()
	if got := p.sql(database, query); got != want {
		p.t.Errorf("%s: %s\n  gives %q, want %q", database, query, got, want)
	}
}

// crashed runs a command of the sidecar that must die at the crash point.
func (p *project) crashed(point string, args ...string) {
	p.t.Helper()
	image, err := crashImage()
	if err != nil {
		p.t.Fatal(err)
	}
	shipped := p.env["RIPPLEBAK_IMAGE"]
	p.env["RIPPLEBAK_IMAGE"] = image
	defer func() { p.env["RIPPLEBAK_IMAGE"] = shipped }()
	if r := p.runEnv([]string{"CRASH_POINT=" + point}, args...); r.code != 137 {
		p.t.Fatalf("%v was to be killed at %s: %s", args, point, r)
	}
}

func seconds(s float64) string { return fmt.Sprintf("%.2f s", s) }
