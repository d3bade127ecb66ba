// Package plan decides what a run will do, and says so as data.
//
// Everything that is to be known is read before and handed in as an Input;
// Make turns it into a Plan: the items, and the operations in the order in
// which they are carried out, each with its cause. The same object is printed
// by "ripplebak plan" and carried out by a run; whoever carries it out decides
// nothing. The package is pure: it asks nobody and changes nothing, so the
// decisions are tested without Docker.
//
// What holds for every plan that Make returns:
//
//   - A service that an operation quiesces is resumed by a later operation,
//     in dependency order, and is quiesced once at most.
//   - A volume belongs to one item, however many services mount it.
//   - A dump of a group that is quiesced is made while the others of the group
//     are down, and what is dumped is up.
//   - Every item and every operation has a cause.
//   - A plan with Problems, or one that is a Draft, must not be carried out.
//
// A mistake in what somebody wrote is a problem, and nothing runs until it is
// put right. What is only so at the moment, such as a database that is down,
// breaks its own item, and the others are saved.
package plan

import (
	"github.com/ripplebak/ripplebak/compose"
	"github.com/ripplebak/ripplebak/dump"
	"github.com/ripplebak/ripplebak/labels"
	"github.com/ripplebak/ripplebak/manifest"
)

// Plan is what a backup run will do.
type Plan struct {
	Project    string      `json:"project"`
	Items      []Item      `json:"items"`
	Operations []Operation `json:"operations"`
	// Unlabelled are services that hold data and that nobody asked to save.
	Unlabelled []Unlabelled `json:"unlabelled"`
	// Warnings are said by plan and by each run. They stop nothing.
	Warnings []string `json:"warnings"`
	// Problems must be put right before anything runs.
	Problems []string `json:"problems"`
	// Draft says that something can be known only once services run, as in a
	// plan of compose files. It is for reading, not for carrying out.
	Draft bool `json:"draft,omitempty"`

	// Only are the services that the run was asked for; none: all.
	Only []string `json:"only,omitempty"`
	// Schedules are those that the run is for, where it leaves out services that
	// follow others.
	Schedules []string `json:"schedules,omitempty"`

	// Specs are kept for who carries the plan out.
	Specs map[string]labels.Spec `json:"-"`
	// Cold are, of a safety snapshot, the volumes that are saved in place of the
	// dumps of a service: their keys, by service.
	Cold map[string][]string `json:"-"`
}

// Item is one thing to save.
type Item struct {
	Key     string        `json:"key"`
	Kind    manifest.Kind `json:"kind"`
	Service string        `json:"service,omitempty"`
	Name    string        `json:"name"`
	Cause   string        `json:"cause"`
	// Skip says why the item is known and left out of this run.
	Skip string `json:"skip,omitempty"`
	// Broken says why the item cannot be saved, which was seen before the run
	// began; the run records it as failed and goes on with the others.
	Broken string `json:"broken,omitempty"`
	// Later says what of the item is known only once its service runs.
	Later string `json:"later,omitempty"`
	// Keep are the retention policies of its services, where one of them has
	// any; "default" stands for the sidecar's.
	Keep []string `json:"keep,omitempty"`
	// Schedules are those of its services, where one of them has its own;
	// "default" stands for the sidecar's.
	Schedules []string `json:"schedules,omitempty"`

	Dump   *DumpItem   `json:"dump,omitempty"`
	Volume *VolumeItem `json:"volume,omitempty"`
	Config *ConfigItem `json:"config,omitempty"`
}

// DumpItem is how a dump is made.
type DumpItem struct {
	Engine    string       `json:"engine"`
	Container string       `json:"container"`
	Facts     dump.Facts   `json:"-"`
	Files     []dump.File  `json:"-"`
	Commands  []string     `json:"commands"`
	Restore   string       `json:"restore_command,omitempty"` // where a label says it
	Request   dump.Request `json:"-"`
	// DataVolumes are the keys of the volumes with the engine's own files.
	DataVolumes []string `json:"data_volumes,omitempty"`
	// Offline says that it is made in a double of the container while the
	// service is down.
	Offline bool `json:"offline,omitempty"`
}

// VolumeItem is how a volume is saved.
type VolumeItem struct {
	Volume compose.Volume `json:"-"`
	// Docker is Docker's name of the volume; of a bind, its path on the host.
	Docker   string         `json:"docker_name"`
	Exclude  []string       `json:"exclude,omitempty"`
	During   labels.During  `json:"during"`
	OnError  labels.OnError `json:"on_error"`
	Owners   []string       `json:"owners,omitempty"` // labelled services that asked for it
	UsedBy   []string       `json:"used_by,omitempty"`
	DeviceID uint64         `json:"-"`
	// Dumped are files that are saved as dumps, and left out where these are good.
	Dumped []DumpedFile `json:"dumped,omitempty"`
	// Inconsistent says why the item will be no single point in time.
	Inconsistent string `json:"inconsistent,omitempty"`
}

// Verb is what an operation does.
type Verb string

// The operations. Each names its items, or its service.
const (
	PreRun  Verb = "pre-run"  // run the command before the run
	RunPre  Verb = "pre"      // run the service's command before
	RunPost Verb = "post"     // run the service's command after
	DoDump  Verb = "dump"     // exec the dump and store it
	Config  Verb = "config"   // read the project's own files
	Double  Verb = "double"   // start the container in which an offline dump is made
	Helper  Verb = "helper"   // start one helper for the volumes of the items
	Walk    Verb = "walk"     // walk the volumes while services go on
	Quiesce Verb = "quiesce"  // stop or pause a service
	Rewalk  Verb = "rewalk"   // walk again, with the first walk as parent
	Resume  Verb = "resume"   // start or unpause the service
	Commit  Verb = "commit"   // write the snapshot
	PostRun Verb = "post-run" // run the command after the run, whatever became of it
)

// Operation is one step of a run.
type Operation struct {
	Do      Verb          `json:"do"`
	Items   []string      `json:"items,omitempty"` // keys
	Service string        `json:"service,omitempty"`
	How     labels.During `json:"how,omitempty"` // stop or pause
	Window  string        `json:"window,omitempty"`
	Command string        `json:"command,omitempty"`
	Cause   string        `json:"cause"`
}

// Unlabelled is a service that holds data and is not labelled.
type Unlabelled struct {
	Service string   `json:"service"` // empty for volumes that no service mounts
	Holds   []string `json:"holds"`
	Advice  string   `json:"advice"`
}

// active says whether the run is to save the item.
func (i Item) active() bool { return i.Skip == "" && i.Broken == "" }

// offline says whether the item is a dump that is made while its service is
// down.
func (i Item) offline() bool { return i.Dump != nil && i.Dump.Offline }

// Item returns the item with the key.
func (p *Plan) Item(key string) (Item, bool) {
	for _, i := range p.Items {
		if i.Key == key {
			return i, true
		}
	}
	return Item{}, false
}

// Probe is what a database's own container answered when it was asked.
type Probe struct {
	Container string
	Facts     dump.Facts
	// Missing is set when the engine's client is not in the container: a
	// fault of the configuration, and a problem of the plan.
	Missing string
	// Err is set when the database could not be asked, for example because
	// it is down: the item is broken, the others are saved.
	Err error
	// Later is set in place of Err when nobody could have asked yet, because
	// the plan is made of compose files.
	Later string
	// DataDirs are the engine's own directories, by environment and image,
	// for a server that could not be asked.
	DataDirs []string
}

// Hook is a command that is run in a service's container; the zero value is
// none.
type Hook struct{ Service, Command string }

// Input is everything that Make decides upon.
type Input struct {
	Project     compose.Project
	Specs       map[string]labels.Spec // by service
	VolumeSpecs map[string]labels.VolumeSpec
	Problems    []string // of labels and settings
	Notices     []string
	Probes      map[string]Probe // by service with a dump
	// ForeignWriters are running containers outside the project that mount a
	// volume for writing, by Docker's name of the volume; of every volume that
	// the project mounts, for it is the plan that knows which are saved.
	ForeignWriters map[string][]string
	// Own are paths of the host that are the sidecar's: no bind saves them.
	Own []OwnPath
	// HostPaths are paths of the host that the settings name.
	HostPaths []string
	// Config is where the project's own files are; without any, none are saved.
	Config compose.Config
	// Select leaves out every item of other services; nil selects all.
	Select []string
	// Due leaves out what follows none of these schedules, as labels write them;
	// manifest.DefaultSchedule stands for the sidecar's. Nil: nothing.
	Due []string
	// HasState says that the state volume is there. HasSocket says that the
	// directory of the helpers' socket is one that helpers can mount.
	HasState, HasSocket bool
	// LocalRepository is the path of a repository on this machine, or empty.
	LocalRepository string
	// Pre and Post are the commands of the whole run.
	Pre, Post Hook
	// Engine returns the engine by its label's name.
	Engine func(name string) (dump.Engine, bool)
}
