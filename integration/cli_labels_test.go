package integration

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// hostile are label values that want more than a label may, each on a service
// of its own, and a part of what is said of it.
var hostile = []struct{ service, label, value, says string }{
	{"shell", "ripplebak.dump.databases", "x; touch /data/pwned", "ripplebak.dump.databases"},
	{"substitution", "ripplebak.dump.databases", "$(touch /data/pwned)", "ripplebak.dump.databases"},
	{"backticks", "ripplebak.dump.user", "`touch /data/pwned`", "ripplebak.dump.user"},
	{"newline", "ripplebak.dump.user", "postgres\ntouch /data/pwned", "line break"},
	{"option", "ripplebak.dump.databases", "--file=/data/pwned", "dash"},
	{"connection", "ripplebak.dump.databases", "host=evil dbname=x", "connection string"},
	{"url", "ripplebak.dump.databases", "postgres://evil/x", "connection string"},
	{"traversal", "ripplebak.volumes", "../../etc", "not mounted"},
	{"hostpath", "ripplebak.binds", "/etc", "ripplebak.binds"},
	{"large", "ripplebak.group", strings.Repeat("A", 100_000), "4096"},
	{"control", "ripplebak.group", "a\x1b[2Jb", "ripplebak.group"},
	{"unknown", "ripplebak.exlude", "/x", "ripplebak.exclude"},
	{"case", "ripplebak.during", "Stop", `did you mean "stop"`},
	{"wrongcase", "ripplebak.Enable", "true", `did you mean "ripplebak.enable"`},
	{"global", "ripplebak.password", "hunter2-global", "whole sidecar"},
	{"repository", "ripplebak.repository", "s3:http://evil/x", "whole sidecar"},
	{"privileges", "ripplebak.privileged", "true", "beyond the service's own container"},
	{"helper", "ripplebak.helper", "x", "cannot carry it"},
}

// A compose file full of label values that want something else: each is
// refused by its name, all at once, and nothing is executed.
func TestF46_HostileLabelsAreRefusedAtOnce(t *testing.T) {
	t.Parallel()
	var yaml strings.Builder
	yaml.WriteString("services:\n")
	for _, h := range hostile {
		labels := map[string]string{h.label: strings.ReplaceAll(h.value, "$", "$$")}
		if strings.HasPrefix(h.label, "ripplebak.dump.") {
			labels["ripplebak.dump"] = "pg_dump"
		}
		b, err := json.Marshal(labels)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&yaml, "  %s:\n    image: ${FILES_IMAGE}\n    command: [sleep, infinity]\n    init: true\n    volumes: [\"data:/data\"]\n    labels: %s\n", h.service, b)
	}
	yaml.WriteString("volumes:\n  data:\n    labels:\n      ripplebak.during: stop\n")
	p := newProject(t, yaml.String())
	// They need not run, but for the one whose container could be told to act.
	p.mustCompose("create")
	p.up("shell")
	events := p.watch("shell")
	for _, args := range [][]string{{"plan"}, {"backup"}} {
		r := p.run(args...)
		if r.code != 1 {
			t.Errorf("%v: want exit code 1: %s", args, r)
		}
		text := strings.ReplaceAll(r.stdout+r.stderr, `\"`, `"`)
		for _, h := range hostile {
			if !saysOf(text, "service "+h.service+": ", h.label, h.says) {
				t.Errorf("%v does not refuse %s of %s with %q", args, h.label, h.service, h.says)
			}
		}
		if !saysOf(text, "volume data: ", "ripplebak.during", "belongs on a service") {
			t.Errorf("%v does not refuse the volume's label", args)
		}
		if strings.Contains(text, "hunter2") || strings.Contains(text, strings.Repeat("A", 1000)) || strings.Contains(text, "\x1b") {
			t.Errorf("%v repeats what must not be repeated", args)
		}
		if t.Failed() {
			t.Logf("%.20000s", text)
		}
	}
	if got := p.inVolume("data", "ls -A"); got != "" {
		t.Errorf("something was executed: %s", got)
	}
	for _, e := range events() {
		if strings.HasPrefix(e, "exec") || e == "kill" || e == "stop" {
			t.Errorf("the container was touched: %s", e)
		}
	}
	if entries, err := os.ReadDir(filepath.Join(p.dir, "backups")); err != nil || len(entries) != 0 {
		t.Errorf("the repository was touched: %v, %v", entries, err)
	}
}

// saysOf finds a problem that begins with who it is about and has each part.
func saysOf(text, who string, parts ...string) bool {
	for rest := text; ; {
		i := strings.Index(rest, who)
		if i < 0 {
			return false
		}
		rest = rest[i+len(who):]
		problem, _, _ := strings.Cut(rest, "\n")
		problem, _, _ = strings.Cut(problem, `\n`)
		all := true
		for _, p := range parts {
			all = all && strings.Contains(problem, p)
		}
		if all {
			return true
		}
	}
}

// Labels that come from an image, and labels on what is not the project's,
// don't count, and it is said.
func TestF45_LabelsOfOthersDoNotCount(t *testing.T) {
	t.Parallel()
	p := newProject(t, "services:\n  app:\n    image: rbit-baked\n    init: true\n    command: [sleep, infinity]\n    volumes: [\"data:/data\"]\nvolumes:\n  data:\n")
	dir := t.TempDir()
	file := "FROM " + p.env["FILES_IMAGE"] + "\nLABEL ripplebak.enable=true ripplebak.pre=\"touch /data/pwned\" com.docker.compose.project=" + p.name + " com.docker.compose.service=stranger\n"
	if err := os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte(file), 0o644); err != nil {
		t.Fatal(err)
	}
	must(t, "docker", "build", "-q", "-t", "rbit-baked", dir)
	t.Cleanup(func() { command(t, "", nil, "", "docker", "image", "rm", "-f", "rbit-baked") })
	p.up("app")
	// One that only its image puts into the project, and one of another project.
	for name, args := range map[string][]string{
		p.name + "-stranger": {"rbit-baked"},
		p.name + "-other":    {"--label", "com.docker.compose.project=" + p.name + "2", "--label", "ripplebak.pre=touch /data/pwned", p.env["FILES_IMAGE"]},
	} {
		must(t, append(append([]string{"docker", "run", "-d", "--rm", "--init", "--name", name, "-v", p.name + "_data:/data"}, args...), "sleep", "infinity")...)
		t.Cleanup(func() { command(t, "", nil, "", "docker", "rm", "-f", name) })
	}
	r := p.run("plan")
	if r.code != 1 || strings.Contains(r.stdout, "used by no service") {
		t.Errorf("plan: want exit code 1, since there is nothing to save: %s", r)
	}
	for _, want := range []string{"stranger", "label", "image"} {
		if !strings.Contains(r.stdout, want) {
			t.Errorf("the plan does not report %q: %s", want, r)
		}
	}
	if strings.Contains(r.stdout, "touch /data/pwned") || !strings.Contains(r.stdout, "not labelled") {
		t.Errorf("labels of an image count: %s", r)
	}
	if r := p.run("backup"); r.code == 0 {
		t.Errorf("there is nothing to save, and the backup succeeded: %s", r)
	}
	if got := p.inVolume("data", "ls -A"); got != "" {
		t.Errorf("something was executed: %s", got)
	}
	r = p.runEnv([]string{"RIPPLEBAK_TRUST_IMAGE_LABELS=true"}, "plan")
	if r.code != 0 || !strings.Contains(r.stdout, "volume data") || strings.Contains(r.stdout, "service stranger:") {
		t.Errorf("with the image's labels trusted: %s", r)
	}
}
