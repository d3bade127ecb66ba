package compose

// The labels that Compose puts on what it creates.
const (
	LabelProject    = "com.docker.compose.project"
	LabelService    = "com.docker.compose.service"
	LabelNumber     = "com.docker.compose.container-number"
	LabelOneOff     = "com.docker.compose.oneoff"
	LabelDependsOn  = "com.docker.compose.depends_on"
	LabelConfigHash = "com.docker.compose.config-hash"
	LabelVolume     = "com.docker.compose.volume"
	LabelWorkingDir = "com.docker.compose.project.working_dir"
	LabelConfigs    = "com.docker.compose.project.config_files"
)

// Standalone is the project of the containers that Compose has not made: each is a
// service by its own name, and its volumes go by Docker's names. No project of
// Compose's can have the name, for those begin with a letter or a digit.
const Standalone = "_standalone"

// Up is the command that starts a service.
func (p Project) Up(service string) string {
	if p.Name == Standalone {
		return "docker start " + service
	}
	return "docker compose up -d " + service
}

// Logs is the command that shows what a service says.
func (p Project) Logs(service string) string {
	if p.Name == Standalone {
		return "docker logs " + service
	}
	return "docker compose logs " + service
}

// The labels by which our own containers are known. Both are left out of the
// model: a sidecar never saves or stops itself.
const (
	// LabelHelper, alone or with more behind a dot, is on every throwaway
	// container.
	LabelHelper = "ripplebak.helper"
	// LabelSidecar is declared by our image with the value "true", so that
	// every container of it carries the label, whatever the image is called.
	LabelSidecar = "io.ripplebak.sidecar"
)

// Mount kinds, as Compose and the Engine name them.
const (
	KindVolume = "volume"
	KindBind   = "bind"
	KindTmpfs  = "tmpfs"
)

// Container states, as the Engine names them.
const (
	StateCreated    = "created"
	StateRunning    = "running"
	StatePaused     = "paused"
	StateRestarting = "restarting"
	StateRemoving   = "removing"
	StateExited     = "exited"
	StateDead       = "dead"
)

// Project is a Compose project: everything in it is sorted by name, so that
// equal projects print equally.
type Project struct {
	Name        string
	WorkingDir  string
	ConfigFiles []string
	Services    []Service
	Volumes     []Volume
	// Notes are what the reader should know and what stopped nothing, such as
	// variables of a compose file that are not set. One line each.
	Notes []string
}

// Service is a service of the project; compose run one-offs are none, and our
// own containers are none.
type Service struct {
	Name           string
	Image          string
	Containers     []Container // by number; empty for a project from a file
	DependsOn      []Dependency
	Labels         map[string]string // of the lowest-numbered container
	ImageLabels    map[string]string // what its image declares; nil where unknown
	Mounts         []Mount           // of all containers, each target once, by target
	EnvNames       []string          // names of environment variables, never values
	NetworkMode    string
	HasHealthcheck bool
}

// Dependency is an entry of depends_on.
type Dependency struct {
	Service   string
	Condition string // service_started, service_healthy, service_completed_successfully
	Restart   bool
}

// Container is a container as inspected, without what may hold a secret.
type Container struct {
	ID     string
	Name   string
	Number int // filled from LabelNumber where it is 0
	State  string
	Health string // healthy, unhealthy, starting; empty without a healthcheck

	Labels      map[string]string
	Image       string
	ImageID     string
	ImageLabels map[string]string

	EnvNames       []string // names of environment variables, never values
	Mounts         []Mount
	HasHealthcheck bool
	NetworkMode    string
	// AutoRemove says that the container is gone once it stops (docker run --rm).
	AutoRemove bool
}

// Running says whether the container has processes: running, paused or
// restarting.
func (c Container) Running() bool {
	return c.State == StateRunning || c.State == StatePaused || c.State == StateRestarting
}

// Mount is a mount of a container or service.
type Mount struct {
	Kind     string // KindVolume, KindBind or KindTmpfs
	Volume   string // the Compose key of a volume; empty for an anonymous one
	Name     string // Docker's name of a volume
	Source   string // the path on the host
	Target   string
	ReadOnly bool
	// Anonymous says that the volume has no Compose key: it goes with its
	// container.
	Anonymous bool
}

// Volume is a named volume of the project.
type Volume struct {
	Key      string // the Compose key
	Name     string // Docker's name
	Driver   string
	Options  map[string]string
	Labels   map[string]string
	External bool
	Exists   bool
}

// Use is a container that mounts a volume. Container is empty where the
// project comes from a file.
type Use struct {
	Service   string
	Container string // the ID
	ReadOnly  bool
}

// Service returns the service of that name.
func (p Project) Service(name string) (Service, bool) {
	for _, s := range p.Services {
		if s.Name == name {
			return s, true
		}
	}
	return Service{}, false
}

// Volume returns the volume with that Compose key.
func (p Project) Volume(key string) (Volume, bool) {
	for _, v := range p.Volumes {
		if v.Key == key {
			return v, true
		}
	}
	return Volume{}, false
}
