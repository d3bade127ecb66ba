package docker_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ripplebak/ripplebak/docker"
	"github.com/ripplebak/ripplebak/docker/dockertest"
)

// quick is patient enough for a fake and no more.
func quick(f *dockertest.Engine) docker.Options {
	return docker.Options{
		Host: f.Host(), CallTimeout: 2 * time.Second, RetryFor: 2 * time.Second, RetryPause: 5 * time.Millisecond,
		Grace: 300 * time.Millisecond, Settle: 300 * time.Millisecond,
	}
}

func fake(t *testing.T) (*dockertest.Engine, *docker.Engine) {
	t.Helper()
	f := dockertest.New(t)
	return f, connect(t, quick(f))
}

func connect(t *testing.T, opt docker.Options) *docker.Engine {
	t.Helper()
	e, err := docker.Connect(t.Context(), opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	return e
}

func print(s string) dockertest.Program {
	return func(_ context.Context, p *dockertest.Process) int {
		fmt.Fprint(p.Stdout, s)
		return 0
	}
}

func TestF43_VersionsThatDoNotMeet(t *testing.T) {
	for name, c := range map[string]struct {
		newest, oldest string
		err            error
		names          string
	}{
		"20.10":    {"1.41", "1.12", nil, ""},
		"29":       {"1.52", "1.44", nil, ""},
		"ours":     {"1.51", "1.51", nil, ""},
		"19.03":    {"1.40", "1.12", docker.ErrAPITooOld, "1.40"},
		"future":   {"1.99", "1.90", docker.ErrAPITooNew, "1.90"},
		"no words": {"", "", docker.ErrAPITooOld, "Api-Version"},
	} {
		t.Run(name, func(t *testing.T) {
			f := dockertest.New(t)
			f.Versions(c.newest, c.oldest)
			e, err := docker.Connect(t.Context(), quick(f))
			if c.err == nil && err == nil {
				if info, err := e.Info(t.Context()); err != nil || info.Name != "fakehost" || info.APIVersion > "1.51" {
					t.Fatalf("%+v, %v", info, err)
				}
				_ = e.Close()
				return
			}
			wantIs(t, err, c.err)
			if !strings.Contains(err.Error(), c.names) {
				t.Fatalf("does not name %s: %v", c.names, err)
			}
		})
	}
}

func TestF43_NoEngine(t *testing.T) {
	dir := t.TempDir()
	missing := filepath.Join(dir, "none.sock")
	_, err := docker.Connect(t.Context(), docker.Options{Host: "unix://" + missing})
	wantIs(t, err, docker.ErrNoSocket)
	wantIs(t, err, docker.ErrEngineGone)
	if !strings.Contains(err.Error(), missing) {
		t.Fatalf("does not name the socket: %v", err)
	}
	dead := filepath.Join(dir, "dead.sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: dead, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	_, err = docker.Connect(t.Context(), docker.Options{Host: "unix://" + dead})
	wantIs(t, err, docker.ErrEngineGone)
	if errors.Is(err, docker.ErrNoSocket) || !strings.Contains(err.Error(), "running") {
		t.Fatalf("nobody listens: %v", err)
	}
}

func TestF43_NoPermission(t *testing.T) {
	if os.Getuid() == 0 {
		t.Skip("root may open every socket")
	}
	f := dockertest.New(t)
	if err := os.Chmod(strings.TrimPrefix(f.Host(), "unix://"), 0); err != nil {
		t.Fatal(err)
	}
	_, err := docker.Connect(t.Context(), quick(f))
	wantIs(t, err, docker.ErrNoPermission)
}

func TestF43_EngineRestarts(t *testing.T) {
	f := dockertest.New(t)
	opt := quick(f)
	waited := make(chan string, 1)
	opt.Log = func(msg string) {
		select {
		case waited <- msg:
		default:
		}
	}
	e := connect(t, opt)
	id := f.AddContainer(dockertest.Container{Name: "db"})
	f.Down()
	up := make(chan struct{})
	go func() {
		defer close(up)
		<-waited // it was noticed
		f.Up()
	}()
	c, err := e.Inspect(t.Context(), id)
	<-up
	if err != nil || c.Name != "db" {
		t.Fatalf("%+v, %v", c, err)
	}
}

func TestF43_EngineStaysAway(t *testing.T) {
	f := dockertest.New(t)
	opt := quick(f)
	opt.RetryFor = 50 * time.Millisecond
	e := connect(t, opt)
	f.Down()
	_, err := e.Inspect(t.Context(), "db")
	wantIs(t, err, docker.ErrEngineGone)
}

func TestF43_AnswersThatGetLost(t *testing.T) {
	f, e := fake(t)
	id := f.AddContainer(dockertest.Container{Name: "db"})
	for _, c := range []struct {
		call string
		do   func() error
	}{
		{"GET /containers/{id}/json", func() error { _, err := e.Inspect(t.Context(), id); return err }},
		{"POST /containers/{id}/stop", func() error { return e.Stop(t.Context(), id, nil) }},
		{"POST /containers/{id}/start", func() error { return e.Start(t.Context(), id) }},
		{"POST /containers/{id}/pause", func() error { return e.Pause(t.Context(), id) }},
		{"POST /containers/{id}/unpause", func() error { return e.Unpause(t.Context(), id) }},
		{"POST /volumes/create", func() error {
			return e.CreateVolume(t.Context(), docker.Volume{Name: "v", Labels: map[string]string{"a": "b"}})
		}},
	} {
		f.Fail(dockertest.Fault{Call: c.call, Drop: true})
		f.Fail(dockertest.Fault{Call: c.call, Skip: 1, Drop: true, After: true})
		f.Fail(dockertest.Fault{Call: c.call, Skip: 2, Status: 503, Message: "starting"})
		if err := c.do(); err != nil {
			t.Errorf("%s: %v", c.call, err)
		}
	}
}

func TestF43_StalledCall(t *testing.T) {
	f := dockertest.New(t)
	opt := quick(f)
	opt.CallTimeout, opt.RetryFor = 100*time.Millisecond, -1
	e := connect(t, opt)
	f.Fail(dockertest.Fault{Call: "GET /containers/json", Stall: true})
	_, err := e.ProjectContainers(t.Context(), "shop")
	wantIs(t, err, docker.ErrEngineGone)
	if !strings.Contains(err.Error(), "GET /containers/json") {
		t.Fatalf("does not name the call: %v", err)
	}
}

func TestF43_ProxyForbids(t *testing.T) {
	ctx := t.Context()
	type do = func(e *docker.Engine, id string) error
	for call, do := range map[string]do{
		"GET /_ping":                    nil,
		"GET /version":                  nil,
		"GET /info":                     func(e *docker.Engine, _ string) error { _, err := e.Info(ctx); return err },
		"GET /containers/json":          func(e *docker.Engine, _ string) error { _, err := e.ProjectContainers(ctx, "p"); return err },
		"GET /containers/{id}/json":     func(e *docker.Engine, id string) error { _, err := e.Inspect(ctx, id); return err },
		"GET /volumes":                  func(e *docker.Engine, _ string) error { _, err := e.ProjectVolumes(ctx, "p"); return err },
		"GET /volumes/{name}":           func(e *docker.Engine, _ string) error { _, err := e.Volume(ctx, "v"); return err },
		"GET /images/{name}/json":       func(e *docker.Engine, _ string) error { _, err := e.ImageLabels(ctx, "img"); return err },
		"POST /volumes/create":          func(e *docker.Engine, _ string) error { return e.CreateVolume(ctx, docker.Volume{Name: "w"}) },
		"POST /containers/{id}/stop":    func(e *docker.Engine, id string) error { return e.Stop(ctx, id, nil) },
		"POST /containers/{id}/pause":   func(e *docker.Engine, id string) error { return e.Pause(ctx, id) },
		"POST /containers/create":       func(e *docker.Engine, _ string) error { return startHelper(ctx, e) },
		"POST /containers/{id}/start":   func(e *docker.Engine, _ string) error { return startHelper(ctx, e) },
		"DELETE /containers/{id}":       func(e *docker.Engine, id string) error { return e.RemoveHelper(ctx, id) },
		"POST /containers/{id}/exec":    func(e *docker.Engine, id string) error { return runTrue(ctx, e, id) },
		"POST /exec/{id}/start":         func(e *docker.Engine, id string) error { return runTrue(ctx, e, id) },
		"GET /exec/{id}/json":           func(e *docker.Engine, id string) error { return runTrue(ctx, e, id) },
		"POST /containers/{id}/unpause": func(e *docker.Engine, id string) error { return errors.Join(e.Pause(ctx, id), e.Unpause(ctx, id)) },
	} {
		for status, msg := range map[int]string{401: "Unauthorized", 403: "Forbidden", 405: "Method Not Allowed"} {
			t.Run(fmt.Sprintf("%s %d", call, status), func(t *testing.T) {
				f := dockertest.New(t)
				f.Command("true", print(""))
				f.AddVolume(dockertest.Volume{Name: "v"})
				f.AddImage("img", nil)
				id := f.AddContainer(dockertest.Container{Name: "db"})
				fault := dockertest.Fault{Call: call, Status: status, Message: msg, Times: 100}
				if do == nil {
					f.Fail(fault)
					_, err := docker.Connect(ctx, quick(f))
					wantForbidden(t, err, call)
					return
				}
				e := connect(t, quick(f))
				f.Fail(fault)
				wantForbidden(t, do(e, id), call)
			})
		}
	}
}

func wantForbidden(t *testing.T, err error, call string) {
	t.Helper()
	if !errors.Is(err, docker.ErrForbidden) || !strings.Contains(err.Error(), call) {
		t.Errorf("error %v", err)
	}
}

func startHelper(ctx context.Context, e *docker.Engine) error {
	_, err := e.StartHelper(ctx, docker.HelperSpec{Image: "img", Argv: []string{"x"}})
	return err
}

func runTrue(ctx context.Context, e *docker.Engine, id string) error {
	_, _, err := e.Run(ctx, docker.ExecRequest{Container: id, Argv: []string{"true"}, Gate: true})
	return err
}

func TestExecStreamsThroughFake(t *testing.T) {
	f, e := fake(t)
	f.Command("dump", func(_ context.Context, p *dockertest.Process) int {
		if !slices.Contains(p.Env, "A=b") || p.User != "postgres" {
			return 9
		}
		in, err := io.ReadAll(p.Stdin)
		if err != nil {
			return 8
		}
		fmt.Fprint(p.Stderr, "a note")
		fmt.Fprintf(p.Stdout, "%s%s", strings.Repeat("x", 100_000), in)
		return 0
	})
	id := f.AddContainer(dockertest.Container{})
	for _, gate := range []bool{true, false} {
		out, stderr, err := e.Run(t.Context(), docker.ExecRequest{
			Container: id, Argv: []string{"dump"}, Gate: gate, User: "postgres", Env: []string{"A=b"}, Stdin: strings.NewReader("input"),
		})
		if err != nil || stderr != "a note" || string(out) != strings.Repeat("x", 100_000)+"input" {
			t.Fatalf("%d bytes, %q, %v", len(out), stderr, err)
		}
	}
}

func TestF07_FrameCutInHalf(t *testing.T) {
	for _, gate := range []bool{true, false} {
		for _, at := range []int{3, 8, 20, 107} { // in a header, behind one, in the payload, one byte short
			f, e := fake(t)
			f.Command("dump", func(ctx context.Context, p *dockertest.Process) int {
				fmt.Fprint(p.Stdout, strings.Repeat("x", 100))
				return 0
			})
			id := f.AddContainer(dockertest.Container{})
			f.Fail(dockertest.Fault{Call: "POST /exec/{id}/start", Stream: &dockertest.StreamFault{Cut: at}})
			_, _, err := e.Run(t.Context(), docker.ExecRequest{Container: id, Argv: []string{"dump"}, Gate: gate})
			if !errors.Is(err, docker.ErrFrame) || !errors.Is(err, docker.ErrCut) {
				t.Errorf("gate %v, cut at %d: %v", gate, at, err)
			}
		}
	}
}

func TestF08_TailLost(t *testing.T) {
	for _, lost := range []int{1, 31, 32, 33, 64, 100_000} {
		f, e := fake(t)
		f.Command("dump", print(strings.Repeat("x", 90_000)))
		id := f.AddContainer(dockertest.Container{})
		f.Fail(dockertest.Fault{Call: "POST /exec/{id}/start", Stream: &dockertest.StreamFault{LoseTail: lost}})
		_, _, err := e.Run(t.Context(), docker.ExecRequest{Container: id, Argv: []string{"dump"}, Gate: true})
		if !errors.Is(err, docker.ErrCut) || !strings.Contains(err.Error(), "proxy") {
			t.Errorf("%d bytes lost: %v", lost, err)
		}
	}
}

func TestF08_CutBetweenFrames(t *testing.T) {
	// The command runs on when the stream ends: it is ended, and that is said.
	f, e := fake(t)
	var ended bool
	f.Command("dump", func(ctx context.Context, p *dockertest.Process) int {
		for i := 0; ; i++ {
			if _, err := fmt.Fprint(p.Stdout, "12"); err != nil {
				break
			}
		}
		<-ctx.Done()
		ended = true
		return 0
	})
	id := f.AddContainer(dockertest.Container{})
	f.Fail(dockertest.Fault{Call: "POST /exec/{id}/start", Stream: &dockertest.StreamFault{Cut: 1000}})
	_, _, err := e.Run(t.Context(), docker.ExecRequest{Container: id, Argv: []string{"dump"}, Gate: true})
	wantIs(t, err, docker.ErrCut)
	if errors.Is(err, docker.ErrStillRuns) || errors.Is(err, docker.ErrFrame) {
		t.Fatal(err)
	}
	f.Down() // waits for the command
	if !ended {
		t.Fatal("the command was not ended")
	}
}

func TestF10_FloodOfStderr(t *testing.T) {
	f, e := fake(t)
	const flood = 1 << 30
	f.Command("dump", func(_ context.Context, p *dockertest.Process) int {
		block := bytes.Repeat([]byte("e"), 1<<20)
		for range flood / len(block) {
			if _, err := p.Stderr.Write(block); err != nil {
				return 1
			}
		}
		fmt.Fprint(p.Stdout, "data")
		return 0
	})
	id := f.AddContainer(dockertest.Container{})
	out, stderr, err := e.Run(t.Context(), docker.ExecRequest{Container: id, Argv: []string{"dump"}, Gate: true})
	if err != nil || string(out) != "data" {
		t.Fatalf("%q, %v", out, err)
	}
	if len(stderr) > 65<<10 {
		t.Fatalf("%d bytes of stderr kept", len(stderr))
	}
}

func TestF11_DeadlineAndStall(t *testing.T) {
	for name, c := range map[string]struct {
		req  docker.ExecRequest
		want error
	}{
		"deadline": {docker.ExecRequest{Deadline: 50 * time.Millisecond}, docker.ErrDeadline},
		"stall":    {docker.ExecRequest{Stall: 50 * time.Millisecond}, docker.ErrStalled},
	} {
		t.Run(name, func(t *testing.T) {
			f, e := fake(t)
			ended := make(chan struct{})
			f.Command("dump", func(ctx context.Context, p *dockertest.Process) int {
				fmt.Fprint(p.Stdout, strings.Repeat("x", 1000))
				<-ctx.Done()
				close(ended)
				return 0
			})
			id := f.AddContainer(dockertest.Container{})
			c.req.Container, c.req.Argv, c.req.Gate = id, []string{"dump"}, true
			_, _, err := e.Run(t.Context(), c.req)
			wantIs(t, err, c.want)
			if errors.Is(err, docker.ErrStillRuns) {
				t.Fatal(err)
			}
			<-ended
		})
	}
}

func TestStallDoesNotCountTheReadersTime(t *testing.T) {
	f, e := fake(t)
	f.Command("dump", print("data"))
	id := f.AddContainer(dockertest.Container{})
	x, err := e.Exec(t.Context(), docker.ExecRequest{Container: id, Argv: []string{"dump"}, Gate: true, Stall: 30 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	<-time.After(150 * time.Millisecond) // the reader is busy elsewhere
	out, err := io.ReadAll(x)
	if err != nil || string(out) != "data" {
		t.Fatalf("%q, %v", out, err)
	}
	closeAll(t, x)
}

func TestF43_EngineGoneInMidStream(t *testing.T) {
	f := dockertest.New(t)
	opt := quick(f)
	opt.RetryFor = 50 * time.Millisecond
	e := connect(t, opt)
	begun := make(chan struct{})
	f.Command("dump", func(ctx context.Context, p *dockertest.Process) int {
		fmt.Fprint(p.Stdout, strings.Repeat("x", 1000))
		close(begun)
		<-ctx.Done()
		return 0
	})
	id := f.AddContainer(dockertest.Container{})
	x, err := e.Exec(t.Context(), docker.ExecRequest{Container: id, Argv: []string{"dump"}, Gate: true})
	if err != nil {
		t.Fatal(err)
	}
	<-begun
	f.Down()
	_, err = io.Copy(io.Discard, x)
	wantIs(t, err, docker.ErrEngineGone)
	_ = x.Close()
}

func TestF43_EngineRestartedInMidStream(t *testing.T) {
	f, e := fake(t)
	begun := make(chan struct{})
	f.Command("dump", func(ctx context.Context, p *dockertest.Process) int {
		fmt.Fprint(p.Stdout, strings.Repeat("x", 1000))
		close(begun)
		<-ctx.Done()
		return 0
	})
	id := f.AddContainer(dockertest.Container{})
	x, err := e.Exec(t.Context(), docker.ExecRequest{Container: id, Argv: []string{"dump"}, Gate: true})
	if err != nil {
		t.Fatal(err)
	}
	<-begun
	f.Down()
	f.Up()
	_, err = io.Copy(io.Discard, x)
	wantIs(t, err, docker.ErrCut)
	closeAll(t, x)
}

func TestF52_NoUpgrade(t *testing.T) {
	f, e := fake(t)
	ended := make(chan struct{})
	f.Command("dump", func(ctx context.Context, _ *dockertest.Process) int {
		<-ctx.Done()
		close(ended)
		return 0
	})
	id := f.AddContainer(dockertest.Container{})
	f.Fail(dockertest.Fault{Call: "POST /exec/{id}/start", Stream: &dockertest.StreamFault{NoUpgrade: true}})
	_, _, err := e.Run(t.Context(), docker.ExecRequest{Container: id, Argv: []string{"dump"}, Gate: true})
	wantIs(t, err, docker.ErrNoUpgrade)
	if !strings.Contains(err.Error(), "Upgrade headers") {
		t.Fatalf("does not say what to change: %v", err)
	}
	<-ended // the command had been started, and was ended
}

func TestF52_NotAStream(t *testing.T) {
	f, e := fake(t)
	f.Command("dump", print("x"))
	id := f.AddContainer(dockertest.Container{})
	f.Fail(dockertest.Fault{Call: "POST /exec/{id}/start", Stream: &dockertest.StreamFault{Raw: []byte("<html>bad gateway</html>")}})
	_, _, err := e.Run(t.Context(), docker.ExecRequest{Container: id, Argv: []string{"dump"}, Gate: true})
	wantIs(t, err, docker.ErrFrame)
}

func TestF52_StartIsNeverAnswered(t *testing.T) {
	f := dockertest.New(t)
	opt := quick(f)
	opt.CallTimeout = 100 * time.Millisecond
	e := connect(t, opt)
	f.Command("dump", print("x"))
	id := f.AddContainer(dockertest.Container{})
	f.Fail(dockertest.Fault{Call: "POST /exec/{id}/start", Stall: true})
	_, _, err := e.Run(t.Context(), docker.ExecRequest{Container: id, Argv: []string{"dump"}, Gate: true})
	if err == nil || !strings.Contains(err.Error(), "did not answer POST /exec/{id}/start") {
		t.Fatal(err)
	}
}
