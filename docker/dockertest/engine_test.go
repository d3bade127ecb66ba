package dockertest

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
)

// recorder stands in for a test that is expected to fail.
type recorder struct {
	testing.TB
	failures []string
	cleanups []func()
}

func (r *recorder) Helper()           {}
func (r *recorder) Cleanup(fn func()) { r.cleanups = append(r.cleanups, fn) }
func (r *recorder) Errorf(format string, args ...any) {
	r.failures = append(r.failures, fmt.Sprintf(format, args...))
}

func (r *recorder) end() {
	for _, fn := range r.cleanups {
		fn()
	}
}

func call(t *testing.T, e *Engine, method, path string) int {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", e.socket)
	}, DisableKeepAlives: true}}
	req, err := http.NewRequestWithContext(t.Context(), method, "http://fake"+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if err := resp.Body.Close(); err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode
}

func TestUnexpectedCallsFailTheTest(t *testing.T) {
	for path, why := range map[string]string{
		"GET /v1.41/networks":                  "no such call",
		"POST /v1.41/containers/x/update":      "no such call",
		"GET /containers/json?all=1":           "no version",
		"GET /v1.41/containers/json":           "only running",
		"GET /v1.41/containers/json?all=1&x=y": "parameter x",
	} {
		r := &recorder{TB: t}
		e := New(r)
		method, target, _ := strings.Cut(path, " ")
		call(t, e, method, target)
		r.end()
		if len(r.failures) != 1 || !strings.Contains(r.failures[0], why) {
			t.Errorf("%s: %q", path, r.failures)
		}
	}
}

func TestExpectedCallsDoNot(t *testing.T) {
	r := &recorder{TB: t}
	e := New(r)
	id := e.AddContainer(Container{Name: "db"})
	for _, path := range []string{"/v1.41/containers/" + id + "/json", "/v1.41/containers/db/json", "/v1.41/containers/json?all=1", "/v1.41/info"} {
		if status := call(t, e, "GET", path); status != 200 {
			t.Errorf("%s: %d", path, status)
		}
	}
	if status := call(t, e, "GET", "/v1.41/containers/none/json"); status != 404 {
		t.Errorf("%d", status)
	}
	r.end()
	if len(r.failures) != 0 {
		t.Errorf("%q", r.failures)
	}
}

func TestFaultsThatAreNotHitFailTheTest(t *testing.T) {
	r := &recorder{TB: t}
	e := New(r)
	e.Fail(Fault{Call: "GET /info", Status: 500})
	e.Fail(Fault{Call: "GET /version", Status: 500})
	if status := call(t, e, "GET", "/v1.41/info"); status != 500 {
		t.Errorf("%d", status)
	}
	r.end()
	if len(r.failures) != 1 || !strings.Contains(r.failures[0], "GET /version was never hit") {
		t.Errorf("%q", r.failures)
	}
}
