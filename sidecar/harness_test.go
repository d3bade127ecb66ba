package sidecar

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/ripplebak/ripplebak/compose"
	"github.com/ripplebak/ripplebak/docker/dockertest"
	"github.com/ripplebak/ripplebak/repository"
	"github.com/ripplebak/ripplebak/sidecar/settings"
	"github.com/ripplebak/ripplebak/sidecar/state"
	"github.com/ripplebak/ripplebak/volume"
)

// shop is a project on a fake Engine, with a sidecar on the bare host: its
// repository is a directory, and its helpers run in this process, over real
// sockets and on real directories.
type shop struct {
	t   *testing.T
	f   *dockertest.Engine
	app *App
	dir string
	log *lockedBuffer

	helpers atomic.Int64 // how many there have been
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func newShop(t *testing.T) *shop {
	t.Helper()
	dir, err := os.MkdirTemp("", "rbshop") // t.TempDir() may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	s := &shop{t: t, f: dockertest.New(t), dir: dir, log: &lockedBuffer{}}
	t.Setenv("DOCKER_HOST", s.f.Host())
	set, err := settings.Load([]string{
		"RIPPLEBAK_REPOSITORY=" + s.path("repo"), "RIPPLEBAK_PASSWORD=correct horse", "RIPPLEBAK_PROJECT=shop",
		"RIPPLEBAK_STATE_DIR=" + s.path("state"), "RIPPLEBAK_RUN_DIR=" + s.path("run"),
	}, os.ReadFile)
	if err != nil {
		t.Fatal(err)
	}
	s.app = &App{Settings: set, Log: zerolog.New(s.log), Now: time.Now, Version: "test", Command: "backup", mounts: s.mounts, kdf: repository.KDF{N: 1024, R: 8, P: 1}}
	s.f.AddImage("ripplebak:latest", nil)
	s.f.AddImage("img", nil)
	s.f.Command("/ripplebak", s.helper)
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(s.log.String())
		}
	})
	return s
}

func (s *shop) path(elem ...string) string { return filepath.Join(append([]string{s.dir}, elem...)...) }

// mounts gives each helper a place of its own for its volumes, as a container
// has: several of them work at a time.
func (s *shop) mounts() string {
	return s.path("mounts", strconv.FormatInt(s.helpers.Add(1), 10))
}

// helper is what a helper's container runs. The volume NAME is the directory
// volumes/NAME; paths of the host are those of this machine.
func (s *shop) helper(ctx context.Context, p *dockertest.Process) int {
	env := map[string]string{}
	for _, kv := range p.Env {
		name, value, _ := strings.Cut(kv, "=")
		env[name] = value
	}
	for _, c := range s.f.Containers() {
		for _, m := range c.Mounts {
			if c.Name != p.Container || !strings.HasPrefix(m.Target, s.path("mounts")) {
				continue
			}
			if err := os.MkdirAll(filepath.Dir(m.Target), 0o700); err != nil {
				return 1
			}
			os.Remove(m.Target) // there may be none
			source := m.Bind
			if m.Volume != "" {
				source = s.path("volumes", m.Volume)
			}
			if err := os.Symlink(source, m.Target); err != nil {
				return 1
			}
		}
	}
	var n int
	if _, err := fmt.Sscan(env["RIPPLEBAK_HELPER_CONNECTIONS"], &n); err != nil {
		return 1
	}
	err := volume.ServeHelper(ctx, volume.HelperOptions{
		Socket: s.path("run", filepath.Base(env["RIPPLEBAK_HELPER_SOCKET"])), Token: env["RIPPLEBAK_HELPER_TOKEN"], Connections: n,
	})
	if err != nil {
		return 1
	}
	return 0
}

// service adds a running container of a service that mounts volumes, and
// returns its ID.
func (s *shop) service(name string, labels map[string]string, volumes ...string) string {
	all := map[string]string{
		compose.LabelProject: "shop", compose.LabelService: name, compose.LabelNumber: "1", compose.LabelOneOff: "False",
	}
	for k, v := range labels {
		if !strings.Contains(k, ".") {
			k = "ripplebak." + k
		}
		all[k] = v
	}
	c := dockertest.Container{Name: "shop-" + name + "-1", Image: "img", ImageID: "img", Labels: all}
	for _, v := range volumes {
		c.Mounts = append(c.Mounts, dockertest.Mount{Volume: "shop_" + v, Target: "/" + v})
		s.f.AddVolume(dockertest.Volume{Name: "shop_" + v, Labels: map[string]string{compose.LabelProject: "shop", compose.LabelVolume: v}})
		dir := s.path("volumes", "shop_"+v)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			s.t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "file"), []byte("content of "+v), 0o644); err != nil {
			s.t.Fatal(err)
		}
	}
	return s.f.AddContainer(c)
}

// crashAt has fn called at a point, once.
func (s *shop) crashAt(point string, fn func()) (hit func() bool) {
	var once sync.Once
	var mu sync.Mutex
	done := false
	s.app.Crash = func(p string) {
		if p != point {
			return
		}
		once.Do(func() {
			mu.Lock()
			done = true
			mu.Unlock()
			fn()
		})
	}
	return func() bool {
		mu.Lock()
		defer mu.Unlock()
		return done
	}
}

// wantQuiet asserts that nothing is left of a run: every service runs, no
// helper, journal, lock or spool is there.
func (s *shop) wantQuiet() {
	s.t.Helper()
	for _, c := range s.f.Containers() {
		if _, helper := c.Labels[compose.LabelHelper]; helper {
			s.t.Errorf("helper %s is left", c.Name)
		} else if c.State != "running" {
			s.t.Errorf("%s is %s", c.Name, c.State)
		}
	}
	for _, dir := range []string{s.path("state", "journal"), s.path("state", "spool"), s.path("repo", "locks")} {
		if left := s.files(dir); len(left) > 0 {
			s.t.Errorf("left in %s: %q", dir, left)
		}
	}
}

func (s *shop) files(dir string) []string {
	entries, err := os.ReadDir(dir)
	if err != nil && !os.IsNotExist(err) {
		s.t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func (s *shop) snapshots() int { return len(s.files(s.path("repo", "snapshots"))) }

func (s *shop) called(call string) bool { return slices.Contains(s.f.Calls(), call) }

func (s *shop) history() state.History {
	s.t.Helper()
	h, err := state.At(s.path("state")).History()
	if err != nil {
		s.t.Fatal(err)
	}
	return h
}

// host is the sidecar's view of the fake, for tests of its parts.
func (s *shop) host() *host {
	s.t.Helper()
	h, err := s.app.lookAround(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		if err := h.engine.Close(); err != nil {
			s.t.Error(err)
		}
	})
	return h
}

// recoverNow recovers what runs left that died, as serve does each minute.
func (a *App) recoverNow(ctx context.Context) (err error) {
	h, err := a.lookAround(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.engine.Close()) }()
	return a.recoverHere(ctx, h, nil)
}
