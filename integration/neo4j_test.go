package integration

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// neo4jProject is what stands in for a Neo4j, with its databases in a volume,
// and a service that depends on it. What differs between tests is the
// service's own.
const neo4jProject = `
services:
  graph:
    image: ${NEO4J_IMAGE}
    environment:
      NEO4J_AUTH: neo4j/planted-secret
      PATH: /shim:/var/lib/neo4j/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
%environment
    labels:
      ripplebak.dump: neo4j
    volumes:
      - graph:%data
      - ./lib:/var/lib/neo4j/lib:ro
      - ./shim:/shim
  app:
    image: ${FILES_IMAGE}
    command: ["sleep", "infinity"]
    init: true
    depends_on: [graph]
volumes:
  graph:
`

type neo4jProjectOf struct {
	*project
	data string
}

// newNeo4j starts it in a version, with its data in a directory.
func newNeo4j(t testing.TB, version, data, environment string) *neo4jProjectOf {
	t.Helper()
	image, err := crashImage()
	if err != nil {
		t.Fatal(err)
	}
	p := newProject(t, strings.NewReplacer("%data", data, "%environment", environment).Replace(neo4jProject)).withRepository()
	p.env["RIPPLEBAK_IMAGE"] = image
	p.write("shim/.keep", "")
	if err := os.Chmod(filepath.Join(p.dir, "shim"), 0o777); err != nil {
		t.Fatal(err)
	}
	n := &neo4jProjectOf{p, data}
	n.version(version)
	n.up("graph", "app")
	n.ready()
	return n
}

func (n *neo4jProjectOf) inTest(t testing.TB) *neo4jProjectOf {
	return &neo4jProjectOf{n.project.inTest(t), n.data}
}

// version says which the programs are. The directory stays: it is mounted.
func (n *neo4jProjectOf) version(version string) {
	n.t.Helper()
	before, err := filepath.Glob(filepath.Join(n.dir, "lib", "*.jar"))
	for _, at := range before {
		err = errors.Join(err, os.Remove(at))
	}
	if err != nil {
		n.t.Fatal(err)
	}
	n.write("lib/neo4j-kernel-"+version+".jar", "")
}

func (n *neo4jProjectOf) sh(script string) string {
	n.t.Helper()
	return strings.TrimSpace(must(n.t, "docker", "exec", n.containerID("graph"), "bash", "-c", "cd "+n.data+" && "+script))
}

func (n *neo4jProjectOf) ready() {
	n.t.Helper()
	eventually(n.t, "the server answers", func() bool {
		return command(n.t, "", nil, "", "docker", "exec", n.containerID("graph"), "test", "-e", n.data+"/dbms/ready").code == 0
	})
}

// load changes both databases, for as long as the server runs.
func (n *neo4jProjectOf) load() {
	n.t.Helper()
	n.sh("touch dbms/busy")
	eventually(n.t, "the counters move", func() bool { return n.count("neo4j") > 20 && n.count("system") > 20 })
}

// count is the number that both counters of a database have. The server itself
// refuses to start where they differ.
func (n *neo4jProjectOf) count(database string) (left int) {
	n.t.Helper()
	eventually(n.t, "the counters are read", func() bool {
		_, err := fmt.Sscanf(n.sh("cat databases/"+database+"/neostore"), "left=%d", &left)
		return err == nil
	})
	return left
}

// wantCalm asserts that nothing is left, and everything is the server's own.
func (n *neo4jProjectOf) wantCalm() {
	n.t.Helper()
	n.assertCalm("graph", "app")
	if odd := n.sh(`find . /tmp /var/tmp -name '.ripplebak*'; find databases transactions ! -user neo4j`); odd != "" {
		n.t.Errorf("left behind, or not the server's: %s", odd)
	}
}

// shim replaces neo4j-admin.
func (n *neo4jProjectOf) shim(script string) {
	n.t.Helper()
	n.write("shim/neo4j-admin", "#!/bin/bash\nreal=/var/lib/neo4j/bin/neo4j-admin\nhit() { echo hit >>/shim/hits; chmod 666 /shim/hits; }\n"+script+"\n")
	if err := os.Chmod(filepath.Join(n.dir, "shim", "neo4j-admin"), 0o755); err != nil {
		n.t.Fatal(err)
	}
}

func (n *neo4jProjectOf) unshim() (hit bool) {
	n.t.Helper()
	_, err := os.Stat(filepath.Join(n.dir, "shim", "hits"))
	for _, name := range []string{"neo4j-admin", "hits"} {
		if err := os.RemoveAll(filepath.Join(n.dir, "shim", name)); err != nil {
			n.t.Fatal(err)
		}
	}
	return err == nil
}

// TestNeo4jStandInRoundTrips dumps under write load, with the service down for
// a moment, and restores onto data that was changed, and onto an empty volume.
func TestNeo4jStandInRoundTrips(t *testing.T) {
	for _, c := range []struct{ version, data, environment, command string }{
		{"5.26.1", "/data", "", "neo4j-admin database dump --to-stdout neo4j"},
		{"4.4.30", "/elsewhere", "      NEO4J_dbms_directories_data: /elsewhere", "neo4j-admin dump --database=neo4j --to=FILE"},
	} {
		t.Run(c.version, func(t *testing.T) {
			n := newNeo4j(t, c.version, c.data, c.environment)
			n.load()
			plan := n.mustRun("plan")
			for _, want := range []string{"stop graph", "its dump is made offline", c.command} {
				if !strings.Contains(plan, want) {
					t.Errorf("the plan lacks %q:\n%s", want, plan)
				}
			}
			before, events := n.count("neo4j"), n.events()
			report := n.backup()
			assertEvents(t, events(), "stop graph", "start graph")
			if state, text := report.item("dump", "graph", "all"); state != "good" || text != "" || report.data() != 1 {
				t.Fatalf("%s %s: %+v", state, text, report.Items)
			}
			n.ready()
			after := n.count("neo4j")
			if after < before {
				t.Errorf("the counter is %d after the dump, and was %d", after, before)
			}
			n.wantCalm()
			t.Logf("downtime of the backup: %v", report.Downtime)

			// Changed; the load goes on until the server is stopped, and is not in
			// the databases' directories.
			eventually(t, "the counters move on", func() bool { return n.count("neo4j") > after+20 })
			n.sh("rm dbms/busy; mkdir -p databases/new transactions/new; touch databases/new/neostore; chown -R neo4j: databases/new transactions/new")
			n.mustRestore(report.Snapshot, "--no-safety-snapshot")
			n.ready()
			if got := n.count("neo4j"); got < before || got > after {
				t.Errorf("the counter is %d, want %d to %d", got, before, after)
			}
			if got := n.sh("ls databases transactions"); strings.Contains(got, "new") {
				t.Errorf("a database that is not in the dump is there: %s", got)
			}
			n.wantCalm()

			n.mustCompose("down", "-t", "5")
			must(t, "docker", "volume", "rm", n.name+"_graph")
			n.up("graph", "app")
			n.ready()
			n.mustRestore(report.Snapshot)
			n.ready()
			if got := n.count("system"); got < 20 {
				t.Errorf("the counter is %d in what was an empty volume", got)
			}
			n.wantCalm()
		})
	}
}

// TestNeo4jStandInFails: what cannot be proven is not stored, the service is
// back, and a restore that fails leaves the old data.
func TestNeo4jStandInFails(t *testing.T) {
	n := newNeo4j(t, "5.26.1", "/data", "")
	n.load()
	n.sh("rm dbms/busy")
	snapshot := n.backup().Snapshot
	n.ready()
	was := n.count("neo4j")
	n.load()
	n.sh("rm dbms/busy")
	now := n.count("neo4j")
	if now == was {
		t.Fatal("nothing has changed since the dump")
	}
	failed := func(t *testing.T, n *neo4jProjectOf, want string, args ...string) {
		t.Helper()
		out := n.run(args...)
		if !n.unshim() || out.code == 0 || !strings.Contains(out.String(), want) {
			t.Errorf("want %q: %s", want, out)
		}
		if strings.Contains(out.String(), "planted-secret") {
			t.Errorf("a password is printed: %s", out)
		}
		n.ready()
		if got := n.count("neo4j"); got != now {
			t.Errorf("the counter is %d, want %d as before", got, now)
		}
		n.wantCalm()
	}
	restore := []string{"restore", snapshot, "--yes", "--no-safety-snapshot"}
	t.Run("a dump that is cut without an error", func(t *testing.T) {
		n := n.inTest(t)
		n.shim(`case "$*" in *dump*neo4j) hit; "$real" "$@" | head -c 60; exit 0 ;; *) exec "$real" "$@" ;; esac`)
		failed(t, n, "cut short", "backup")
	})
	t.Run("a dump that fails half-way", func(t *testing.T) {
		n := n.inTest(t)
		n.shim(`case "$*" in *dump*neo4j) hit; "$real" "$@" | head -c 60; echo "No space left on device" >&2; exit 1 ;; *) exec "$real" "$@" ;; esac`)
		failed(t, n, "no space is left where the server keeps its files", "backup")
	})
	t.Run("a load that fails", func(t *testing.T) {
		n := n.inTest(t)
		n.shim(`case "$*" in *load*neo4j) hit; "$real" "$@"; rm /data/databases/neo4j/*; exit 1 ;; *) exec "$real" "$@" ;; esac`)
		failed(t, n, `service "graph"`, restore...)
	})
	t.Run("a load that makes nothing", func(t *testing.T) {
		n := n.inTest(t)
		n.shim(`case "$*" in *load*neo4j) hit; cat >/dev/null ;; *) exec "$real" "$@" ;; esac`)
		failed(t, n, "has made no files of database neo4j", restore...)
	})
	t.Run("a server that does not come up", func(t *testing.T) {
		n := n.inTest(t)
		n.shim(`case "$*" in *load*neo4j) hit; "$real" "$@" && echo bad >/data/databases/neo4j/schema/index ;; *) exec "$real" "$@" ;; esac`)
		failed(t, n, `service "graph"`, restore...)
	})
	t.Run("a dump of a newer version", func(t *testing.T) {
		n := n.inTest(t)
		n.version("5.20.0")
		out := n.run(restore...)
		n.version("5.26.1")
		if out.code == 0 || !strings.Contains(out.String(), "it was made of Neo4j 5.26.1, the image has 5.20.0") {
			t.Errorf("want a refusal: %s", out)
		}
		if got := n.count("neo4j"); got != now {
			t.Errorf("the counter is %d, want %d as before", got, now)
		}
	})
	t.Run("a server that was killed", func(t *testing.T) {
		n := n.inTest(t)
		must(t, "docker", "kill", n.containerID("graph"))
		if out := n.run("backup"); out.code == 0 || !strings.Contains(out.String(), "stop_grace_period") {
			t.Errorf("want a failure that says what to do: %s", out)
		}
		n.up("graph", "app")
		n.ready()
		n.mustRun("backup")
	})
	t.Run("no program", func(t *testing.T) {
		n := n.inTest(t)
		must(t, "docker", "exec", n.containerID("graph"), "mv", "/var/lib/neo4j/bin/neo4j-admin", "/root/")
		if out := n.run("plan"); out.code == 0 || !strings.Contains(out.String(), "neo4j-admin is not in the container") {
			t.Errorf("want a problem of the plan: %s", out)
		}
		must(t, "docker", "exec", n.containerID("graph"), "mv", "/root/neo4j-admin", "/var/lib/neo4j/bin/")
	})
}

// TestF22_Neo4jRestoreIsOldOrNewWhole: whenever it is killed.
func TestF22_Neo4jRestoreIsOldOrNewWhole(t *testing.T) {
	n := newNeo4j(t, "5.26.1", "/data", "")
	n.load()
	n.sh("rm dbms/busy")
	snapshot := n.backup().Snapshot
	n.ready()
	was := n.count("neo4j")
	for point, old := range map[string]bool{"after-place": true, "mid-restore": true, "before-confirm": true, "mid-keep": false} {
		t.Run(point, func(t *testing.T) {
			n := n.inTest(t)
			n.sh("touch dbms/busy")
			eventually(t, "the counters move", func() bool { return n.count("neo4j") > was+5 && n.count("system") > 0 })
			n.sh("rm dbms/busy")
			n.crashed(point, "restore", snapshot, "--yes", "--no-safety-snapshot")
			eventually(t, "the next backup succeeds", func() bool { return n.run("backup").code == 0 })
			n.ready()
			if got := n.count("neo4j"); (got > was) != old {
				t.Errorf("the counter is %d, was %d in the dump; want the old one: %t", got, was, old)
			}
			n.wantCalm()
		})
	}
}
