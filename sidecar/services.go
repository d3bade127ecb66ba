package sidecar

import (
	"context"
	"errors"
	"fmt"
	"sort"
	"strconv"

	"github.com/ripplebak/ripplebak/compose"
	"github.com/ripplebak/ripplebak/docker"
)

// containersOf are the containers of a service as they are now, by number.
func (h *host) containersOf(ctx context.Context, service string) ([]docker.Container, error) {
	all, err := h.engine.ProjectContainers(ctx, h.project)
	if err != nil {
		return nil, err
	}
	var out []docker.Container
	for _, c := range all {
		if c.Labels[compose.LabelService] == service && c.Labels[compose.LabelOneOff] != "True" {
			out = append(out, c)
		}
	}
	sort.Slice(out, func(a, b int) bool { return numberOf(out[a]) < numberOf(out[b]) })
	return out, nil
}

// numberOf is the container's number within its service; 1 where it has none.
func numberOf(c docker.Container) int {
	n, err := strconv.Atoi(c.Labels[compose.LabelNumber])
	if err != nil {
		return 1
	}
	return n
}

// isUp reports whether a container is to be stopped before its volumes are at
// rest. One that restarts all the time may be up at any moment.
func isUp(c docker.Container) bool {
	return c.State == compose.StateRunning || c.State == compose.StateRestarting
}

// running finds the service's running container with the lowest number.
func (h *host) running(ctx context.Context, service string) (string, error) {
	cs, err := h.containersOf(ctx, service)
	if err != nil {
		return "", err
	}
	for _, c := range cs {
		if c.State == compose.StateRunning {
			return c.ID, nil
		}
	}
	return "", fmt.Errorf("service %q is not running", service)
}

// containerRuns says whether a container runs; known is false when the Engine
// cannot be asked.
func (h *host) containerRuns(ctx context.Context, id string) (alive, known bool) {
	c, err := h.engine.Inspect(ctx, id)
	switch {
	case errors.Is(err, docker.ErrNoContainer):
		return false, true
	case err != nil:
		return false, false
	}
	return c.Running, true
}
