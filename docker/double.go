package docker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
)

// doublePids bounds the processes and threads of a double: a Java program has
// hundreds.
const doublePids = 2048

// DoubleSpec is a throwaway container to be that stands in for another one: it
// has the same image, environment, user, working directory and mounts, and runs
// nothing but the commands that are executed in it.
type DoubleSpec struct {
	// Of is the container that it stands in for, as it was inspected.
	Of Container
	// User is who it runs as; "": who the other one runs as.
	User string
	// Labels are its own. Those of the image are there too, unless one here has
	// the same name.
	Labels map[string]string
}

// doubleArgv waits for the end of an input that never comes.
func doubleArgv() []string { return []string{"sh", "-c", "read -r _"} }

// StartDouble creates and starts a double: no network, no new privileges, no
// capability that the other one lacks, never restarted, no logs. It takes part
// in nothing and stays until RemoveHelper. Volumes and paths of the host that
// are gone are an error; none is ever created. ErrNoImage where the image is
// gone, or has no sh.
func (e *Engine) StartDouble(ctx context.Context, spec DoubleSpec) (*Helper, error) {
	implicit := newToken()
	mounts, volumes, err := spec.mounts(implicit)
	if err != nil {
		return nil, fmt.Errorf("start a double of container %s: %w", spec.Of.Name, err)
	}
	for _, v := range volumes {
		if _, err := e.Volume(ctx, v); err != nil {
			return nil, fmt.Errorf("start a double of container %s: %w", spec.Of.Name, err)
		}
	}
	h, err := e.startCreated(ctx, volumes, implicit, func(ctx context.Context) (string, error) { return e.createDouble(ctx, spec, mounts) })
	if err != nil {
		return nil, fmt.Errorf("start a double of container %s: %w", spec.Of.Name, err)
	}
	return h, nil
}

func (e *Engine) createDouble(ctx context.Context, spec DoubleSpec, mounts []mount.Mount) (string, error) {
	of, pids := spec.Of, int64(doublePids)
	user := spec.User
	if user == "" {
		user = of.User
	}
	host := &container.HostConfig{
		LogConfig:      container.LogConfig{Type: "none"},
		NetworkMode:    "none",
		RestartPolicy:  container.RestartPolicy{Name: container.RestartPolicyDisabled},
		CapDrop:        []string{"ALL"},
		CapAdd:         of.doubleCaps(),
		ReadonlyRootfs: of.ReadOnly,
		SecurityOpt:    append([]string{"no-new-privileges"}, of.confinement()...),
		GroupAdd:       of.groups,
		Mounts:         mounts,
	}
	host.PidsLimit = &pids
	config := &container.Config{
		Image: of.ImageID, Entrypoint: doubleArgv(), Cmd: []string{}, Labels: spec.Labels,
		User: user, WorkingDir: of.workingDir, NetworkDisabled: true, OpenStdin: true,
		Healthcheck: &container.HealthConfig{Test: []string{"NONE"}},
	}
	if of.env != nil {
		config.Env = of.env.vars
	}
	var id string
	err := e.once(ctx, "POST /containers/create", func(ctx context.Context) error {
		r, err := e.cli.ContainerCreate(ctx, config, host, nil, nil, "")
		if errdefs.IsNotFound(err) {
			return fmt.Errorf("%w: %s (%w)", ErrNoImage, of.Image, err)
		}
		id = r.ID
		return err
	})
	return id, err
}

// mounts are those of the other container, and the names of its volumes.
func (s DoubleSpec) mounts(implicit string) (mounts []mount.Mount, volumes []string, err error) {
	if s.Of.ImageID == "" {
		return nil, nil, errors.New("its image is not known")
	}
	if s.Of.subpaths {
		return nil, nil, errors.New("it mounts a part of a volume (subpath), which cannot be mounted again: mount the whole volume")
	}
	for _, m := range s.Of.Mounts {
		mm := mount.Mount{Type: mount.Type(m.Type), Target: m.Destination, ReadOnly: !m.RW}
		switch mm.Type {
		case mount.TypeVolume:
			mm.Source = m.Name
			mm.VolumeOptions = &mount.VolumeOptions{NoCopy: true, Labels: map[string]string{implicitLabel: implicit}}
			volumes = append(volumes, m.Name)
		case mount.TypeBind:
			mm.Source = m.Source
			mm.BindOptions = &mount.BindOptions{Propagation: mount.PropagationRPrivate}
		case mount.TypeTmpfs:
			mm.ReadOnly = false
		default:
			continue
		}
		mounts = append(mounts, mm)
	}
	for _, target := range s.Of.tmpfs {
		if !slices.ContainsFunc(mounts, func(m mount.Mount) bool { return m.Target == target }) {
			mounts = append(mounts, mount.Mount{Type: mount.TypeTmpfs, Target: target})
		}
	}
	return mounts, volumes, nil
}

// doubleCaps are the capabilities of a double: what it takes to work on the
// files of another user and to become one, as far as the container has them.
func (c Container) doubleCaps() []string {
	plain := func(list []string) []string {
		var out []string
		for _, name := range list {
			out = append(out, strings.TrimPrefix(strings.ToUpper(name), "CAP_"))
		}
		return out
	}
	add, drop := plain(c.capAdd), plain(c.capDrop)
	caps := []string{}
	for _, name := range []string{"CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "SETGID", "SETUID"} {
		added := slices.Contains(add, name) || slices.Contains(add, "ALL")
		dropped := slices.Contains(drop, name) || slices.Contains(drop, "ALL") && !added
		if !dropped {
			caps = append(caps, name)
		}
	}
	return caps
}

// confinement gives a double the SELinux domain and categories of the
// container, whose files nobody else may touch.
func (c Container) confinement() []string {
	parts := strings.SplitN(c.processLabel, ":", 4) // user:role:type:level
	if len(parts) < 4 {
		return nil
	}
	return []string{"label=type:" + parts[2], "label=level:" + parts[3]}
}
