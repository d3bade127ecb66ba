package integration

import (
	"bufio"
	"fmt"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// event is something that the Engine did to a service.
type event struct {
	at              int64 // nanoseconds
	action, service string
}

// watched is what the Engine says of a project's services. It is listened to as
// it is said: the Engine remembers the last 256 events of all its containers
// only, which others make within seconds.
type watched struct {
	t      testing.TB
	args   []string
	cancel func()

	mu    sync.Mutex
	lines []string
}

// watchEvents listens from now on to what happens to the project's services,
// not to one-offs.
func (p *project) watchEvents() *watched {
	p.t.Helper()
	w := &watched{t: p.t, args: []string{"events", "--since", stamp(time.Now()), "--filter", "type=container",
		"--filter", "label=com.docker.compose.project=" + p.name, "--filter", "label=com.docker.compose.oneoff=False",
		"--format", `{{.TimeNano}} {{.Action}} {{index .Actor.Attributes "com.docker.compose.service"}}`}}
	cmd := exec.Command("docker", w.args...)
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		p.t.Fatal(err)
	}
	over := make(chan struct{})
	go func() {
		defer close(over)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			w.mu.Lock()
			w.lines = append(w.lines, lines.Text())
			w.mu.Unlock()
		}
	}()
	w.cancel = sync.OnceFunc(func() {
		_ = cmd.Process.Kill()
		<-over
		_ = cmd.Wait()
	})
	p.t.Cleanup(w.cancel)
	return w
}

// events ends the listening. What came last may be on its way still: it is what
// the Engine remembers for sure.
func (w *watched) events() []event {
	w.t.Helper()
	last := must(w.t, slices.Concat([]string{"docker"}, w.args, []string{"--until", stamp(time.Now())})...)
	w.cancel()
	lines := append(w.lines, strings.Split(strings.TrimSpace(last), "\n")...)
	slices.Sort(lines) // by time
	var list []event
	for _, line := range slices.Compact(lines) {
		f := strings.Fields(line)
		if len(f) < 3 { // an exec's action has more words
			continue
		}
		at, err := strconv.ParseInt(f[0], 10, 64)
		if err != nil {
			w.t.Fatalf("event %q", line)
		}
		list = append(list, event{at, f[1], f[2]})
	}
	return list
}

// stamp is a time as the Engine takes it, to the nanosecond.
func stamp(t time.Time) string { return fmt.Sprintf("%d.%09d", t.Unix(), t.Nanosecond()) }

// order gives the events of these actions as "action service", in their order.
func order(list []event, actions ...string) []string {
	var out []string
	for _, e := range list {
		if slices.Contains(actions, e.action) {
			out = append(out, e.action+" "+e.service)
		}
	}
	return out
}
