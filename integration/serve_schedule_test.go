package integration

import (
	"os"
	"strings"
	"testing"
	"time"
)

// heldUp makes each run wait until there is a file in the volume, and Docker
// look after the sidecar's health every second.
const heldUp = `
services:
  app:
    labels:
      ripplebak.pre: "while [ ! -e /data/go ]; do sleep 0.1; done"
  backup:
    healthcheck:
      interval: 1s
      start_period: 0s
      retries: 1
`

// The sidecar that a user leaves running: it says what it will do, runs on its
// schedule, one run at a time, says whether it is well, makes up a run that
// was missed, and ends when it is told.
func TestServe(t *testing.T) {
	t.Parallel()
	p := newFilesProject(t, "live")
	p.write("compose.override.yaml", heldUp)
	p.up("app")
	p.env["RIPPLEBAK_SCHEDULE"] = "* * * * *"
	p.serve()
	p.serveRunsOnSchedule(t)
	p.serveIsWellOrNot(t)
	p.serveMakesUp(t)
	p.serveEnds(t)
}

func (p *project) serveRunsOnSchedule(t *testing.T) {
	patiently(t, 70*time.Second, "the first run on schedule", func() bool { return len(p.logged("run started")) > 0 })
	p.serveTellsOthers(t)
	p.inVolume("data", "touch go")
	patiently(t, 20*time.Second, "the run goes on", func() bool { return len(p.logged("snapshot committed")) > 0 })
	next := p.logged("next run")
	if len(next) == 0 || !next[0].Next.After(next[0].Time) || next[0].Next.Sub(next[0].Time) > time.Minute || next[0].Next.Second() != 0 {
		t.Errorf("the log says of the next run: %+v", next)
	}
	patiently(t, 10*time.Second, "the next run is announced", func() bool { return len(p.logged("next run")) > 1 })
	if started := p.logged("run started"); started[0].Time.Second() > 5 {
		t.Errorf("runs started: %+v, want one at the full minute", started)
	}
	if r := p.health(); r.code != 0 || r.stdout+r.stderr != "" {
		t.Errorf("health after a good run: %s", r)
	}
	p.oneAtATime(t)
}

// TestF42: by hand beside the schedule, one at a time; the other is told who
// holds the lock, since when.
func (p *project) serveTellsOthers(t *testing.T) {
	r := p.run("backup")
	if r.code != 11 || !strings.Contains(r.stderr, "serve in container "+p.container("backup")[:12]) || !strings.Contains(r.stderr, "since 20") {
		t.Errorf("a backup by hand beside a run: want exit code 11, and who and since when: %s", r)
	}
	if r := p.run("restore", "latest", "--yes"); r.code != 11 {
		t.Errorf("a restore beside a run: want exit code 11: %s", r)
	}
	// What only reads goes on.
	for _, args := range [][]string{{"plan"}, {"snapshots"}} {
		if r := p.run(args...); r.code != 0 {
			t.Errorf("%v beside a run: %s", args, r)
		}
	}
}

// oneAtATime reads from the log that no run began before the last had ended.
func (p *project) oneAtATime(t *testing.T) {
	open := false
	for _, l := range p.serveLog() {
		switch {
		case l.Message == "run started" && open:
			t.Errorf("a run began at %s before the last had ended", l.Time)
		case l.Message == "run started":
			open = true
		case l.Message == "next run" || strings.HasPrefix(l.Message, "run failed"):
			open = false
		}
	}
}

func (p *project) serveIsWellOrNot(t *testing.T) {
	// No run may come in between: its record would take the place of ours.
	p.env["RIPPLEBAK_SCHEDULE"] = "@every 1h"
	p.serve()
	patiently(t, 20*time.Second, "it serves again", func() bool { return len(p.logged("next run")) > 0 })
	p.history(func(h map[string]any) {
		h["last_good"], h["last_attempt"], h["last_error"] = ago(3*time.Hour), ago(time.Minute), "the disk is full"
	})
	if r := p.health(); r.code != 1 || !strings.Contains(r.stderr, "3h0m0s ago") || !strings.Contains(r.stderr, "the disk is full") {
		t.Errorf("health with a good backup of three hours ago: %s", r)
	}
	// The image's own check, as the Engine would run it.
	if got := p.inspect("backup", "{{json .Config.Healthcheck.Test}}"); got != `["CMD","/ripplebak","health"]` {
		t.Errorf("the image's health check is %s", got)
	}
	patiently(t, 20*time.Second, "the Engine reports it", func() bool {
		return strings.Contains(p.inspect("backup", "{{json .State.Health}}"), "the disk is full")
	})
	p.backup()
	if r := p.health(); r.code != 0 {
		t.Errorf("health after a good run by hand: %s", r)
	}
	patiently(t, 20*time.Second, "the Engine reports it as healthy", func() bool {
		return p.inspect("backup", "{{.State.Health.Status}}") == "healthy"
	})
}

func (p *project) serveMakesUp(t *testing.T) {
	p.mustCompose("--profile", "backup", "stop", "backup")
	p.history(func(h map[string]any) { h["last_attempt"], h["last_good"] = ago(90*time.Minute), ago(90*time.Minute) })
	have := len(p.snapshots())
	p.env["RIPPLEBAK_SCHEDULE"] = "@hourly"
	p.serve()
	patiently(t, 30*time.Second, "the missed run is made up", func() bool { return len(p.logged("snapshot committed")) > 0 })
	if got := p.logged("missed"); len(got) != 1 {
		t.Errorf("the log does not say that a run was missed: %+v", p.serveLog())
	}
	if got := len(p.snapshots()); got != have+1 {
		t.Errorf("%d snapshots more, want one", got-have)
	}
	// One that was not missed is not made up.
	p.mustCompose("--profile", "backup", "restart", "backup")
	patiently(t, 20*time.Second, "it serves again", func() bool { return len(p.logged("serving")) == 2 })
	patiently(t, 20*time.Second, "it says what comes", func() bool { return len(p.logged("next run")) >= 3 })
	if got := len(p.logged("missed")); got != 1 {
		t.Errorf("%d runs were made up, want one", got)
	}
}

// SIGTERM while nothing is under way ends it at once, and Docker takes that
// for an end that was asked for.
func (p *project) serveEnds(t *testing.T) {
	began := time.Now()
	p.mustCompose("--profile", "backup", "stop", "backup")
	if d := time.Since(began); d > 8*time.Second {
		t.Errorf("it took %s to end", d)
	}
	if code := p.inspect("backup", "{{.State.ExitCode}}"); code != "130" {
		t.Errorf("exit code %s, want 130", code)
	}
}

// A schedule or a zone that cannot work is refused at start, with its place.
func TestF41_ServeRefusesBadSchedules(t *testing.T) {
	t.Parallel()
	state := t.TempDir()
	for _, c := range []struct{ schedule, zone, says string }{
		{"61 * * * *", "", "61"},
		{"0 2 30 2 *", "", "never fires"},
		{"0 0 2 * * *", "", "six fields"},
		{"@every 0s", "", "too short"},
		{"@fortnightly", "", "fortnightly"},
		{"TZ=Europe/Berlin", "", "variable TZ"},
		{"CRON_TZ= 0 2 * * *", "", "variable TZ"},
		{"0 2 * * *", "Mars/Olympus", "TZ: no time zone"},
	} {
		env := []string{"RIPPLEBAK_SCHEDULE=" + c.schedule, "TZ=" + c.zone, "RIPPLEBAK_STATE_DIR=" + state, "RIPPLEBAK_PASSWORD=" + password, "RIPPLEBAK_REPOSITORY=" + t.TempDir()}
		where := "RIPPLEBAK_SCHEDULE"
		if c.zone != "" {
			where = "TZ"
		}
		r := command(t, "", env, "", os.Getenv("INTEGRATION_BINARY"), "serve")
		if r.code != 1 || !strings.Contains(r.stderr, where) || !strings.Contains(r.stderr, c.says) || strings.Contains(r.stderr, "panic") {
			t.Errorf("%q in zone %q: want exit code 1 and %q: %s", c.schedule, c.zone, c.says, r)
		}
	}
	// And through the image, as Docker shows it.
	p := newProject(t, "services: {}\n")
	p.write("compose.override.yaml", "services:\n  backup:\n    restart: \"no\"\n")
	p.env["RIPPLEBAK_SCHEDULE"] = "0 2 30 2 *"
	p.serve()
	patiently(t, 10*time.Second, "the sidecar ends", func() bool { return p.inspect("backup", "{{.State.Status}}") == "exited" })
	if code, log := p.inspect("backup", "{{.State.ExitCode}}"), p.compose("--profile", "backup", "logs").stdout; code != "1" || !strings.Contains(log, "never fires") {
		t.Errorf("exit code %s, log:\n%s", code, log)
	}
}
