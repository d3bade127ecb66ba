package integration

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// places is a project with volumes in every relation to services.
const places = `
services:
  off:
    image: ${FILES_IMAGE}
    command: ["sleep", "infinity"]
    init: true
    volumes: ["rest:/data"]
    labels: {ripplebak.enable: "true"}
  first:
    image: ${FILES_IMAGE}
    command: ["sleep", "infinity"]
    init: true
    volumes: ["shared:/data", "odd:/odd", "outside:/outside"]
    labels: {ripplebak.enable: "true"}
  second:
    image: ${FILES_IMAGE}
    command: ["sleep", "infinity"]
    init: true
    volumes: ["shared:/elsewhere", "readonly:/data:ro"]
    labels: {ripplebak.enable: "true"}
volumes:
  rest:
  shared:
  readonly:
  odd:
    name: ${ODD_NAME}
  outside:
    name: ${OUTSIDE_NAME}
    external: true
`

func TestF17_VolumesInEveryPlace(t *testing.T) {
	t.Parallel()
	p := newProject(t, places).withRepository()
	p.env["ODD_NAME"], p.env["OUTSIDE_NAME"] = p.name+".named.oddly", p.name+"-outside"
	must(t, "docker", "volume", "create", p.env["OUTSIDE_NAME"])
	t.Cleanup(func() {
		p.compose("down", "-v", "-t", "2")
		command(t, "", nil, "", "docker", "volume", "rm", "-f", p.env["OUTSIDE_NAME"])
	})
	must(t, "docker", "volume", "create", "--label", "com.docker.compose.project="+p.name, "--label", "com.docker.compose.volume=alone", "--label", "ripplebak.enable=true", p.name+"_alone")
	p.up("off", "first", "second")
	p.mustCompose("stop", "off")
	// By Compose's key; a volume from outside has none but its name.
	docker := map[string]string{
		"rest": p.name + "_rest", "shared": p.name + "_shared", "readonly": p.name + "_readonly",
		"odd": p.env["ODD_NAME"], "alone": p.name + "_alone", p.env["OUTSIDE_NAME"]: p.env["OUTSIDE_NAME"],
	}
	at := func(t testing.TB, name string) string {
		return filepath.Join(strings.TrimSpace(must(t, "docker", "volume", "inspect", "-f", "{{.Mountpoint}}", docker[name])), "file")
	}
	for name := range docker {
		writeFile(t, at(t, name), "in "+name)
	}
	report := p.backup()
	var names []string
	for _, i := range report.Items {
		if i.Kind == "volume" {
			names = append(names, i.Name)
		}
	}
	slices.Sort(names)
	if report.data() != len(names) {
		t.Errorf("the items are %+v", report.Items)
	}
	want := []string{"alone", "odd", p.env["OUTSIDE_NAME"], "readonly", "rest", "shared"}
	slices.Sort(want)
	if !slices.Equal(names, want) {
		t.Fatalf("items are %q, want %q", names, want)
	}
	for name := range docker {
		if got := p.mustRestic("dump", "-q", report.Snapshot, "/"+p.name+"/volumes/"+name+"/file"); got != "in "+name {
			t.Errorf("volume %s holds %q", name, got)
		}
		writeFile(t, at(t, name), "changed")
	}
	p.mustRun("restore", "latest", "--yes")
	for name := range docker {
		if got := readFile(t, at(t, name)); got != "in "+name {
			t.Errorf("after the restore %s holds %q", name, got)
		}
	}
	for service, state := range map[string]string{"off": "exited", "first": "running", "second": "running"} {
		if got := p.state(service); got != state {
			t.Errorf("service %s is %q, want %q", service, got, state)
		}
	}
	t.Run("missing ones", func(t *testing.T) { assertNeverCreatedByLooking(t, p.inTest(t), report.Snapshot, docker, at) })
}

// assertNeverCreatedByLooking takes two volumes away, looks in every way, and
// brings them back.
func assertNeverCreatedByLooking(t *testing.T, p *project, snapshot string, docker map[string]string, at func(testing.TB, string) string) {
	t.Helper()
	p.mustCompose("rm", "-s", "-f", "off")
	must(t, "docker", "volume", "rm", docker["rest"], docker["alone"])
	missing := func(after string) {
		t.Helper()
		list := strings.Fields(must(t, "docker", "volume", "ls", "-q"))
		for _, name := range []string{"rest", "alone"} {
			if slices.Contains(list, docker[name]) {
				t.Fatalf("%s created volume %s", after, name)
			}
		}
	}
	for _, args := range [][]string{
		{"plan"}, {"snapshots"}, {"ls", "latest"}, {"check"}, {"restore", snapshot, "--dry-run"}, {"backup", "--dry-run"}, {"backup"},
	} {
		if r := p.run(args...); r.code != 0 {
			t.Errorf("%v: %s", args, r)
		}
		missing(args[0])
	}
	// The newest snapshot knows them no more.
	p.mustRun("restore", snapshot, "--yes")
	for _, name := range []string{"rest", "alone"} {
		if got := readFile(t, at(t, name)); got != "in "+name {
			t.Errorf("volume %s came back with %q", name, got)
		}
		var labels map[string]string
		out := must(t, "docker", "volume", "inspect", "-f", "{{json .Labels}}", docker[name])
		if err := json.Unmarshal([]byte(out), &labels); err != nil {
			t.Fatal(err)
		}
		if labels["com.docker.compose.project"] != p.name || labels["com.docker.compose.volume"] != name {
			t.Errorf("volume %s has the labels %v", name, labels)
		}
	}
	r := p.compose("up", "-d", "off")
	if r.code != 0 || strings.Contains(r.stderr, "not created by") {
		t.Errorf("Compose does not adopt the volume: %s", r)
	}
	if got := p.mustCompose("exec", "-T", "off", "cat", "/data/file"); got != "in rest" {
		t.Errorf("the service sees %q", got)
	}
}

func TestF21_RestoreIntoAVolumeInUse(t *testing.T) {
	t.Parallel()
	p := newProject(t, restfulApp).withRepository()
	p.up("app", "writer")
	root := p.mountpoint("data")
	writeFile(t, filepath.Join(root, "a"), "saved")
	writeFile(t, filepath.Join(root, "b"), "saved")
	p.backup()
	change := func() {
		writeFile(t, filepath.Join(root, "a"), "later")
		writeFile(t, filepath.Join(root, "b"), "later")
	}
	holds := func(t *testing.T, want string) {
		t.Helper()
		for _, f := range []string{"a", "b"} {
			if got := readFile(t, filepath.Join(root, f)); got != want {
				t.Errorf("%s holds %q, want %q", f, got, want)
			}
		}
	}
	change()
	t.Run("by a stranger", func(t *testing.T) {
		p := p.inTest(t)
		stranger := p.name + "-stranger"
		must(t, "docker", "run", "-d", "--rm", "--init", "--network", "none", "--name", stranger, "-v", p.name+"_data:/x:ro", p.env["FILES_IMAGE"], "sleep", "infinity")
		defer must(t, "docker", "rm", "-f", stranger)
		seen := p.watchEvents()
		r := p.run("restore", "latest", "--yes")
		if r.code != 1 || !strings.Contains(r.stderr, stranger) || !strings.Contains(r.stderr, "volume data") {
			t.Errorf("restore: %s", r)
		}
		if got := order(seen.events(), "die", "start"); len(got) != 0 {
			t.Errorf("something was stopped: %v", got)
		}
		holds(t, "later")
	})
	stopped := []string{"die writer", "die app", "start app", "start writer"}
	t.Run("by a failing restore", func(t *testing.T) {
		p := p.inTest(t)
		// Nobody without a further right can rename an immutable file.
		must(t, "chattr", "+i", filepath.Join(root, "b"))
		defer must(t, "chattr", "-i", filepath.Join(root, "b"))
		seen := p.watchEvents()
		r := p.run("restore", "latest", "--yes")
		if r.code != 1 || !strings.Contains(r.stdout+r.stderr, "not permitted") {
			t.Errorf("restore: %s", r)
		}
		if got := order(seen.events(), "die", "start"); !slices.Equal(got, stopped) {
			t.Errorf("events: %v", got)
		}
		holds(t, "later")
		p.assertSettled("app", "writer")
	})
	t.Run("by its services", func(t *testing.T) {
		p := p.inTest(t)
		seen := p.watchEvents()
		p.mustRun("restore", "latest", "--yes")
		if got := order(seen.events(), "die", "start"); !slices.Equal(got, stopped) {
			t.Errorf("events: %v", got)
		}
		holds(t, "saved")
		p.assertSettled("app", "writer")
	})
	t.Run("by a paused service", func(t *testing.T) {
		p := p.inTest(t)
		change()
		p.mustCompose("pause", "app")
		r := p.run("restore", "latest", "--yes")
		if r.code != 1 || !strings.Contains(r.stderr, "unpause app") {
			t.Errorf("restore: %s", r)
		}
		holds(t, "later")
		if got := p.state("app"); got != "paused" {
			t.Errorf("the app is %q", got)
		}
		p.mustCompose("unpause", "app")
	})
}
