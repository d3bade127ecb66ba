package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// commandProject is services each of which keeps a file, and labels of its own
// that save it and bring it back. The sh of those named bash* is bash.
func commandProject(services map[string][2]string) string {
	var b strings.Builder
	b.WriteString("\nservices:\n")
	for name, labels := range services {
		shell := "sleep infinity"
		if strings.HasPrefix(name, "bash") {
			shell = "ln -sf bash /bin/sh; sleep infinity"
		}
		fmt.Fprintf(&b, `  %s:
    image: ${FILES_IMAGE}
    command: ["bash", "-c", "%s"]
    init: true
    environment:
      STORE_PASSWORD: the-store-password
    volumes:
      - ./%s:/data
    labels:
      ripplebak.dump: command
      ripplebak.dump.command: %q
`, name, shell, name, labels[0])
		if labels[1] != "" {
			fmt.Fprintf(&b, "      ripplebak.restore.command: %q\n", labels[1])
		}
	}
	return b.String()
}

// putStore replaces the file only by a whole one: when the sidecar is killed,
// the end of the input comes too early.
const putStore = "cat >/data/new && grep -qx end /data/new && mv /data/new /data/store"

func newCommands(t testing.TB, services map[string][2]string) *project {
	t.Helper()
	p := newProject(t, commandProject(services)).withRepository()
	for name := range services {
		p.write(name+"/store", strings.Repeat("saved "+name+"\n", 100_000)+"end\n")
	}
	p.up()
	return p
}

func (p *project) store(service string) string {
	p.t.Helper()
	b, err := os.ReadFile(filepath.Join(p.dir, service, "store"))
	if err != nil {
		p.t.Fatal(err)
	}
	first, _, _ := strings.Cut(string(b), "\n")
	return first
}

// TestF01_F02_F03_F09_Commands lets the commands of labels fail in the ways in
// which commands do, beside ones that are well.
func TestF01_F02_F03_F09_Commands(t *testing.T) {
	t.Parallel()
	p := newCommands(t, map[string][2]string{
		"well":       {"cat /data/store", putStore},
		"noback":     {"cat /data/store", ""},
		"cut":        {"head -c 50000 /data/store; echo 'the disk fell off; the-store-password' >&2; exit 3", putStore},
		"empty":      {"true", putStore},
		"missing":    {"echo 'tool: cannot load libtool'; exit 127", putStore},
		"secret":     {"X=the-store-password; cat /data/store", "cat >/dev/null; echo the-store-password >&2; exit 5"},
		"lazy":       {"cat /data/store", "head -c 10 >/dev/null"},
		"blind":      {"cat /data/store | cat", putStore},
		"bash":       {"cat /data/nothing /data/store | cat", putStore},
		"bash-told":  {"set -o pipefail; cat /data/nothing /data/store | cat", putStore},
		"bash-other": {"cat /data/store", "gzip -d | cat >/data/store"},
	})
	plan := p.run("plan")
	for _, want := range []string{
		"$ X=***; cat /data/store", "restored by $ " + putStore, "ripplebak.dump.command: 'set -o pipefail; cat /data/nothing /data/store | cat'",
		`only "export" gets this dump back`, "ripplebak.dump.command has a pipe, and its shell has no pipefail",
		"could not be restored as it is now",
	} {
		if !strings.Contains(plan.stdout, want) {
			t.Errorf("the plan does not say %q", want)
		}
	}
	if t.Failed() || strings.Contains(plan.String(), "the-store-password") {
		t.Fatalf("plan: %s", plan)
	}

	r := p.run("backup", "--json")
	var report backupReport
	p.decode(r.stdout, &report)
	if r.code != 3 || strings.Contains(r.String(), "the-store-password") {
		t.Fatalf("backup: %s", r)
	}
	for service, text := range map[string]string{
		"well": "", "noback": "", "secret": "", "lazy": "", "blind": "", "bash-other": "",
		"cut": "the disk fell off", "empty": "produced no data", "missing": "cannot load libtool", "bash": "begin it with", "bash-told": "nothing: No such file",
	} {
		state, said := report.item("dump", service, "all")
		if text == "" && state != "good" || text != "" && (state != "failed" || !strings.Contains(said, text)) {
			t.Errorf("%s is %q: %s", service, state, said)
		}
	}
	if out := p.mustRestic("ls", report.Snapshot); strings.Contains(out, "cut.dump") || strings.Contains(out, "bash-told.dump") || !strings.Contains(out, "well/well.dump") {
		t.Errorf("the snapshot holds:\n%s", out)
	}

	t.Run("round_trip", func(t *testing.T) {
		p := p.inTest(t)
		p.write("well/store", "later\nend\n")
		out := p.mustRestore("latest", "--service", "well")
		if got := p.store("well"); got != "saved well" || out.Safety == "" {
			t.Errorf("the store holds %q; safety snapshot %q", got, out.Safety)
		}
		p.mustRestore(out.Safety, "--service", "well")
		if got := p.store("well"); got != "later" {
			t.Errorf("from the safety snapshot came %q", got)
		}
	})
	t.Run("refused_before_anything_is_touched", func(t *testing.T) {
		p := p.inTest(t)
		p.write("noback/store", "later\nend\n")
		p.write("bash-other/store", "later\nend\n")
		for service, want := range map[string]string{"noback": "has no label ripplebak.restore.command", "bash-other": "'set -o pipefail; gzip -d | cat >/data/store'"} {
			before := len(p.snapshots())
			r := p.run("restore", "latest", "--service", service, "--yes")
			if r.code != 1 || !strings.Contains(r.String(), want) || p.store(service) != "later" || len(p.snapshots()) != before {
				t.Errorf("%s: the store holds %q, %s", service, p.store(service), r)
			}
		}
		p.mustRun("restore", "latest", "--service", "noback", "--to-dir", "/backups/out", "--yes")
	})
	t.Run("failed_restores_say_what_may_be_there", func(t *testing.T) {
		p := p.inTest(t)
		for service, want := range map[string]string{"secret": "exited with 5", "lazy": ""} {
			out, r := p.restoreJSON("latest", "--service", service)
			done, said := out.item("dump " + service + "/all")
			if r.code != 1 || done || !strings.Contains(said, want) || strings.Contains(r.String(), "the-store-password") {
				t.Errorf("%s: %s", service, r)
			}
			note := "partly old and partly new"
			back := fmt.Sprintf("restore %.8s --service %s", out.Safety, service)
			if len(out.Items) != 1 || !slices.ContainsFunc(out.Items[0].Notes, func(n string) bool { return strings.Contains(n, note) && strings.Contains(n, back) }) ||
				strings.Contains(r.stderr, "the old data is in place") {
				t.Errorf("%s: the report does not say how to go back: %s", service, r)
			}
		}
	})
	p.assertCalm("well", "lazy")
}

// TestF26_RestoreByCommandIsKilled kills a restore while its command reads.
func TestF26_RestoreByCommandIsKilled(t *testing.T) {
	t.Parallel()
	yaml := commandProject(map[string][2]string{"box": {"cat /data/store", putStore}}) + `  app:
    image: ${FILES_IMAGE}
    command: ["sleep", "infinity"]
    init: true
    depends_on: [box]
`
	c := crashingOf(t, yaml)
	c.services = []string{"box", "app"}
	c.write("box/store", strings.Repeat("saved\n", 100_000)+"end\n")
	c.up("box", "app")
	saved := c.backup().Snapshot
	c.write("box/store", "later\nend\n")
	c.killedAt("mid-restore", "restore", "latest", "--yes")
	if c.journals() == "" || c.state("app") == "running" {
		t.Fatalf("the restore was not killed where it should: app is %q, journal %q", c.state("app"), c.journals())
	}
	r := c.run("backup", "--json")
	if r.code != 0 || !strings.Contains(r.stderr, "partly old and partly new: run the restore again") {
		t.Errorf("the next command does not say what to do: %s", r)
	}
	c.assertCalm("box", "app")
	if got := c.store("box"); got != "later" {
		t.Errorf("the store holds %q", got)
	}
	c.mustRestore(saved)
	if got := c.store("box"); got != "saved" {
		t.Errorf("the store holds %q", got)
	}
	c.assertCalm("box", "app")
}
