package integration

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// restingApp is a project whose app is stopped or paused for its volume, with
// services around it that have to be treated each in its own way.
const restingApp = `
services:
  app:
    image: ${FILES_IMAGE}
    command: ["/keeper", "/data", "%d"]
    stop_grace_period: 1m
    volumes:
      - data:/data
      - ./keeper:/keeper:ro
    labels:
      ripplebak.during: "%s"
  writer:
    image: ${FILES_IMAGE}
    command: ["sleep", "infinity"]
    init: true
    depends_on: [app]
    volumes:
      - data:/data
  reader:
    image: ${FILES_IMAGE}
    command: ["sleep", "infinity"]
    init: true
    volumes:
      - data:/data:ro
  down:
    image: ${FILES_IMAGE}
    command: ["sleep", "infinity"]
    init: true
    volumes:
      - data:/data
volumes:
  data:
`

// newResting makes the project; megabytes is what its app writes at its end.
func newResting(t testing.TB, during string, megabytes int) *project {
	t.Helper()
	p := newProject(t, fmt.Sprintf(restingApp, megabytes, during))
	build := exec.Command("go", "build", "-o", filepath.Join(p.dir, "keeper"), "./testdata/keeper")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build keeper: %v\n%s", err, out)
	}
	return p
}

func (p *project) upResting() {
	p.t.Helper()
	p.up("app", "writer", "reader", "down")
	p.mustCompose("stop", "-t", "2", "down")
	eventually(p.t, "the app stores", func() bool { return readFile(p.t, filepath.Join(p.mountpoint("data"), "mapped")) != "" })
}

// background is a command that runs beside the test.
type background struct {
	p    *project
	cmd  *exec.Cmd
	out  bytes.Buffer
	err  bytes.Buffer
	argv []string
}

// start starts docker compose and does not wait for it.
func (p *project) start(args ...string) *background {
	p.t.Helper()
	b := &background{p: p, argv: append([]string{"docker", "compose", "--progress", "quiet"}, args...)}
	b.cmd = exec.Command(b.argv[0], b.argv[1:]...)
	b.cmd.Dir, b.cmd.Env = p.dir, append(os.Environ(), p.environ()...)
	b.cmd.Stdout, b.cmd.Stderr = &b.out, &b.err
	if err := b.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	return b
}

// wait waits for its end.
func (b *background) wait() result {
	b.p.t.Helper()
	timer := time.AfterFunc(commandTime, func() { _ = b.cmd.Process.Kill() })
	defer timer.Stop()
	err := b.cmd.Wait()
	r := result{stdout: b.out.String(), stderr: b.err.String(), code: b.cmd.ProcessState.ExitCode()}
	if err != nil && r.code < 0 {
		b.p.t.Fatalf("%s: %v\n%s", strings.Join(b.argv, " "), err, r)
	}
	return r
}

// nextEvent returns a channel that is closed at the next such event.
func (p *project) nextEvent(service, action string) <-chan struct{} {
	p.t.Helper()
	cmd := exec.Command("docker", "events", "--filter", "type=container", "--filter", "event="+action,
		"--filter", "label=com.docker.compose.project="+p.name, "--filter", "label=com.docker.compose.service="+service,
		"--filter", "label=com.docker.compose.oneoff=False", "--since", stamp(time.Now()))
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		p.t.Fatal(err)
	}
	seen, over := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(over)
		lines := bufio.NewScanner(out)
		if lines.Scan() {
			close(seen)
		}
		for lines.Scan() { // until it is killed
		}
	}()
	p.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-over
		_ = cmd.Wait()
	})
	return seen
}

func await(t testing.TB, what string, seen <-chan struct{}) {
	t.Helper()
	select {
	case <-seen:
	case <-time.After(time.Minute):
		t.Fatalf("not within a minute: %s", what)
	}
}

// freeze stops every write to a filesystem until the returned function is
// called, at the latest by the end of the test.
func freeze(t testing.TB, dir string) (thaw func()) {
	t.Helper()
	const fiFreeze, fiThaw = 0xc0045877, 0xc0045878
	f, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetInt(int(f.Fd()), fiFreeze, 0); err != nil {
		t.Fatalf("freeze: %v", err)
	}
	frozen := true
	thaw = func() {
		if !frozen {
			return
		}
		frozen = false
		if err := unix.IoctlSetInt(int(f.Fd()), fiThaw, 0); err != nil {
			t.Errorf("thaw: %v", err)
		}
		f.Close()
	}
	t.Cleanup(thaw)
	return thaw
}

// TestServiceIsBackBeforeTheUpload freezes the repository for as long as the
// service is down: it has to come back all the same.
func TestServiceIsBackBeforeTheUpload(t *testing.T) {
	p := newResting(t, "stop", 96)
	repository := newLoop(t, 512<<20).mounted(t)
	p.env["RIPPLEBAK_DIR"] = repository
	p.upResting()
	p.mustRun("init")
	seen := p.watchEvents()
	stopping, starting := p.nextEvent("app", "kill"), p.nextEvent("writer", "start")
	run := p.start("run", "--rm", "-T", "backup", "backup", "--json")
	await(t, "the app is told to stop", stopping)
	thaw := freeze(t, repository)
	await(t, "all are started again while the storage takes nothing", starting)
	if got := p.state("app"); got != "running" {
		t.Errorf("the app is %q", got)
	}
	thaw()
	r := run.wait()
	if r.code != 0 {
		t.Fatalf("backup: %s", r)
	}
	var report backupReport
	p.decode(r.stdout, &report)
	got := order(seen.events(), "die", "start", "pause")
	if want := []string{"die writer", "die app", "start app", "start writer"}; !slices.Equal(got, want) {
		t.Errorf("events are %v, want %v", got, want)
	}
	for _, s := range []string{"app", "writer"} {
		if d := report.Downtime[s]; d <= 0 || d > report.Seconds {
			t.Errorf("%s is said to have been down for %v of %v seconds", s, d, report.Seconds)
		}
	}
	if len(report.Downtime) != 2 {
		t.Errorf("downtime: %v", report.Downtime)
	}
	if got := p.state("down"); got != "exited" {
		t.Errorf("the service that was down is %q", got)
	}
	p.env["RIPPLEBAK_DIR"] = repository
	r = command(t, p.dir, []string{"RESTIC_PASSWORD=" + password, "RESTIC_REPOSITORY=" + repository}, "", "restic", "--no-cache", "check", "--read-data")
	if r.code != 0 {
		t.Errorf("restic check: %s", r)
	}
	p.mustCompose("stop")
	root := p.mountpoint("data")
	empty(t, root)
	p.mustRun("restore", report.Snapshot, "--yes")
	mapped := readFile(t, filepath.Join(root, "mapped"))
	if got := strconv.FormatUint(binary.LittleEndian.Uint64([]byte(mapped)), 10); got != readFile(t, filepath.Join(root, "value")) {
		t.Errorf("what was stored last between the walks is lost: %s", got)
	}
	p.assertSettled()
}

// TestPausedServiceIsSaved: frozen, not stopped, and the others with it.
func TestPausedServiceIsSaved(t *testing.T) {
	p := newResting(t, "pause", 0)
	p.upResting()
	seen := p.watchEvents()
	report := p.backup()
	got := order(seen.events(), "die", "start", "pause", "unpause")
	if want := []string{"pause writer", "pause app", "unpause app", "unpause writer"}; !slices.Equal(got, want) {
		t.Errorf("events are %v, want %v", got, want)
	}
	if report.Downtime["app"] <= 0 || report.Downtime["app"] > 5 {
		t.Errorf("the app is said to have been down for %v seconds", report.Downtime["app"])
	}
	mapped := p.mustRestic("dump", "-q", report.Snapshot, "/"+p.name+"/volumes/data/mapped")
	a, b := binary.LittleEndian.Uint64([]byte(mapped)), binary.LittleEndian.Uint64([]byte(mapped[len(mapped)/2:]))
	if a == 0 || a-b > 1 {
		t.Errorf("two stores that follow each other are %d and %d: not one point in time", a, b)
	}
	p.assertSettled("app", "writer", "reader")
}

// groupedApps are two services with a volume each that are one point in time.
const groupedApps = `
services:
  one:
    image: ${FILES_IMAGE}
    command: ["sleep", "infinity"]
    init: true
    volumes: ["data:/data"]
    labels: {ripplebak.during: "stop", ripplebak.group: "g"}
  two:
    image: ${FILES_IMAGE}
    command: ["sleep", "infinity"]
    init: true
    depends_on: [one]
    volumes: ["more:/data"]
    labels: {ripplebak.enable: "true", ripplebak.group: "g"}
  apart:
    image: ${FILES_IMAGE}
    command: ["sleep", "infinity"]
    init: true
    volumes: ["third:/data"]
    labels: {ripplebak.during: "stop"}
volumes: {data: , more: , third: }
`

func TestGroupIsOnePointInTime(t *testing.T) {
	p := newProject(t, groupedApps)
	p.up("one", "two", "apart")
	seen := p.watchEvents()
	p.backup()
	got := order(seen.events(), "die", "start")
	group := slices.DeleteFunc(slices.Clone(got), func(s string) bool { return strings.HasSuffix(s, "apart") })
	if want := []string{"die two", "die one", "start one", "start two"}; !slices.Equal(group, want) {
		t.Errorf("events of the group are %v, want %v", group, want)
	}
	if len(got) != 6 {
		t.Errorf("events are %v", got)
	}
	p.assertSettled("one", "two", "apart")
}
