package docker_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ripplebak/ripplebak/docker"
	"github.com/ripplebak/ripplebak/docker/dockertest"
)

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
