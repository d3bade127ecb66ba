package integration

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"
)

// dumpedGroup is a database and two services with a volume each, of which one
// depends on the other, that are one point in time.
const dumpedGroup = `
services:
  db:
    extends: {file: postgres.yaml, service: postgres}
    labels: {ripplebak.group: "g"}
  one:
    image: ${FILES_IMAGE}
    command: ["sleep", "infinity"]
    init: true
    depends_on: [db]
    volumes: ["data:/data"]
    labels:
      ripplebak.during: "stop"
      ripplebak.group: "g"
      ripplebak.post: "echo post of one $$RIPPLEBAK_OUTCOME >> /tmp/said"
  two:
    image: ${FILES_IMAGE}
    command: ["sleep", "infinity"]
    init: true
    depends_on: [one]
    volumes: ["more:/data"]
    labels: {ripplebak.enable: "true", ripplebak.group: "g"}
volumes: {db: , data: , more: }
`

// groupEvents are what the Engine did to the project's services, in its order:
// stops, starts, and the dump of the database.
func (p *project) groupEvents(since time.Time) []string {
	p.t.Helper()
	out := must(p.t, "docker", "events", "--since", stamp(since), "--until", stamp(time.Now()),
		"--filter", "type=container", "--filter", "label=com.docker.compose.project="+p.name, "--format", "{{json .}}")
	var list []string
	for line := range strings.Lines(out) {
		var e struct {
			Action string
			Actor  struct{ Attributes map[string]string }
		}
		p.decode(line, &e)
		service := e.Actor.Attributes["com.docker.compose.service"]
		switch action, command, _ := strings.Cut(e.Action, ":"); {
		case e.Actor.Attributes["com.docker.compose.oneoff"] != "False":
		case action == "die" || action == "start":
			list = append(list, action+" "+service)
		case action == "exec_start" && strings.Contains(command, "pg_dump") && strings.Contains(command, "--format"):
			list = append(list, "dump "+service)
		}
	}
	return list
}

// TestGroupIsDumpedAndReadInOneWindow: both services are down while the database
// is dumped and both volumes are read side by side; the commands of the run and
// of a label are told what became of it.
func TestGroupIsDumpedAndReadInOneWindow(t *testing.T) {
	p := newProject(t, dumpedGroup).withRepository()
	p.up("db", "one", "two")
	for _, v := range []string{"data", "more"} {
		p.inVolume(v, "seq 10000 | xargs touch")
	}
	since := time.Now()
	r := p.runEnv([]string{
		"RIPPLEBAK_LOG_LEVEL=debug", "RIPPLEBAK_LOG_FORMAT=json",
		"RIPPLEBAK_PRE=two: echo before >> /tmp/said", "RIPPLEBAK_POST=two: echo after $RIPPLEBAK_OUTCOME $RIPPLEBAK_SNAPSHOT >> /tmp/said",
	}, "backup", "--json")
	if r.code != 0 {
		t.Fatalf("backup: %s", r)
	}
	var report backupReport
	p.decode(r.stdout, &report)
	got := slices.Compact(p.groupEvents(since)) // the dump is of more than one database
	if want := []string{"die two", "die one", "dump db", "start one", "start two"}; !slices.Equal(got, want) {
		t.Errorf("events are %v, want %v", got, want)
	}
	var walks []string
	for line := range strings.Lines(r.stderr) {
		var e struct{ Message string }
		if json.Unmarshal([]byte(line), &e) == nil && strings.HasPrefix(e.Message, "second walk ") {
			walks = append(walks, strings.TrimPrefix(e.Message, "second walk "))
		}
	}
	if want := []string{"began", "began", "ended", "ended"}; !slices.Equal(walks, want) {
		t.Errorf("second walks %v, want %v", walks, want)
	}
	one, two := report.Downtime["one"], report.Downtime["two"]
	if len(report.Downtime) != 2 || one <= 0 || two <= one || two > report.Seconds {
		t.Errorf("downtime %v of %v seconds: the dependent goes down first and comes back last", report.Downtime, report.Seconds)
	}
	t.Logf("downtime %v", report.Downtime)
	var manifest struct {
		Items []struct {
			Kind     string  `json:"kind"`
			Downtime float64 `json:"downtime_seconds"`
		} `json:"items"`
	}
	p.decode(p.mustRestic("dump", "-q", report.Snapshot, "/"+p.name+"/ripplebak.json"), &manifest)
	for _, it := range manifest.Items {
		if it.Kind != "config" && it.Downtime != two { // which nobody is stopped for
			t.Errorf("the manifest has a downtime of %v for a %s, want %v", it.Downtime, it.Kind, two)
		}
	}
	if len(manifest.Items) < 5 {
		t.Errorf("the manifest has %d items", len(manifest.Items))
	}
	if said := p.mustCompose("exec", "-T", "two", "cat", "/tmp/said"); said != "before\nafter success "+report.Snapshot+"\n" {
		t.Errorf("the commands of the run said %q", said)
	}
	if said := p.mustCompose("exec", "-T", "one", "cat", "/tmp/said"); said != "post of one success\n" {
		t.Errorf("the command of the label said %q", said)
	}
	p.assertSettled("db", "one", "two")
}
