package integration

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// restfulApp is a project whose app is stopped for the second walk of its
// volume, and with it a service without labels that writes there too.
const restfulApp = `
services:
  app:
    image: ${FILES_IMAGE}
    command: ["sleep", "infinity"]
    init: true
    volumes:
      - data:/data
    labels:
      ripplebak.during: "stop"
  writer:
    image: ${FILES_IMAGE}
    command: ["sleep", "infinity"]
    init: true
    depends_on: [app]
    volumes:
      - data:/data
volumes:
  data:
`

// crashing is a project that is killed again and again.
type crashing struct {
	*project
	services []string // that have to run afterwards
}

func newCrashing(t testing.TB) *crashing {
	t.Helper()
	return crashingOf(t, restfulApp, "app", "writer")
}

// crashingOf is newCrashing for another project.
func crashingOf(t testing.TB, yaml string, services ...string) *crashing {
	t.Helper()
	image, err := crashImage()
	if err != nil {
		t.Fatal(err)
	}
	p := newProject(t, yaml).withRepository()
	p.env["RIPPLEBAK_IMAGE"] = image
	p.up(services...)
	return &crashing{project: p, services: services}
}

func (c *crashing) inTest(t testing.TB) *crashing {
	return &crashing{project: c.project.inTest(t), services: c.services}
}

// killedAt runs a command that kills itself at the point.
func (c *crashing) killedAt(point string, args ...string) {
	c.t.Helper()
	r := c.runEnv([]string{"CRASH_POINT=" + point}, args...)
	if r.code != 137 {
		c.t.Fatalf("%v was not killed at %s: %s", args, point, r)
	}
}

// stored are the IDs of the snapshots that lie in the repository.
func (p *project) stored() []string {
	p.t.Helper()
	return namesIn(p.t, filepath.Join(p.repositoryDir(), "snapshots"))
}

// assertSettled asserts that nothing is left of a run that died, and that
// everything runs that ran before.
func (p *project) assertSettled(services ...string) {
	p.t.Helper()
	for _, s := range services {
		if got := p.state(s); got != "running" {
			p.t.Errorf("service %s is %q", s, got)
		}
	}
	if h := p.helpers(); len(h) != 0 {
		p.t.Errorf("helpers are left: %v", h)
	}
	state := p.mountpoint("ripplebak")
	for _, folder := range []string{"journal", "spool"} {
		if names := namesIn(p.t, filepath.Join(state, folder)); len(names) != 0 {
			p.t.Errorf("%s holds %q", folder, names)
		}
	}
	if names := namesIn(p.t, filepath.Join(p.repositoryDir(), "locks")); len(names) != 0 {
		p.t.Errorf("locks are left: %q", names)
	}
	for _, name := range namesIn(p.t, p.mountpoint("data")) {
		if strings.HasPrefix(name, ".ripplebak") {
			p.t.Errorf("the volume holds %q", name)
		}
	}
}

// repositoryDir is where the embedded repository lies.
func (p *project) repositoryDir() string {
	if dir := p.env["RIPPLEBAK_DIR"]; dir != "" {
		return dir
	}
	return filepath.Join(p.dir, "backups")
}

func namesIn(t testing.TB, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}

// serveRecovers starts serve, waits until it has settled what a dead run left,
// and ends it.
func (c *crashing) serveRecovers() {
	c.t.Helper()
	c.mustCompose("--profile", "backup", "up", "-d", "backup")
	eventually(c.t, "serve settles what the dead run left", func() bool {
		return len(namesIn(c.t, filepath.Join(c.mountpoint("ripplebak"), "journal"))) == 0 && len(c.helpers()) == 0
	})
	for _, s := range c.services {
		eventually(c.t, "service "+s+" runs again", func() bool { return c.state(s) == "running" })
	}
	c.mustCompose("rm", "-s", "-f", "backup")
}
