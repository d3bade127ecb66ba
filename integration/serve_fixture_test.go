package integration

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

// serve starts the sidecar as users do.
func (p *project) serve() {
	p.t.Helper()
	p.mustCompose("--profile", "backup", "up", "-d", "backup")
}

// logLine is a line of the sidecar's log.
type logLine struct {
	Level   string    `json:"level"`
	Time    time.Time `json:"time"`
	Message string    `json:"message"`
	Error   string    `json:"error"`
	Next    time.Time `json:"next"`
}

// serveLog is the log of the sidecar that serves, so far.
func (p *project) serveLog() []logLine {
	p.t.Helper()
	r := p.compose("--profile", "backup", "logs", "--no-log-prefix", "backup")
	var out []logLine
	for line := range strings.Lines(r.stdout) {
		if strings.TrimSpace(line) == "" {
			continue
		}
		var l logLine
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			p.t.Errorf("the log has a line that is no JSON: %q", line)
			continue
		}
		out = append(out, l)
	}
	return out
}

// logged are the lines of the log whose message has a part.
func (p *project) logged(part string) []logLine {
	p.t.Helper()
	var out []logLine
	for _, l := range p.serveLog() {
		if strings.Contains(l.Message, part) {
			out = append(out, l)
		}
	}
	return out
}

// container is the ID of the sidecar that serves.
func (p *project) container(service string) string {
	p.t.Helper()
	return strings.TrimSpace(must(p.t, "docker", "ps", "-aq", "--filter", "label=com.docker.compose.project="+p.name,
		"--filter", "label=com.docker.compose.service="+service, "--filter", "label=com.docker.compose.oneoff=False"))
}

// inspect is what docker inspect says of the service's container.
func (p *project) inspect(service, format string) string {
	p.t.Helper()
	return strings.TrimSpace(must(p.t, "docker", "inspect", "-f", format, p.container(service)))
}

// history changes the sidecar's record of past runs, which lies in its state
// volume, by the function.
func (p *project) history(change func(h map[string]any)) map[string]any {
	p.t.Helper()
	h := map[string]any{}
	if text := p.inVolume("ripplebak", "cat history.json 2>/dev/null || echo '{}'"); true {
		p.decode(text, &h)
	}
	if change == nil {
		return h
	}
	change(h)
	b, err := json.Marshal(h)
	if err != nil {
		p.t.Fatal(err)
	}
	p.inVolume("ripplebak", "cat > history.json <<'END'\n"+string(b)+"\nEND")
	return h
}

// health runs the health check in the sidecar that serves.
func (p *project) health() result {
	p.t.Helper()
	return command(p.t, "", nil, "", "docker", "exec", p.container("backup"), "/ripplebak", "health")
}

func ago(d time.Duration) string { return time.Now().Add(-d).UTC().Format(time.RFC3339) }

// patiently waits until a condition holds, and fails after the time.
func patiently(t testing.TB, limit time.Duration, what string, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(limit)
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %s", limit, what)
		}
		time.Sleep(250 * time.Millisecond)
	}
}
