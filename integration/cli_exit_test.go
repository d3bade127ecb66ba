package integration

import (
	"os"
	"strings"
	"testing"
	"time"
)

// Each exit code by a real case, as scripts meet it.
func TestExitCodes(t *testing.T) {
	t.Parallel()
	p := newFilesProject(t, "stop")
	wants := func(name string, code int, r result, says string) {
		t.Helper()
		if r.code != code || !strings.Contains(r.stdout+r.stderr, says) {
			t.Errorf("%s: want exit code %d and %q: %s", name, code, says, r)
		}
	}
	wants("snapshots before the first backup", 10, p.run("snapshots"), "no repository")
	wants("check before the first backup", 10, p.run("check"), "no repository")
	wants("restore before the first backup", 10, p.run("restore", "latest", "--yes"), "no repository")
	wants("plan", 0, p.run("plan"), "volume data")
	wants("plan of an unknown service", 1, p.run("plan", "nobody"), "nobody")
	wants("an unknown flag", 1, p.run("backup", "--force"), "--help")
	wants("backup", 0, p.run("backup"), "snapshot ")
	wants("snapshots", 0, p.run("snapshots"), "complete")
	wants("wrong password", 12, p.runEnv([]string{"RIPPLEBAK_PASSWORD=not the password"}, "snapshots"), "wrong password")
	wants("backup with the wrong password", 12, p.runEnv([]string{"RIPPLEBAK_PASSWORD=not the password"}, "backup"), "wrong password")
	wants("an unknown snapshot", 1, p.run("ls", "ffffffff"), "ffffffff")
	wants("a restore that nobody confirms", 1, p.run("restore", "latest"), "--yes")
	p.incompleteAndInterrupted(t, wants)
	wants("the repository is gone", 10, p.withoutRepository(t), "gone")
	wants("and stays gone for what reads", 10, p.run("snapshots"), "no repository")
}

// incompleteAndInterrupted has a second service whose pre command fails, or
// waits for ever.
func (p *project) incompleteAndInterrupted(t *testing.T, wants func(string, int, result, string)) {
	second := func(pre string) {
		p.write("compose.override.yaml", "services:\n  second:\n    image: ${FILES_IMAGE}\n    command: [sleep, infinity]\n    init: true\n"+
			"    volumes: [\"more:/more\"]\n    labels:\n      ripplebak.pre: \""+pre+"\"\nvolumes:\n  more:\n")
		p.up("second")
	}
	second("echo no >&2; exit 4")
	wants("one item fails", 3, p.run("backup"), "ripplebak.pre failed")
	wants("restore takes what is good, and says that it was not all", 1, p.run("restore", "latest", "--yes"), "volume data  restored")

	second("touch /more/waits; sleep 600")
	began := make(chan result, 1)
	go func() { began <- p.run("backup") }()
	patiently(t, 30*time.Second, "the command waits", func() bool { return p.inVolume("more", "ls") == "waits\n" })
	wants("a second run", 11, p.run("backup"), "another run is under way: backup in container")
	wants("a restore beside it", 11, p.run("restore", "latest", "--yes"), "another run")
	runs := strings.Fields(must(t, "docker", "ps", "-q", "--filter", "label=com.docker.compose.project="+p.name, "--filter", "label=com.docker.compose.oneoff=True"))
	if len(runs) != 1 {
		t.Fatalf("%d one-off containers, want the one that waits", len(runs))
	}
	must(t, "docker", "kill", "--signal", "TERM", runs[0])
	wants("interrupted", 130, <-began, "interrupted")
	if got, h := p.state("app"), p.helpers(); got != "running" || len(h) != 0 {
		t.Errorf("after the interruption the service is %q, helpers %v", got, h)
	}
	// What was left waiting inside the container ended with the run.
	if got := must(t, "docker", "top", p.container("second"), "-eo", "pid,args"); strings.Contains(got, "sleep 600") {
		t.Errorf("the command still runs:\n%s", got)
	}
	second("true")
	wants("the next run", 0, p.run("backup"), "snapshot ")
}

// withoutRepository backs up after somebody has taken the repository away: no
// new one may take its place.
func (p *project) withoutRepository(t *testing.T) result {
	t.Helper()
	if err := os.Rename(p.dir+"/backups", p.dir+"/elsewhere"); err != nil {
		t.Fatal(err)
	}
	r := p.run("backup")
	if entries, err := os.ReadDir(p.dir + "/backups"); err != nil || len(entries) != 0 {
		t.Errorf("something was made in the repository's place: %v, %v", entries, err)
	}
	return r
}
