package sidecar

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/ripplebak/ripplebak/compose"
	"github.com/ripplebak/ripplebak/docker"
	"github.com/ripplebak/ripplebak/sidecar/state"
)

// host is where the sidecar finds itself: the Engine, its own container, and
// what that container has mounted.
type host struct {
	engine  *docker.Engine
	info    docker.Info
	self    *docker.Container // nil on the bare host
	project string
	// name is under which snapshots are filed.
	name string
	// state is nil where there is no state volume.
	state *state.Dir
	// stateMount is what our container has mounted for it; zero on the bare host.
	stateMount docker.Mount
	// socketVolume is the volume of the helpers' socket; socketBind is its
	// directory on the host. Both empty: helpers cannot be reached.
	socketVolume, socketBind string
	// image is what helpers run.
	image string
	// mounts is where the next helper has its volumes; nil: at mountRoot.
	mounts func() string
	// now is the App's clock.
	now func() time.Time
}

func (h *host) hasSocket() bool { return h.socketVolume != "" || h.socketBind != "" }

// isSelf reports whether a container is our own service: the one that serves,
// and what "compose run" makes of it.
func (h *host) isSelf(c docker.Container) bool {
	return h.self != nil && c.ImageID == h.self.ImageID && c.Labels[compose.LabelService] == h.self.Labels[compose.LabelService]
}

// ownService is the service that we are; empty where Compose has not made us.
func (h *host) ownService() string {
	if h.self == nil || h.self.Project() == docker.Standalone {
		return ""
	}
	return h.self.Labels[compose.LabelService]
}

func (h *host) selfID() string {
	if h.self == nil {
		return ""
	}
	return h.self.ID
}

// onHost is the path of the host that a path of ours is; empty where it is none.
func (h *host) onHost(p string) string {
	p, err := filepath.Abs(p)
	if err != nil || h.self == nil {
		return p
	}
	var nearest docker.Mount
	for _, m := range h.self.Mounts {
		if compose.Within(p, m.Destination) && len(m.Destination) > len(nearest.Destination) {
			nearest = m
		}
	}
	if nearest.Source == "" {
		return ""
	}
	return path.Join(nearest.Source, strings.TrimPrefix(p, path.Clean(nearest.Destination)))
}

// of is the same place for who works for one of several projects.
func (h *host) of(project string) *host {
	if project == "" {
		return h
	}
	one := *h
	one.project = project
	if h.state != nil {
		one.state = h.state.Of(project)
	}
	return &one
}

// lookAround connects to the Engine and finds out where we are.
func (a *App) lookAround(ctx context.Context) (*host, error) {
	engine, err := docker.Connect(ctx, docker.Options{
		// Whoever ends us waits ten seconds by default, and services come back
		// only when the command that runs has ended.
		Grace: 2 * time.Second,
		Log:   func(msg string) { a.Log.Warn().Msg(msg) },
	})
	if err != nil {
		return nil, err
	}
	h := &host{engine: engine, now: a.Now, mounts: a.mounts}
	if err := a.fill(ctx, h); err != nil {
		return nil, errors.Join(err, engine.Close())
	}
	return h, nil
}

func (a *App) fill(ctx context.Context, h *host) error {
	var err error
	if h.info, err = h.engine.Info(ctx); err != nil {
		return err
	}
	h.name = a.Settings.Host
	if h.name == "" {
		h.name = h.info.Name
	}
	self, err := h.engine.Self(ctx, docker.ReadSelfHints())
	switch {
	case err == nil:
		h.self = &self
	case !errors.Is(err, docker.ErrNotInContainer):
		return err
	}
	h.project = a.Settings.Project
	if h.project == "" && h.self != nil && !a.Settings.Several() {
		if h.project = h.self.Project(); h.project == docker.Standalone {
			h.project = "" // whoever wants those says so
		}
	}
	if h.project == "" && !a.Settings.Several() {
		return errors.New("no project is known: set RIPPLEBAK_PROJECT to the name of the Compose project")
	}
	if h.self != nil {
		return a.fillFromSelf(h)
	}
	return a.fillBareHost(h)
}

// fillFromSelf finds the state volume and the socket's volume among our own
// mounts. Without one of them nothing is made up in its place.
func (a *App) fillFromSelf(h *host) error {
	h.image = h.self.ImageID
	for _, m := range h.self.Mounts {
		switch path.Clean(m.Destination) {
		case path.Clean(a.Settings.StateDir):
			d, err := state.Open(a.Settings.StateDir)
			if err != nil {
				return err
			}
			h.state = d.Of(a.oneOf)
			h.stateMount = m
		case path.Clean(a.Settings.RunDir):
			if m.Type == "volume" {
				h.socketVolume = m.Name
			} else {
				h.socketBind = m.Source
			}
		}
	}
	return nil
}

// fillBareHost uses directories of the host itself.
func (a *App) fillBareHost(h *host) error {
	h.image = a.Settings.Env("RIPPLEBAK_IMAGE")
	if h.image == "" {
		h.image = "ripplebak:latest"
	}
	d, err := state.Open(a.Settings.StateDir)
	if err != nil {
		return fmt.Errorf("%w; outside a container, set RIPPLEBAK_STATE_DIR to a directory of your own", err)
	}
	h.state = d.Of(a.oneOf)
	if err := os.MkdirAll(a.Settings.RunDir, 0o700); err != nil {
		return fmt.Errorf("make the helpers' socket directory: %w; outside a container, set RIPPLEBAK_RUN_DIR to a directory of your own", err)
	}
	h.socketBind = a.Settings.RunDir
	return nil
}
