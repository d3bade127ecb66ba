package integration

import (
	"os"
	"strings"
	"testing"
	"time"
)

// twoApps is a project of a service with a schedule of its own and one without.
const twoApps = `
services:
  often:
    image: ${FILES_IMAGE}
    command: ["sleep", "infinity"]
    init: true
    volumes:
      - fast:/fast
    labels:
      ripplebak.schedule: "* * * * *"
  seldom:
    image: ${FILES_IMAGE}
    command: ["sleep", "infinity"]
    init: true
    volumes:
      - slow:/slow
    labels:
      ripplebak.enable: "true"
volumes:
  fast:
  slow:
`

// A service's own schedule is followed, with its items only, and a restore takes
// each item from where it is good.
func TestServiceWithASchedule(t *testing.T) {
	t.Parallel()
	p := newProject(t, twoApps).withRepository()
	p.env["RIPPLEBAK_SCHEDULE"] = "@yearly"
	p.up("often", "seldom")
	p.inVolume("fast", "echo one > f")
	p.inVolume("slow", "echo one > f")
	whole := p.backup().Snapshot
	p.inVolume("fast", "echo two > f")
	p.inVolume("slow", "echo two > f")
	p.serve()
	patiently(t, 100*time.Second, "a run on the schedule of the service", func() bool { return len(p.logged("snapshot committed")) > 0 })
	p.mustCompose("--profile", "backup", "stop", "backup")
	part := p.snapshots()
	last := part[len(part)-1]
	if last.ID == whole || !last.Complete {
		t.Fatalf("the last snapshot: %+v", last)
	}
	for _, it := range last.Items {
		if want := map[string]string{"volume fast": "good"}[it.Key]; want != it.State && (want != "" || it.State != "skipped") {
			t.Errorf("%s is %s", it.Key, it.State)
		}
	}
	p.mustRun("restore", "latest", "--yes")
	if fast, slow := p.inVolume("fast", "cat f"), p.inVolume("slow", "cat f"); fast != "two\n" || slow != "one\n" {
		t.Errorf("after the restore: %q and %q", fast, slow)
	}
}

// projectBackup is what the tests read of a backup of several projects.
type projectBackup struct {
	Project string        `json:"project"`
	Error   string        `json:"error"`
	Backup  *backupReport `json:"backup"`
}

// One sidecar saves two projects. One of them has a mistake in its labels, and the
// other has its backup all the same; put right, both come back, each to itself.
func TestTwoProjectsOfWhichOneIsBroken(t *testing.T) {
	t.Parallel()
	ours := newFilesProject(t, "live")
	other := newFilesProject(t, "sideways")
	ours.env["RIPPLEBAK_PROJECT"] = other.name + "," + ours.name
	ours.up("app")
	other.up("app")
	ours.inVolume("data", "echo ours > f")
	other.inVolume("data", "echo theirs > f")

	backup := func(code int) []projectBackup {
		t.Helper()
		r := ours.run("backup", "--json")
		if r.code != code {
			t.Fatalf("want exit code %d: %s", code, r)
		}
		var list []projectBackup
		ours.decode(r.stdout, &list)
		if len(list) != 2 || list[0].Project != other.name || list[1].Project != ours.name || list[1].Backup == nil || !list[1].Backup.Complete {
			t.Fatalf("%+v", list)
		}
		return list
	}
	if list := backup(1); list[0].Backup != nil || !strings.Contains(list[0].Error, "ripplebak.during") {
		t.Errorf("%+v", list[0])
	}
	if r := ours.run("restore", "latest", "--yes"); r.code == 0 || !strings.Contains(r.stderr, "--project") || !strings.Contains(r.stderr, other.name) {
		t.Errorf("a restore of nobody knows which: %s", r)
	}

	file, err := os.ReadFile(other.dir + "/compose.yaml")
	if err != nil {
		t.Fatal(err)
	}
	other.write("compose.yaml", strings.ReplaceAll(string(file), "sideways", "stop"))
	other.up("app")
	if list := backup(0); list[0].Backup == nil || !list[0].Backup.Complete || list[0].Backup.Downtime["app"] == 0 {
		t.Errorf("%+v", list[0])
	}
	ours.inVolume("data", "echo changed > f")
	other.inVolume("data", "echo changed > f")
	ours.mustRun("restore", "latest", "--project", other.name, "--yes")
	if got, theirs := ours.inVolume("data", "cat f"), other.inVolume("data", "cat f"); got != "changed\n" || theirs != "theirs\n" {
		t.Errorf("after the restore of the other: %q and %q", got, theirs)
	}
	if other.state("app") != "running" || len(other.helpers())+len(ours.helpers()) > 0 {
		t.Errorf("app is %s, helpers %q %q", other.state("app"), other.helpers(), ours.helpers())
	}
}

// A plan of all projects has those that are labelled, and says which are left out.
// That it is made is all that is shown here: a backup would be one of whatever
// else runs on this machine.
func TestPlanOfAllProjects(t *testing.T) {
	t.Parallel()
	p := newFilesProject(t, "live")
	p.env["RIPPLEBAK_PROJECT"] = "*"
	p.up("app")
	r := p.run("plan")
	if !strings.Contains(r.stdout, "project "+p.name+"\n") || !strings.Contains(r.stdout, "volume data") {
		t.Errorf("%s", r)
	}
}
