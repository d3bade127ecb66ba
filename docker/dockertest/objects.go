package dockertest

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/volume"
)

// Container is a container of the fake. Zero values are what a plain running
// container has.
type Container struct {
	// ID is made up if it is "".
	ID, Name, Image, ImageID string
	Labels                   map[string]string
	Env                      []string
	Mounts                   []Mount
	// State is running unless it says otherwise: exited, paused, created.
	State         string
	ExitCode      int
	Health        string
	User          string
	Hostname      string
	NetworkMode   string
	RestartPolicy string
	StopTimeout   *int
	AutoRemove    bool
}

// Mount is a mount of a fake container: a volume's name or a host path.
type Mount struct {
	Volume, Bind, Target string
	ReadOnly             bool
}

// Volume is a volume of the fake.
type Volume struct {
	Name, Driver string
	Labels       map[string]string
	Options      map[string]string
}

// box is a container and what happens to it.
type box struct {
	Container
	created, started, finished time.Time
	argv                       []string
	host                       container.HostConfig
	process                    *execution
	exited                     chan struct{}
}

// AddContainer adds a container and returns its ID.
func (e *Engine) AddContainer(c Container) string {
	e.mu.Lock()
	defer e.mu.Unlock()
	b := e.add(c)
	if b.State == "" {
		b.State = container.StateRunning
	}
	if b.State == container.StateExited {
		close(b.exited)
	}
	return b.ID
}

func (e *Engine) add(c Container) *box {
	if c.ID == "" {
		c.ID = e.newID()
	}
	if c.Name == "" {
		c.Name = "box-" + c.ID[:12]
	}
	if c.ImageID == "" {
		c.ImageID = "sha256:" + strings.Repeat("1a", 32)
	}
	if c.Hostname == "" {
		c.Hostname = c.ID[:12]
	}
	now := time.Now()
	b := &box{Container: c, created: now, exited: make(chan struct{})}
	if c.State != container.StateCreated {
		b.started = now
	}
	e.containers[c.ID] = b
	return b
}

// AddVolume adds a volume.
func (e *Engine) AddVolume(v Volume) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if v.Driver == "" {
		v.Driver = "local"
	}
	e.volumes[v.Name] = v
}

// RemoveVolume takes a volume away.
func (e *Engine) RemoveVolume(name string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.volumes, name)
}

// KeepIn has the Engine say that it keeps its data in a directory of the host.
func (e *Engine) KeepIn(dir string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.dataRoot = dir
}

// AddImage adds an image, by reference or ID.
func (e *Engine) AddImage(ref string, labels map[string]string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.images[ref] = labels
}

// RemoveContainer takes a container away, with everything that runs in it.
func (e *Engine) RemoveContainer(id string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if b := e.find(id); b != nil {
		e.halt(b, 137)
		delete(e.containers, b.ID)
		for xid, x := range e.execs {
			if x.box == b {
				delete(e.execs, xid)
			}
		}
	}
}

// KillContainer ends a container, and everything in it, with exit code 137.
func (e *Engine) KillContainer(id string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if b := e.find(id); b != nil {
		e.halt(b, 137)
	}
}

// Containers are the fake's containers as they are now, by name.
func (e *Engine) Containers() []Container {
	e.mu.Lock()
	defer e.mu.Unlock()
	var out []Container
	for _, b := range e.containers {
		out = append(out, b.Container)
	}
	slices.SortFunc(out, func(a, b Container) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// Volumes are the names of the fake's volumes, sorted.
func (e *Engine) Volumes() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Sorted(maps.Keys(e.volumes))
}

// HostConfig is what a helper was created with.
func (e *Engine) HostConfig(id string) container.HostConfig {
	e.mu.Lock()
	defer e.mu.Unlock()
	if b := e.find(id); b != nil {
		return b.host
	}
	return container.HostConfig{}
}

// find finds a container by ID, unambiguous prefix or name. The caller holds mu.
func (e *Engine) find(id string) *box {
	if b, ok := e.containers[id]; ok {
		return b
	}
	var found *box
	for _, b := range e.containers {
		if b.Name == id {
			return b
		}
		if len(id) >= 12 && strings.HasPrefix(b.ID, id) {
			found = b
		}
	}
	return found
}

// halt ends a container. The caller holds mu.
func (e *Engine) halt(b *box, code int) {
	for _, x := range e.execs {
		if x.box == b {
			x.kill(137)
		}
	}
	if b.process != nil {
		b.process.kill(code)
		b.process = nil
	}
	if b.up() {
		close(b.exited)
		b.State, b.ExitCode, b.finished = container.StateExited, code, time.Now()
	}
}

func (b *box) up() bool {
	return b.State == container.StateRunning || b.State == container.StatePaused
}

func (b *box) inspect() container.InspectResponse {
	state := &container.State{
		Status: b.State, Running: b.up(), Paused: b.State == container.StatePaused, ExitCode: b.ExitCode,
		StartedAt: stamp(b.started), FinishedAt: stamp(b.finished),
	}
	config := &container.Config{
		Image: b.Image, Labels: b.Labels, Env: b.Env, User: b.User, Hostname: b.Hostname,
		StopTimeout: b.StopTimeout, Entrypoint: b.argv,
	}
	if b.Health != "" {
		state.Health = &container.Health{Status: b.Health}
		config.Healthcheck = &container.HealthConfig{Test: []string{"CMD", "true"}}
	}
	host := b.host
	if b.NetworkMode != "" {
		host.NetworkMode = container.NetworkMode(b.NetworkMode)
	}
	host.AutoRemove = b.AutoRemove
	host.RestartPolicy.Name = container.RestartPolicyMode(b.RestartPolicy)
	return container.InspectResponse{
		ContainerJSONBase: &container.ContainerJSONBase{
			ID: b.ID, Name: "/" + b.Name, Image: b.ImageID, Created: stamp(b.created), State: state, HostConfig: &host,
		},
		Mounts: b.points(), Config: config,
	}
}

func (b *box) points() []container.MountPoint {
	var out []container.MountPoint
	for _, m := range b.Mounts {
		p := container.MountPoint{Type: mount.TypeBind, Source: m.Bind, Destination: m.Target, RW: !m.ReadOnly}
		if m.Volume != "" {
			p.Type, p.Name, p.Source, p.Driver = mount.TypeVolume, m.Volume, mountpoint(m.Volume), "local"
		}
		out = append(out, p)
	}
	return out
}

func (v Volume) inspect() volume.Volume {
	return volume.Volume{
		Name: v.Name, Driver: v.Driver, Labels: v.Labels, Options: v.Options, Scope: "local",
		Mountpoint: mountpoint(v.Name), CreatedAt: "2024-01-02T03:04:05Z",
	}
}

func mountpoint(name string) string { return "/var/lib/docker/volumes/" + name + "/_data" }

func stamp(t time.Time) string {
	if t.IsZero() {
		return "0001-01-01T00:00:00Z"
	}
	return t.UTC().Format(time.RFC3339Nano)
}
