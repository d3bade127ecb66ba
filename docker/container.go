package docker

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
)

// Compose's own labels that this package reads.
const (
	labelProject = "com.docker.compose.project"
	labelService = "com.docker.compose.service"
	labelNumber  = "com.docker.compose.container-number"
	labelCompose = "com.docker.compose." // begins them all
)

// helperLabel, alone or with more behind a dot, is on throwaway containers of ours.
const helperLabel = "ripplebak.helper"

// Standalone is the project of the containers that Compose has not made. None of
// Compose's own can have the name, for those begin with a letter or a digit.
const Standalone = "_standalone"

// adopt gives a container that Compose has not made the labels that it would have
// been given: each is a service by its own name, so that it is found again when it
// has been made anew. Only our view of it changes. What is ours is left alone.
func adopt(labels map[string]string, name string) map[string]string {
	if p, made := labels[labelProject]; made && p != Standalone {
		return labels
	}
	out := map[string]string{}
	for k, v := range labels {
		if k == helperLabel || strings.HasPrefix(k, helperLabel+".") {
			return labels
		}
		if !strings.HasPrefix(k, labelCompose) { // without a project they are somebody's invention
			out[k] = v
		}
	}
	out[labelProject], out[labelService], out[labelNumber] = Standalone, name, "1"
	return out
}

// inspectAtOnce bounds the inspects under way for one list.
const inspectAtOnce = 4

// Container is what we know of a container, all of it from one inspect.
type Container struct {
	// ID is the full ID, Name the name without its leading slash.
	ID, Name string
	// Image is the image as it was asked for, ImageID what it was then.
	Image, ImageID string
	// Labels are those of the container, with those of the image mixed in.
	Labels map[string]string
	// State is the Engine's word: created, running, paused, restarting,
	// removing, exited, dead.
	State string
	// Running is true for paused containers too.
	Running, Paused, Restarting bool
	// Health is "", starting, healthy or unhealthy.
	Health         string
	HasHealthcheck bool
	// ExitCode, OOMKilled and Error tell of the last run of a stopped container.
	ExitCode  int
	OOMKilled bool
	Error     string
	// StartedAt and FinishedAt are zero for what never happened.
	Created, StartedAt, FinishedAt time.Time
	Mounts                         []Mount
	Hostname                       string
	// NetworkMode is the Engine's: none, host, bridge, container:ID or a
	// network's name.
	NetworkMode string
	AutoRemove  bool
	// ReadOnly: the root filesystem may not be written.
	ReadOnly bool
	// RestartPolicy is no, always, on-failure or unless-stopped.
	RestartPolicy string
	// StopTimeout is the container's own, in seconds; nil: the Engine's 10.
	StopTimeout *int
	// StopSignal is "" for TERM.
	StopSignal string
	// User is who the container runs as, "" for root.
	User string

	// env and argv are pointers, so that no format verb prints what may be a
	// secret.
	env  *environment
	argv *[]string

	// What a double of it gets, too.
	workingDir      string
	groups          []string
	capAdd, capDrop []string
	tmpfs           []string // targets, beside those in Mounts
	subpaths        bool     // a part of a volume is mounted
	processLabel    string   // of SELinux
}

// Mount is a mount of a container.
type Mount struct {
	// Type is volume, bind, tmpfs, ...
	Type string
	// Name is the volume's name; Source is where it or the bind lies on the
	// host.
	Name, Source string
	// Destination is the path inside the container.
	Destination string
	Driver      string
	RW          bool
	Propagation string
}

type environment struct{ vars []string }

// EnvNames are the names of the variables that the container was created
// with, sorted. Their values may be secrets and should stay where they are.
func (c Container) EnvNames() []string {
	if c.env == nil {
		return nil
	}
	names := make([]string, 0, len(c.env.vars))
	for _, v := range c.env.vars {
		name, _, _ := strings.Cut(v, "=")
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

// LookupEnv is one variable that the container was created with. It is for
// variables that are no secret, such as PGDATA.
func (c Container) LookupEnv(name string) (value string, ok bool) {
	if c.env == nil {
		return "", false
	}
	for _, v := range c.env.vars {
		if n, val, _ := strings.Cut(v, "="); n == name {
			value, ok = val, true
		}
	}
	return value, ok
}

// Argv is the command that the container was made with, entry point and all.
// It may hold secrets.
func (c Container) Argv() []string {
	if c.argv == nil {
		return nil
	}
	return *c.argv
}

// WithEnv is the container with other variables, for tests of what reads them.
func (c Container) WithEnv(vars ...string) Container {
	c.env = &environment{vars: vars}
	return c
}

// Project is the Compose project that the container says it belongs to;
// Standalone where Compose has not made it, and empty for one of ours.
func (c Container) Project() string { return c.Labels[labelProject] }

// Inspect reads one container, by ID or name. ErrNoContainer where there is none.
func (e *Engine) Inspect(ctx context.Context, id string) (Container, error) {
	var out Container
	err := e.retry(ctx, "GET /containers/{id}/json", func(ctx context.Context) error {
		r, err := e.cli.ContainerInspect(ctx, id)
		switch {
		case errdefs.IsNotFound(err):
			return fmt.Errorf("%w: %s", ErrNoContainer, short(id))
		case err != nil:
			return err
		case r.ContainerJSONBase == nil || r.Config == nil || r.State == nil || r.HostConfig == nil:
			return fmt.Errorf("inspect of container %s is incomplete", short(id))
		}
		out = containerOf(r)
		return nil
	})
	return out, err
}

// ProjectContainers lists the containers of a Compose project, running or not,
// by name. Only those whose inspected label says so are returned: a list that
// was filtered, by whom ever, is not believed. One that vanishes meanwhile is
// left out.
func (e *Engine) ProjectContainers(ctx context.Context, project string) ([]Container, error) {
	if project == "" {
		return nil, fmt.Errorf("list containers: no project")
	}
	if project == Standalone {
		return e.standalone(ctx)
	}
	return e.containersWith(ctx, map[string]string{labelProject: project})
}

// standalone lists the containers that Compose has not made.
func (e *Engine) standalone(ctx context.Context) ([]Container, error) {
	list, err := e.list(ctx, filters.NewArgs())
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, s := range list {
		if adopt(s.Labels, "")[labelProject] == Standalone {
			ids = append(ids, s.ID)
		}
	}
	return e.inspectAll(ctx, ids, func(c Container) bool { return c.Project() == Standalone })
}

// Listed is a container as the Engine lists it, which says when to look closer and
// no more.
type Listed struct {
	Name   string
	Labels map[string]string
}

// Project is the Compose project that the container says it belongs to.
func (c Listed) Project() string { return c.Labels[labelProject] }

// Listed lists all containers, running or not, and inspects none.
func (e *Engine) Listed(ctx context.Context) ([]Listed, error) {
	list, err := e.list(ctx, filters.NewArgs())
	if err != nil {
		return nil, err
	}
	var out []Listed
	for _, s := range list {
		name := ""
		if len(s.Names) > 0 {
			name = strings.TrimPrefix(s.Names[0], "/")
		}
		out = append(out, Listed{Name: name, Labels: adopt(s.Labels, name)})
	}
	return out, nil
}

// Helpers lists the containers that carry all of these labels (an empty value
// stands for any), running or not, by name.
func (e *Engine) Helpers(ctx context.Context, labels map[string]string) ([]Container, error) {
	if len(labels) == 0 {
		return nil, fmt.Errorf("list helpers: no labels to go by")
	}
	return e.containersWith(ctx, labels)
}

func (e *Engine) containersWith(ctx context.Context, labels map[string]string) ([]Container, error) {
	args := filters.NewArgs()
	for k, v := range labels {
		if v != "" {
			k += "=" + v
		}
		args.Add("label", k)
	}
	list, err := e.list(ctx, args)
	if err != nil {
		return nil, err
	}
	ids := make([]string, len(list))
	for i, s := range list {
		ids[i] = s.ID
	}
	return e.inspectAll(ctx, ids, func(c Container) bool {
		for k, v := range labels {
			have, ok := c.Labels[k]
			if !ok || (v != "" && have != v) {
				return false
			}
		}
		return true
	})
}

// list lists containers, running or not.
func (e *Engine) list(ctx context.Context, args filters.Args) ([]container.Summary, error) {
	var list []container.Summary
	err := e.retry(ctx, "GET /containers/json", func(ctx context.Context) (err error) {
		list, err = e.cli.ContainerList(ctx, container.ListOptions{All: true, Filters: args})
		return err
	})
	return list, err
}

// inspectAll inspects containers, a few at a time, and returns those that
// still exist and are wanted, by name.
func (e *Engine) inspectAll(ctx context.Context, ids []string, want func(Container) bool) ([]Container, error) {
	found := make([]*Container, len(ids))
	errs := make([]error, len(ids))
	slots := make(chan struct{}, inspectAtOnce)
	var wg sync.WaitGroup
	for i, id := range ids {
		wg.Add(1)
		slots <- struct{}{}
		go func() {
			defer func() { <-slots; wg.Done() }()
			c, err := e.Inspect(ctx, id)
			if err != nil {
				errs[i] = err
				return
			}
			found[i] = &c
		}()
	}
	wg.Wait()
	var out []Container
	for i, c := range found {
		if err := errs[i]; err != nil && !isGone(err) {
			return nil, err
		}
		if c != nil && want(*c) {
			out = append(out, *c)
		}
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Name < out[j].Name })
	return out, nil
}

func containerOf(r container.InspectResponse) Container {
	c := Container{
		ID: r.ID, Name: strings.TrimPrefix(r.Name, "/"),
		Image: r.Config.Image, ImageID: r.Image, Labels: r.Config.Labels,
		State: r.State.Status, Running: r.State.Running, Paused: r.State.Paused, Restarting: r.State.Restarting,
		ExitCode: r.State.ExitCode, OOMKilled: r.State.OOMKilled, Error: r.State.Error,
		Created: timeOf(r.Created), StartedAt: timeOf(r.State.StartedAt), FinishedAt: timeOf(r.State.FinishedAt),
		Hostname: r.Config.Hostname, NetworkMode: string(r.HostConfig.NetworkMode),
		AutoRemove: r.HostConfig.AutoRemove, ReadOnly: r.HostConfig.ReadonlyRootfs,
		RestartPolicy: string(r.HostConfig.RestartPolicy.Name),
		StopTimeout:   r.Config.StopTimeout, StopSignal: r.Config.StopSignal,
		User: r.Config.User, env: &environment{vars: r.Config.Env},
		workingDir: r.Config.WorkingDir, groups: r.HostConfig.GroupAdd, capAdd: r.HostConfig.CapAdd, capDrop: r.HostConfig.CapDrop,
		tmpfs: slices.Sorted(maps.Keys(r.HostConfig.Tmpfs)), processLabel: r.ProcessLabel,
	}
	for _, m := range r.HostConfig.Mounts {
		c.subpaths = c.subpaths || m.VolumeOptions != nil && m.VolumeOptions.Subpath != ""
	}
	argv := slices.Concat([]string(r.Config.Entrypoint), []string(r.Config.Cmd))
	c.argv = &argv
	c.Labels = adopt(c.Labels, c.Name)
	if h := r.State.Health; h != nil && h.Status != container.NoHealthcheck {
		c.Health, c.HasHealthcheck = h.Status, true
	}
	if h := r.Config.Healthcheck; h != nil && len(h.Test) > 0 && h.Test[0] != "NONE" {
		c.HasHealthcheck = true
	}
	for _, m := range r.Mounts {
		c.Mounts = append(c.Mounts, Mount{
			Type: string(m.Type), Name: m.Name, Source: m.Source, Destination: m.Destination,
			Driver: m.Driver, RW: m.RW, Propagation: string(m.Propagation),
		})
	}
	sort.Slice(c.Mounts, func(i, j int) bool { return c.Mounts[i].Destination < c.Mounts[j].Destination })
	return c
}

// timeOf reads the Engine's times, of which year 1 stands for never.
func timeOf(s string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil || t.Year() <= 1 {
		return time.Time{}
	}
	return t
}

// short is an ID as people know it.
func short(id string) string {
	if len(id) == 64 {
		return id[:12]
	}
	return id
}
