package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// boundedApp is a service that, once /data/arm is there, changes 100 MiB in
// files of up to 64 MiB when it is told to stop: after the first walk.
const boundedApp = `
services:
  app:
    image: ${FILES_IMAGE}
    command:
      - bash
      - -c
      - |
        trap 'if [ -e /data/arm ]; then head -c 64M /dev/urandom > /data/changed/large; for i in $$(seq 36); do head -c 1M /dev/urandom > /data/changed/$$i; done; fi; exit 0' TERM
        while :; do sleep 0.1; done
    stop_grace_period: 1m
    volumes: ["data:/data"]
    labels: {ripplebak.during: "stop"}
volumes: {data: }
`

// Bounds on the downtime: what the service may be down besides its own stop and
// start, and what the storage takes at the least for what has changed.
const (
	boundedDowntime = 3 * time.Second
	uploadLimit     = 5_000_000 // bytes a second
	leastUpload     = 18 * time.Second
)

// TestDowntimeIsBounded: with storage that takes 5 MB/s and 100 MiB that change
// between the first walk and the stop, the service is back within 3 seconds plus
// its own stop and start, and the upload goes on for 20.
//
// INTEGRATION_BOUND=walks also measures what one walk would cost, by hand: stop,
// back up, start. INTEGRATION_BOUND=full does so with 100,000 files and one of
// 10 GiB, which takes minutes and 25 GiB of disk.
func TestDowntimeIsBounded(t *testing.T) {
	mode := os.Getenv("INTEGRATION_BOUND")
	files, megabytes := 5_000, 256
	if mode == "full" {
		files, megabytes = 100_000, 10<<10
	}
	p := newProject(t, boundedApp)
	g := gateway(t)
	p.useS3(g, g.Host, "bound")
	p.up("app")
	p.inVolume("data", fmt.Sprintf("mkdir changed; for d in $(seq 50); do mkdir $d; (cd $d; seq %d | split -l 1 -a 5 -d - f); done; head -c %dM /dev/urandom > big", files/50, megabytes))
	p.backup()
	p.inVolume("data", "touch arm")
	seen := p.watchEvents()
	r := p.runEnv([]string{fmt.Sprintf("RIPPLEBAK_UPLOAD_LIMIT=%d", uploadLimit)}, "backup", "--json")
	over := time.Now()
	if r.code != 0 {
		t.Fatalf("backup: %s", r)
	}
	var report backupReport
	p.decode(r.stdout, &report)
	at := map[string]time.Time{}
	for _, e := range seen.events() {
		at[e.action] = time.Unix(0, e.at)
	}
	if at["kill"].IsZero() || at["die"].IsZero() || at["start"].IsZero() {
		t.Fatalf("the service was not stopped and started: %v", at)
	}
	p.inVolume("data", "rm arm")
	own := at["die"].Sub(at["kill"]) + p.startTime("app")
	down := time.Duration(report.Downtime["app"] * float64(time.Second))
	t.Logf("two walks: down for %v, of which its own stop and start %v; the upload went on for %v; the run took %v",
		down, own, over.Sub(at["start"]), seconds(report.Seconds))
	if down <= 0 || down > boundedDowntime+own {
		t.Errorf("the service was down for %v, its own stop and start take %v", down, own)
	}
	if upload := over.Sub(at["die"]); upload < leastUpload {
		t.Errorf("the run ended %v after the service had stopped: the storage was not slow", upload)
	}
	stored := resticS3(t, g, "bound", "dump", "-q", report.Snapshot, "/"+p.name+"/volumes/data/changed/36")
	if len(stored) != 1<<20 || stored != readFile(t, filepath.Join(p.mountpoint("data"), "changed", "36")) {
		t.Errorf("what was written last before the stop is not in the snapshot (%d bytes)", len(stored))
	}
	if got := p.state("app"); got != "running" {
		t.Errorf("the service is %q", got)
	}
	if mode == "" {
		return
	}
	p.inVolume("data", "touch arm")
	p.mustCompose("stop", "app")
	stopped := time.Now()
	if r := p.runEnv([]string{fmt.Sprintf("RIPPLEBAK_UPLOAD_LIMIT=%d", uploadLimit)}, "backup"); r.code != 0 {
		t.Fatalf("backup: %s", r)
	}
	p.mustCompose("start", "app")
	t.Logf("one walk: down for %v without its stop", time.Since(stopped))
}

// startTime is how long the Engine takes to start a service.
func (p *project) startTime(service string) time.Duration {
	p.t.Helper()
	p.mustCompose("stop", service)
	began := time.Now()
	p.mustCompose("start", service)
	return time.Since(began)
}
