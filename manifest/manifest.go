// Package manifest is the type of ripplebak.json, the file at the root of
// each snapshot that says what the project consisted of and what became of
// each part of it.
//
// A restore depends on the manifest and not on today's labels, so whatever a
// restore has to know is written here while it can still be asked for. The
// manifest holds every item of the project, also those that a run left out:
// an item that is absent was not known, an item that is present and not good
// was known and is not to be had from this snapshot.
//
// The package is pure. Its input comes out of the repository, so it is
// authenticated, but it may have been written by another version: unknown
// fields are ignored, an unknown format is ErrFormat.
package manifest

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Format is the version of the manifest that this package writes.
const Format = 1

// FileName is the manifest's name inside the project's directory.
const FileName = "ripplebak.json"

// MaxSize bounds what Decode reads, in bytes.
const MaxSize = 64 << 20

// ErrFormat means that the manifest was written by a newer ripplebak.
var ErrFormat = errors.New("manifest has a format that this version does not know: use a newer ripplebak")

// Kind says what an item is.
type Kind string

// The kinds of items.
const (
	Dump   Kind = "dump"   // one database of one service, or a service's globals
	Volume Kind = "volume" // one volume
	Bind   Kind = "bind"   // a bind mount or a host path
	Config Kind = "config" // compose files and .env
)

// State says what became of an item in the run that wrote the manifest.
type State string

// The states of an item.
const (
	Good    State = "good"    // proven whole
	Partial State = "partial" // stored, some of its files could not be read
	Failed  State = "failed"  // not in the snapshot
	Skipped State = "skipped" // known, and left out of this run on purpose
)

// Manifest describes one snapshot.
type Manifest struct {
	Format   int       `json:"format"`
	Project  string    `json:"project"`
	Run      string    `json:"run"`
	Safety   bool      `json:"safety,omitempty"`
	Host     string    `json:"host"`
	Program  string    `json:"program"`
	Engine   string    `json:"engine,omitempty"` // version of the Docker Engine
	Started  time.Time `json:"started"`
	Finished time.Time `json:"finished"`
	Services []Service `json:"services"`
	Items    []Item    `json:"items"`
	Warnings []string  `json:"warnings,omitempty"`
	// Only are the services that the run was asked for; none: all.
	Only []string `json:"only,omitempty"`
	// Schedules are those that the run was for, where it left out services that
	// follow others; DefaultSchedule stands for the sidecar's. None: it was for
	// all, or asked for by hand.
	Schedules []string `json:"schedules,omitempty"`
	// Unlabelled are services with data that the run did not save.
	Unlabelled []Unlabelled `json:"unlabelled,omitempty"`
	// Overwritten is what a safety snapshot was made for; nil in others, and in
	// those of earlier versions.
	Overwritten *Overwritten `json:"overwritten,omitempty"`
	// Recovery is what it takes to get at the snapshot again; nil in those of
	// earlier versions.
	Recovery *Recovery `json:"recovery,omitempty"`
}

// Part says whether the run left out services, as it was asked to or because
// they follow another schedule.
func (m *Manifest) Part() bool { return len(m.Only) > 0 || len(m.Schedules) > 0 }

// Mark is how much there was of an item in a run.
type Mark struct {
	Time  time.Time `json:"time"`
	Bytes int64     `json:"bytes"`
	Files int64     `json:"files"`
}

// DefaultPolicy stands for the sidecar's own policy among an item's.
const DefaultPolicy = "default"

// DefaultSchedule stands for the sidecar's own schedule among those of an item
// or a run. It is no expression.
const DefaultSchedule = "default"

// Service records what a service was made of.
type Service struct {
	Name      string   `json:"name"`
	Image     string   `json:"image"`
	ImageID   string   `json:"image_id,omitempty"`
	DependsOn []string `json:"depends_on,omitempty"`
	// Stopped says that no container of it ran.
	Stopped bool `json:"stopped,omitempty"`
}

// Item is one thing of the project and its state.
type Item struct {
	Kind     Kind      `json:"kind"`
	Service  string    `json:"service,omitempty"`
	Name     string    `json:"name"`
	State    State     `json:"state"`
	Error    string    `json:"error,omitempty"`
	Warnings []string  `json:"warnings,omitempty"`
	Started  time.Time `json:"started,omitzero"`
	Finished time.Time `json:"finished,omitzero"`

	// Keep are the retention policies of the services that it belongs to, as
	// their labels said, so that a service that is gone keeps its own;
	// DefaultPolicy stands for the sidecar's. None: the sidecar's.
	Keep []string `json:"keep,omitempty"`
	// Schedules are those of the services that it belongs to, where one has its
	// own; DefaultSchedule stands for the sidecar's. None: the sidecar's.
	Schedules []string `json:"schedules,omitempty"`
	// During says what the services did meanwhile: live, pause or stop.
	During string `json:"during,omitempty"`
	// Inconsistent says why the item is no single point in time, for
	// example because a container of another project wrote to it.
	Inconsistent string `json:"inconsistent,omitempty"`
	// DowntimeSeconds is how long services were not running for this item.
	DowntimeSeconds float64 `json:"downtime_seconds,omitempty"`

	Bytes int64 `json:"bytes"`
	Files int64 `json:"files"`
	// Recent is how much there was of the item in the last runs in which it was
	// good, the newest first, so that a sudden change is seen.
	Recent   []Mark   `json:"recent,omitempty"`
	Commands []string `json:"commands,omitempty"`

	DumpInfo   *DumpInfo   `json:"dump,omitempty"`
	VolumeInfo *VolumeInfo `json:"volume,omitempty"`
	ConfigInfo *ConfigInfo `json:"config,omitempty"`
}

// DumpInfo is what a restore of a dump has to know.
type DumpInfo struct {
	Engine        string `json:"engine"`
	ServerVersion string `json:"server_version"`
	ClientVersion string `json:"client_version"`
	// Files are the dump's files below dumps/SERVICE/, by role.
	Files []DumpFile `json:"files"`
	// Facts is what the engine said of the server and its databases when
	// the dump was made; its shape belongs to the engine.
	Facts json.RawMessage `json:"facts,omitempty"`
	// ExcludeTableData are patterns of tables whose rows are not in the dump.
	ExcludeTableData []string `json:"exclude_table_data,omitempty"`
	// Volumes are the keys of the volumes that hold the engine's own files.
	Volumes []string `json:"volumes,omitempty"`
}

// DumpFile is one file of a dump.
type DumpFile struct {
	Name string `json:"name"`
	Role string `json:"role"`
	Size int64  `json:"size"`
}

// HostService stands for the service of a bind that is a path of the host, which
// the sidecar's settings name.
const HostService = "_host"

// VolumeInfo is what a restore and the next backup of a volume, or of a bind,
// have to know.
type VolumeInfo struct {
	// DockerName is that of a volume, HostPath the directory of a bind, or its
	// file.
	DockerName string `json:"docker_name,omitempty"`
	HostPath   string `json:"host_path,omitempty"`
	// File is the name of that file; empty for a directory.
	File    string            `json:"file,omitempty"`
	Driver  string            `json:"driver,omitempty"`
	Options map[string]string `json:"options,omitempty"`
	// Withheld says that Options lack a password, which no manifest holds:
	// the volume cannot be made again from them.
	Withheld bool              `json:"withheld,omitempty"`
	Labels   map[string]string `json:"labels,omitempty"`
	External bool              `json:"external,omitempty"`
	// DeviceID is the stable number that the item's files carry as device_id.
	DeviceID uint64 `json:"device_id"`
	// WalkStarted is the volume's own clock after the flush with which the
	// walk began; times at or after it are not trusted by the next run.
	WalkStartedSec  int64  `json:"walk_started_sec"`
	WalkStartedNsec uint32 `json:"walk_started_nsec"`
	StableInodes    bool   `json:"stable_inodes"`
	// SlackMillis is how far the volume's stamps may lag behind that clock.
	SlackMillis uint32 `json:"slack_ms,omitempty"`
	// Exclude are the globs that held; what they match is not touched by a
	// restore. Unreadable are paths that could not be read.
	Exclude    []string `json:"exclude,omitempty"`
	Unreadable []string `json:"unreadable,omitempty"`
	// UnreadableCount is how many there were, of which Unreadable are the first.
	UnreadableCount int64 `json:"unreadable_count,omitempty"`
	// UsedBy are the services that mounted the volume.
	UsedBy []string `json:"used_by,omitempty"`
}

// what says what a bind is of.
func (v *VolumeInfo) what() string {
	if v.File != "" {
		return "the file"
	}
	return "the directory"
}

// Key names an item uniquely within a project: "dump db/shop", "volume data".
func (i Item) Key() string {
	return Key(i.Kind, i.Service, i.Name)
}

// Key names an item uniquely within a project. A dump without a name is what
// belongs to no database of its service: its globals. There is one config.
func Key(kind Kind, service, name string) string {
	switch {
	case kind == Config && name == "":
		return string(kind)
	case kind == Volume || kind == Config:
		return string(kind) + " " + name
	case kind == Bind:
		return string(kind) + " " + service + ":" + name
	case kind == Dump && name == "":
		return string(kind) + " " + service + " (globals)"
	default:
		return string(kind) + " " + service + "/" + name
	}
}

// Find returns the item with the given key.
func (m *Manifest) Find(key string) (Item, bool) {
	for _, i := range m.Items {
		if i.Key() == key {
			return i, true
		}
	}
	return Item{}, false
}

// Complete reports whether every item that the run was to save is good.
func (m *Manifest) Complete() bool {
	for _, i := range m.Items {
		if i.State == Failed || i.State == Partial {
			return false
		}
	}
	return true
}

// Encode writes the manifest as indented JSON, for people read it too.
func (m *Manifest) Encode() ([]byte, error) {
	m.Format = Format
	b, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode manifest: %w", err)
	}
	return append(b, '\n'), nil
}

// Decode reads a manifest. Errors: ErrFormat, or what is wrong with the JSON.
func Decode(b []byte) (*Manifest, error) {
	if len(b) > MaxSize {
		return nil, fmt.Errorf("decode manifest: %d bytes are more than a manifest can have", len(b))
	}
	var m Manifest
	if err := json.Unmarshal(b, &m); err != nil {
		return nil, fmt.Errorf("decode manifest: %w", err)
	}
	if m.Format < 1 {
		return nil, errors.New("decode manifest: it has no format number")
	}
	if m.Format > Format {
		return nil, fmt.Errorf("decode manifest: format %d: %w", m.Format, ErrFormat)
	}
	if err := m.validate(); err != nil {
		return nil, fmt.Errorf("decode manifest: %w", err)
	}
	return &m, nil
}

// validate keeps what a restore relies upon: known kinds and states, and each
// item once.
func (m *Manifest) validate() error {
	seen := make(map[string]bool, len(m.Items))
	for _, i := range m.Items {
		switch i.Kind {
		case Dump, Volume, Bind, Config:
		default:
			return fmt.Errorf("item %q has the unknown kind %q", i.Name, i.Kind)
		}
		switch i.State {
		case Good, Partial, Failed, Skipped:
		default:
			return fmt.Errorf("item %q has the unknown state %q", i.Key(), i.State)
		}
		if seen[i.Key()] {
			return fmt.Errorf("item %q is there twice", i.Key())
		}
		seen[i.Key()] = true
	}
	return nil
}
