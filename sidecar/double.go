package sidecar

import (
	"context"
	"fmt"

	"github.com/ripplebak/ripplebak/compose"
	"github.com/ripplebak/ripplebak/docker"
	"github.com/ripplebak/ripplebak/dump"
)

// double is a throwaway container with the image, the environment and the
// volumes of a service's container. Commands run in it while that is down.
type double struct {
	host *host
	id   string
}

// startDouble starts a double of a container. It is marked as a helper, so that
// it is taken for no service, whatever labels its image has, and is removed by
// whoever finds it after a kill.
func (a *App) startDouble(ctx context.Context, h *host, run string, engine dump.Engine, container string) (*double, error) {
	of, err := h.engine.Inspect(ctx, container)
	if err != nil {
		return nil, err
	}
	if of.Project() != h.project {
		return nil, fmt.Errorf("container %s is not of project %q", of.Name, h.project)
	}
	spec := docker.DoubleSpec{
		Of: of, User: dump.OfflineUser(engine),
		Labels: map[string]string{
			compose.LabelHelper: run, labelOwner: ownerOf(h), labelProject: h.project, labelState: stateOf(h),
			compose.LabelProject: "", compose.LabelService: "", compose.LabelNumber: "", compose.LabelOneOff: "", compose.LabelSidecar: "",
		},
	}
	c, err := h.engine.StartDouble(ctx, spec)
	if err != nil {
		return nil, err
	}
	return &double{host: h, id: c.ID}, nil
}

// close ends whatever runs in the double and removes it, also when ctx has
// ended. What cannot be removed is an orphan, of which a later command takes
// care.
func (d *double) close(ctx context.Context) error { return d.host.removeHelper(ctx, d.id) }
