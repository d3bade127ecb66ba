package docker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"

	"github.com/ripplebak/ripplebak/delay"
)

// engineStop is how long the Engine waits by itself before it kills.
const engineStop = 10 * time.Second

// change makes a call that changes a container's state, and then looks: it has
// succeeded if the container is as wanted, whatever the call's answer was, so
// that it may be repeated.
func (e *Engine) change(ctx context.Context, id, call string, limit time.Duration, fn func(context.Context) error, wanted func(Container) bool) error {
	err := e.retryBounded(ctx, call, limit, func(ctx context.Context) error {
		err := fn(ctx)
		if errdefs.IsNotFound(err) {
			return fmt.Errorf("%w: %s", ErrNoContainer, short(id))
		}
		return err
	})
	if errors.Is(err, ErrNoContainer) || ctx.Err() != nil {
		return err
	}
	c, ierr := e.Inspect(ctx, id)
	switch {
	case ierr != nil:
		return errors.Join(err, ierr)
	case wanted(c):
		return nil
	case err != nil:
		return err
	}
	return fmt.Errorf("%s: container %s is %s afterwards", call, c.Name, c.State)
}

// Stop stops a container and returns when it is stopped. timeout is how long
// it gets before it is killed; nil: its own (stop_grace_period), else the
// Engine's 10 seconds. A container that is stopped already is fine.
func (e *Engine) Stop(ctx context.Context, id string, timeout *time.Duration) error {
	c, err := e.Inspect(ctx, id)
	if err != nil {
		return fmt.Errorf("stop: %w", err)
	}
	if !c.Running && !c.Restarting {
		return nil
	}
	var opt container.StopOptions
	grace := engineStop
	if c.StopTimeout != nil {
		grace = time.Duration(*c.StopTimeout) * time.Second
		if grace < 0 { // the Engine waits for ever; we don't
			grace = time.Hour
		}
	}
	if timeout != nil {
		secs := int((*timeout + time.Second - 1) / time.Second)
		opt.Timeout, grace = &secs, *timeout
	}
	err = e.change(ctx, c.ID, "POST /containers/{id}/stop", grace+e.opt.CallTimeout, func(ctx context.Context) error {
		return e.cli.ContainerStop(ctx, c.ID, opt)
	}, func(c Container) bool { return !c.Running && !c.Restarting })
	if err != nil {
		return fmt.Errorf("stop %s: %w", c.Name, err)
	}
	return nil
}

// Start starts a container. One that runs already is fine. One that exits at
// once, as a job may, has been started too. A paused one is an error: that is
// for Unpause.
func (e *Engine) Start(ctx context.Context, id string) error {
	before, err := e.Inspect(ctx, id)
	if err != nil {
		return fmt.Errorf("start: %w", err)
	}
	if before.Running && !before.Paused {
		return nil
	}
	err = e.change(ctx, before.ID, "POST /containers/{id}/start", e.opt.CallTimeout, func(ctx context.Context) error {
		return e.cli.ContainerStart(ctx, before.ID, container.StartOptions{})
	}, func(c Container) bool {
		return c.Running && !c.Paused || c.StartedAt.After(before.StartedAt) && c.Error == ""
	})
	if err != nil {
		return fmt.Errorf("start %s: %w", before.Name, err)
	}
	return nil
}

// Pause freezes a container's processes. One that is paused already is fine.
func (e *Engine) Pause(ctx context.Context, id string) error {
	err := e.change(ctx, id, "POST /containers/{id}/pause", e.opt.CallTimeout, func(ctx context.Context) error {
		return e.cli.ContainerPause(ctx, id)
	}, func(c Container) bool { return c.Paused })
	if err != nil {
		return fmt.Errorf("pause: %w", err)
	}
	return nil
}

// Unpause thaws a container. One that isn't paused is fine, stopped ones too.
func (e *Engine) Unpause(ctx context.Context, id string) error {
	err := e.change(ctx, id, "POST /containers/{id}/unpause", e.opt.CallTimeout, func(ctx context.Context) error {
		return e.cli.ContainerUnpause(ctx, id)
	}, func(c Container) bool { return !c.Paused })
	if err != nil {
		return fmt.Errorf("unpause: %w", err)
	}
	return nil
}

// WaitHealthy waits until a container's healthcheck passes; one without a
// healthcheck only has to run. A container that stops, or is said to be
// unhealthy, is ErrUnhealthy. The time limit is the context's.
func (e *Engine) WaitHealthy(ctx context.Context, id string) error {
	for {
		c, err := e.Inspect(ctx, id)
		switch {
		case err != nil:
			return fmt.Errorf("wait for container: %w", err)
		case !c.Running && !c.Restarting:
			return fmt.Errorf("container %s stopped with exit code %d: %w", c.Name, c.ExitCode, ErrUnhealthy)
		case c.Health == container.Unhealthy:
			return fmt.Errorf("healthcheck of container %s fails: %w", c.Name, ErrUnhealthy)
		case c.Running && !c.Restarting && (!c.HasHealthcheck || c.Health == container.Healthy):
			return nil
		}
		if err := delay.For(ctx, 250*time.Millisecond); err != nil {
			return fmt.Errorf("wait for container %s to become healthy: %w", c.Name, err)
		}
	}
}
