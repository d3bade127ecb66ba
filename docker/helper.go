package docker

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"

	"github.com/ripplebak/ripplebak/delay"
)

// SocketDir is where a helper finds the directory of the data plane's socket.
const SocketDir = "/run/ripplebak"

// implicitLabel marks a volume that the Engine made because it was mounted. It
// serves to take such a volume away again: looking must not create.
const implicitLabel = "ripplebak.implicit"

// helperPids bounds the processes and threads of a helper.
const helperPids = 512

// HelperSpec is a throwaway container to be.
type HelperSpec struct {
	Image string
	// Name is the container's name; "": the Engine's choice.
	Name string
	// Argv replaces the image's entrypoint and command.
	Argv []string
	// Env and Argv are readable by whoever may inspect: no secrets.
	Env    []string
	Labels map[string]string
	Mounts []HelperMount
	// SocketVolume is a volume, SocketBind a host directory, to be mounted
	// at SocketDir; at most one of them.
	SocketVolume, SocketBind string
	// Scratch, where it is set, is a path at which the helper gets disk space of
	// its own, which goes with it: a volume without a name.
	Scratch string
	// CapAdd are the only capabilities that the helper gets.
	CapAdd []string
	// CPUs bounds its processor time, in processors; 0 for no bound.
	CPUs float64
	// Background gives it a low weight, so that others come first where they
	// want the same processor or disk.
	Background bool
}

// HelperMount is what a helper sees of the host: a volume, or a host path.
type HelperMount struct {
	// Volume is a volume's name, Bind an existing absolute host path; one of
	// them.
	Volume, Bind string
	Target       string
	ReadOnly     bool
}

// Helper is a throwaway container that runs.
type Helper struct{ ID string }

// HelperEnd says how a helper ended.
type HelperEnd struct {
	Code      int
	OOMKilled bool
	// Error is the Engine's own, for example that it could not be started.
	Error string
}

// StartHelper creates and starts a helper: no network, a read-only root, no
// capabilities but those given, no new privileges, no logs. It stays after its
// end, so that its exit code can be read, until RemoveHelper. ErrNoVolume where
// a volume doesn't exist; none is ever created, and of a helper that could not
// be started nothing is left. Where the Engine refuses the helper's bounds it
// runs without them, which is logged.
func (e *Engine) StartHelper(ctx context.Context, spec HelperSpec) (*Helper, error) {
	implicit := newToken()
	mounts, err := spec.mounts(implicit)
	if err != nil {
		return nil, fmt.Errorf("start helper: %w", err)
	}
	for _, v := range spec.volumes() {
		if _, err := e.Volume(ctx, v); err != nil {
			return nil, fmt.Errorf("start helper: %w", err)
		}
	}
	for _, limits := range spec.limits() {
		h, err := e.startHelper(ctx, spec, mounts, implicit, limits)
		if err == nil {
			return h, nil
		}
		if limits == (helperLimits{}) || ctx.Err() != nil || !refusesLimits(err) {
			return nil, fmt.Errorf("start helper: %w", err)
		}
		e.opt.Log("the docker engine refuses to bound the helper, it is started without: " + err.Error())
	}
	return nil, errors.New("start helper: no way to start it") // the last of the limits are none
}

// startHelper makes one try.
func (e *Engine) startHelper(ctx context.Context, spec HelperSpec, mounts []mount.Mount, implicit string, limits helperLimits) (*Helper, error) {
	return e.startCreated(ctx, spec.volumes(), implicit, func(ctx context.Context) (string, error) {
		return e.createHelper(ctx, spec, mounts, limits)
	})
}

// createEnds is how long the answer to a create is waited for when the context
// ends meanwhile: without it nobody could remove the container, which would keep
// its volumes in use.
const createEnds = 3 * time.Second

// linger is a context that ends so much later than ctx does, or when end is
// called, which it must be.
func linger(ctx context.Context, limit time.Duration) (longer context.Context, end func()) {
	longer, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	over := make(chan struct{})
	go func() {
		defer close(over)
		select {
		case <-longer.Done():
			return
		case <-ctx.Done():
		}
		t := time.NewTimer(limit)
		defer t.Stop()
		select {
		case <-longer.Done():
		case <-t.C:
			cancel(context.Cause(ctx))
		}
	}()
	return longer, func() {
		cancel(context.Canceled)
		<-over
	}
}

// startCreated creates and starts a container that mounts the volumes. Of one
// that could not be started nothing is left.
func (e *Engine) startCreated(ctx context.Context, volumes []string, implicit string, create func(context.Context) (string, error)) (*Helper, error) {
	lasting, end := linger(ctx, createEnds)
	id, err := create(lasting)
	end()
	if err != nil {
		return nil, err
	}
	err = e.checkImplicit(ctx, volumes, implicit)
	if err == nil {
		err = e.once(ctx, "POST /containers/{id}/start", func(ctx context.Context) error {
			return e.cli.ContainerStart(ctx, id, container.StartOptions{})
		})
	}
	if err != nil {
		return nil, errors.Join(err, e.RemoveHelper(context.WithoutCancel(ctx), id), e.removeImplicit(ctx, volumes, implicit))
	}
	return &Helper{ID: id}, nil
}

func (e *Engine) createHelper(ctx context.Context, spec HelperSpec, mounts []mount.Mount, limits helperLimits) (string, error) {
	pids := int64(helperPids)
	host := &container.HostConfig{
		LogConfig:      container.LogConfig{Type: "none"},
		NetworkMode:    "none",
		RestartPolicy:  container.RestartPolicy{Name: container.RestartPolicyDisabled},
		CapDrop:        []string{"ALL"},
		CapAdd:         spec.CapAdd,
		ReadonlyRootfs: true,
		SecurityOpt:    []string{"no-new-privileges", "label=disable"},
		Mounts:         mounts,
	}
	host.PidsLimit = &pids
	host.NanoCPUs, host.CPUShares, host.BlkioWeight = limits.nanoCPUs, limits.cpuShares, limits.blkioWeight
	config := &container.Config{
		Image: spec.Image, Entrypoint: spec.Argv, Cmd: []string{}, Env: spec.Env, Labels: spec.Labels,
		User: "0:0", WorkingDir: "/", NetworkDisabled: true,
		Healthcheck: &container.HealthConfig{Test: []string{"NONE"}},
	}
	var id string
	err := e.once(ctx, "POST /containers/create", func(ctx context.Context) error {
		r, err := e.cli.ContainerCreate(ctx, config, host, nil, nil, spec.Name)
		if errdefs.IsNotFound(err) {
			return fmt.Errorf("%w: %s (%w)", ErrNoImage, spec.Image, err)
		}
		if missing := spec.missingPath(err); missing != "" {
			return &NoPathError{Path: missing}
		}
		id = r.ID
		return err
	})
	return id, err
}

// HasPath says whether there is anything at a path of the host. A container that
// mounts it is made for that, and never started.
func (e *Engine) HasPath(ctx context.Context, spec HelperSpec, p string) (bool, error) {
	spec.Mounts, spec.SocketVolume, spec.SocketBind = []HelperMount{{Bind: p, Target: "/path", ReadOnly: true}}, "", ""
	mounts, err := spec.mounts("")
	if err != nil {
		return false, fmt.Errorf("look for %s on the host: %w", p, err)
	}
	lasting, end := linger(ctx, createEnds)
	id, err := e.createHelper(lasting, spec, mounts, helperLimits{})
	end()
	var missing *NoPathError
	switch {
	case errors.As(err, &missing):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("look for %s on the host: %w", p, err)
	}
	return true, e.RemoveHelper(context.WithoutCancel(ctx), id)
}

// NoPathError says that a host path that was to be mounted is not there. None is
// ever created.
type NoPathError struct{ Path string }

func (e *NoPathError) Error() string { return "there is nothing at " + e.Path + " on the host" }

// missingPath is the path of a mount of which the Engine says that it is not
// there, or "".
func (s HelperSpec) missingPath(err error) string {
	if err == nil || !strings.Contains(err.Error(), "source path does not exist") {
		return ""
	}
	longest := ""
	for _, m := range s.Mounts {
		if m.Bind != "" && len(m.Bind) > len(longest) && strings.HasSuffix(strings.TrimSpace(err.Error()), " "+m.Bind) {
			longest = m.Bind
		}
	}
	return longest
}

// volumes are the names of the volumes that a helper mounts.
func (s HelperSpec) volumes() []string {
	var names []string
	for _, m := range s.Mounts {
		if m.Volume != "" {
			names = append(names, m.Volume)
		}
	}
	if s.SocketVolume != "" {
		names = append(names, s.SocketVolume)
	}
	return names
}

func (s HelperSpec) mounts(implicit string) ([]mount.Mount, error) {
	if s.Image == "" || len(s.Argv) == 0 {
		return nil, errors.New("no image or no command")
	}
	all := s.Mounts
	if s.SocketVolume != "" && s.SocketBind != "" {
		return nil, errors.New("two sockets")
	}
	if s.SocketVolume != "" || s.SocketBind != "" {
		all = append(all[:len(all):len(all)], HelperMount{Volume: s.SocketVolume, Bind: s.SocketBind, Target: SocketDir})
	}
	var out []mount.Mount
	for _, m := range all {
		if !path.IsAbs(m.Target) || (m.Volume == "") == (m.Bind == "") {
			return nil, fmt.Errorf("mount at %q: an absolute target and either a volume or a path are needed", m.Target)
		}
		mm := mount.Mount{Target: m.Target, ReadOnly: m.ReadOnly}
		if m.Volume != "" {
			mm.Type, mm.Source = mount.TypeVolume, m.Volume
			mm.VolumeOptions = &mount.VolumeOptions{NoCopy: true, Labels: map[string]string{implicitLabel: implicit}}
		} else {
			mm.Type, mm.Source = mount.TypeBind, m.Bind
			mm.BindOptions = &mount.BindOptions{Propagation: mount.PropagationRPrivate}
		}
		out = append(out, mm)
	}
	if s.Scratch != "" {
		out = append(out, mount.Mount{Type: mount.TypeVolume, Target: s.Scratch, VolumeOptions: &mount.VolumeOptions{NoCopy: true}})
	}
	return out, nil
}

// checkImplicit fails if the Engine made one of these volumes for us, because
// it was removed between our look and the mount.
func (e *Engine) checkImplicit(ctx context.Context, names []string, implicit string) error {
	for _, name := range names {
		v, err := e.Volume(ctx, name)
		if err != nil {
			return err
		}
		if v.Labels[implicitLabel] == implicit {
			return fmt.Errorf("%w: %s", ErrNoVolume, name)
		}
	}
	return nil
}

// removeImplicit removes the volumes that the Engine made for us.
func (e *Engine) removeImplicit(ctx context.Context, names []string, implicit string) error {
	ctx = context.WithoutCancel(ctx)
	var errs []error
	for _, name := range names {
		v, err := e.Volume(ctx, name)
		if err != nil || v.Labels[implicitLabel] != implicit {
			continue // it was not made, or it can't be told
		}
		errs = append(errs, e.once(ctx, "DELETE /volumes/{name}", func(ctx context.Context) error {
			return e.cli.VolumeRemove(ctx, name, false)
		}))
	}
	return errors.Join(errs...)
}

// RemoveHelper kills and removes a helper and waits until it is gone. One that
// doesn't exist is fine. Its volumes stay, but for its scratch space: with
// "v" the Engine removes those that have no name.
func (e *Engine) RemoveHelper(ctx context.Context, id string) error {
	err := e.retry(ctx, "DELETE /containers/{id}", func(ctx context.Context) error {
		err := e.cli.ContainerRemove(ctx, id, container.RemoveOptions{Force: true, RemoveVolumes: true})
		if errdefs.IsNotFound(err) || errdefs.IsConflict(err) { // gone, or going
			return nil
		}
		return err
	})
	for err == nil {
		if _, err = e.Inspect(ctx, id); err == nil {
			err = delay.For(ctx, 20*time.Millisecond)
		}
	}
	if errors.Is(err, ErrNoContainer) {
		return nil
	}
	return fmt.Errorf("remove helper %s: %w", short(id), err)
}

// HelperExit waits for a helper to end and says how. A helper that doesn't
// exist is ErrNoContainer.
func (e *Engine) HelperExit(ctx context.Context, id string) (HelperEnd, error) {
	for {
		c, err := e.Inspect(ctx, id)
		if err != nil {
			return HelperEnd{}, fmt.Errorf("wait for helper: %w", err)
		}
		if c.State == container.StateCreated {
			return HelperEnd{}, fmt.Errorf("wait for helper %s: it was never started", short(id))
		}
		if !c.Running && !c.Restarting {
			return HelperEnd{Code: c.ExitCode, OOMKilled: c.OOMKilled, Error: c.Error}, nil
		}
		if err := e.waitExit(ctx, id); err != nil {
			return HelperEnd{}, fmt.Errorf("wait for helper %s: %w", short(id), err)
		}
	}
}

// waitExit returns when the Engine says that the container has ended, or when
// the call was broken off and the Engine is there again.
func (e *Engine) waitExit(ctx context.Context, id string) error {
	result, errs := e.cli.ContainerWait(ctx, id, container.WaitConditionNotRunning)
	select {
	case <-result:
		return nil
	case err := <-errs:
		err = e.explain(ctx, "POST /containers/{id}/wait", err)
		if errors.Is(err, ErrForbidden) || ctx.Err() != nil {
			return err
		}
		// Whatever it was, the next look tells; not in a tight loop.
		return delay.For(ctx, e.opt.RetryPause)
	}
}
