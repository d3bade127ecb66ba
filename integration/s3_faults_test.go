package integration

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"
)

// A run goes on through what a server or a network can do wrong for a while,
// and leaves each object once.
func TestF25_StorageFailsForAWhile(t *testing.T) {
	g := gateway(t)
	proxy := newS3Proxy(t, g)
	p := newFilesProject(t, "stop")
	p.useS3(g, proxy.host, "faults")
	p.env["RIPPLEBAK_STALL_TIMEOUT"] = "2s"
	p.backup()
	for n, c := range []struct {
		name   string
		faults []*s3Fault
	}{
		{"broken off and refused", []*s3Fault{
			{name: "reset before the answer", method: "PUT", part: "/data/", times: 2, act: resetsMidway},
			{name: "503 in the middle", method: "PUT", part: "/data/", times: 2, act: says(503, "SlowDown", "Please reduce your request rate.")},
			{name: "500 at the index", method: "PUT", part: "/index/", times: 1, act: says(500, "InternalError", "We encountered an internal error.")},
			{name: "429 at the snapshot", method: "PUT", part: "/snapshots/", times: 1, act: says(429, "TooManyRequests", "Slow down.")},
		}},
		{"responses are lost", []*s3Fault{
			{name: "a pack's", method: "PUT", part: "/data/", times: 1, act: losesResponse},
			{name: "the index's", method: "PUT", part: "/index/", times: 1, act: losesResponse},
			{name: "the snapshot's", method: "PUT", part: "/snapshots/", times: 1, act: losesResponse},
			{name: "the lock's", method: "PUT", part: "/locks/", times: 1, act: losesResponse},
			{name: "a removal's", method: "DELETE", part: "/locks/", times: 1, act: losesResponse},
		}},
		{"stalls", []*s3Fault{
			{name: "nothing", method: "PUT", part: "/data/", times: 1, act: stalls},
			{name: "a byte a second, upwards", method: "PUT", part: "/data/", times: 1, act: dripsUp},
			{name: "a byte a second, downwards", method: "GET", part: "/config", times: 1, act: dripsDown},
		}},
		{"less is stored", []*s3Fault{
			{name: "of a pack", method: "PUT", part: "/data/", times: 1, act: keepsLess(g)},
			{name: "of the snapshot", method: "PUT", part: "/snapshots/", times: 1, act: keepsLess(g)},
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p.inVolume("data", fmt.Sprintf("head -c 1000000 /dev/urandom > d/f%d", n))
			done := proxy.inject(t, c.faults...)
			p.backup()
			done()
			if got := p.state("app"); got != "running" {
				t.Errorf("the service is %q", got)
			}
			if got := len(objects(t, g, "faults", "snapshots")); got != n+2 {
				t.Errorf("%d snapshots, want %d", got, n+2)
			}
			if got := objects(t, g, "faults", "locks"); len(got) != 0 {
				t.Errorf("locks are left: %v", got)
			}
		})
	}
	t.Run("nobody listens for a while", func(t *testing.T) { nobodyListens(t, p, proxy) })
	assertWhole(t, p, resticS3(t, g, "faults", "check", "--read-data"))
}

// nobodyListens takes the server away when the run's first object arrives, and
// brings it back later.
func nobodyListens(t *testing.T, p *project, proxy *s3Proxy) {
	p.inVolume("data", "head -c 1000000 /dev/urandom > d/refused")
	gone, back := make(chan struct{}), make(chan struct{})
	done := proxy.inject(t, &s3Fault{name: "refuses", method: "PUT", part: "/data/", times: 1, act: func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		close(gone)
		reset(w)
	}})
	address, old := proxy.host, proxy.server
	go func() {
		defer close(back)
		<-gone
		_ = old.Close()
		time.Sleep(1500 * time.Millisecond) // how long the outage lasts
		proxy.listen(address)
	}()
	r := p.run("backup", "--json")
	<-back
	done()
	if r.code != 0 || !strings.Contains(r.stderr, "refused") && !strings.Contains(r.stderr, "reset") {
		t.Errorf("an outage of 1.5 s: %s", r)
	}
}

// assertWhole reads what restic check says: nothing wrong, and no object that
// the repository does not know, as a second copy would be.
func assertWhole(t *testing.T, p *project, check string) {
	t.Helper()
	if !strings.Contains(check, "no errors were found") || regexp.MustCompile(`additional files|not referenced`).MatchString(check) {
		t.Errorf("restic check says:\n%s", check)
	}
	p.mustRun("check", "--read-data")
}

// The response to the very first write is lost, with which a repository begins.
func TestF25_ResponseToTheConfigIsLost(t *testing.T) {
	t.Parallel()
	g := gateway(t)
	proxy := newS3Proxy(t, g)
	p := newFilesProject(t, "live")
	p.useS3(g, proxy.host, "first")
	done := proxy.inject(t,
		&s3Fault{name: "config", method: "PUT", part: "/first/config", times: 1, act: losesResponse},
		&s3Fault{name: "key", method: "PUT", part: "/first/keys/", times: 1, act: losesResponse})
	p.backup()
	done()
	if got := len(objects(t, g, "first", "keys")); got != 1 {
		t.Errorf("%d keys, want 1", got)
	}
	assertWhole(t, p, resticS3(t, g, "first", "check", "--read-data"))
}

// What will not pass fails the run at once: nothing of it is visible, services
// run, no lock is left, and the next run succeeds.
func TestF25_StorageFailsForGood(t *testing.T) {
	g := gateway(t)
	proxy := newS3Proxy(t, g)
	p := newFilesProject(t, "stop")
	p.useS3(g, proxy.host, "gone")
	first := p.backup()
	for _, f := range []*s3Fault{
		{name: "the key is withdrawn in mid-run", method: "PUT", part: "/data/", act: says(403, "AccessDenied", "Access Denied")},
		{name: "the quota is used up", method: "PUT", part: "/data/", act: says(403, "QuotaExceeded", "Quota exceeded")},
		{name: "the index may not be written", method: "PUT", part: "/index/", act: says(403, "AccessDenied", "Access Denied")},
		{name: "the snapshot may not be written", method: "PUT", part: "/snapshots/", act: says(403, "AccessDenied", "Access Denied")},
	} {
		t.Run(f.name, func(t *testing.T) {
			p.inVolume("data", "head -c 1000000 /dev/urandom > d/more")
			done := proxy.inject(t, f)
			r := p.run("backup")
			done()
			if r.code != 1 || r.stdout != "" {
				t.Errorf("want exit code 1 and no report: %s", r)
			}
			if got := objects(t, g, "gone", "snapshots"); len(got) != 1 {
				t.Errorf("%d snapshots are visible, want the first one", len(got))
			}
			if got := objects(t, g, "gone", "locks"); len(got) != 0 {
				t.Errorf("locks are left: %v", got)
			}
			if got, h := p.state("app"), p.helpers(); got != "running" || len(h) != 0 {
				t.Errorf("the service is %q, helpers %v", got, h)
			}
		})
	}
	second := p.backup()
	if list := p.snapshots(); len(list) != 2 || list[0].ID != first.Snapshot || list[1].ID != second.Snapshot {
		t.Errorf("snapshots are %+v", list)
	}
	p.mustRun("check", "--read-data")
	if got := resticS3(t, g, "gone", "check"); !strings.Contains(got, "no errors were found") {
		t.Errorf("restic check says:\n%s", got)
	}
}
