package plan

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ripplebak/ripplebak/compose"
	"github.com/ripplebak/ripplebak/manifest"
)

// Restore is what a restore will do.
type Restore struct {
	Project    string             `json:"project"`
	Items      []RestoreItem      `json:"items"`
	Operations []RestoreOperation `json:"operations"`
	Warnings   []string           `json:"warnings"`
	Problems   []string           `json:"problems"`
}

// Source is the snapshot from which one item comes.
type Source struct {
	Snapshot string // ID
	Time     time.Time
	Item     manifest.Item
}

// RestoreItem is one item that comes back.
type RestoreItem struct {
	Key      string        `json:"key"`
	Kind     manifest.Kind `json:"kind"`
	Service  string        `json:"service,omitempty"`
	Name     string        `json:"name"`
	Snapshot string        `json:"snapshot"`
	Time     time.Time     `json:"time"`
	Bytes    int64         `json:"bytes"`
	Files    int64         `json:"files"`
	// Volume is set for volumes.
	Volume *RestoreVolume `json:"volume,omitempty"`
	Source Source         `json:"-"`
}

// RestoreVolume is where a volume goes.
type RestoreVolume struct {
	Docker string         `json:"docker_name"`
	Create bool           `json:"create"`
	Spec   compose.Volume `json:"-"` // what is created
}

// RestoreVerb is what a step of a restore does.
type RestoreVerb string

// The steps of a restore.
const (
	Safety       RestoreVerb = "safety"         // save what will be overwritten
	StopService  RestoreVerb = "stop"           // stop a service that runs
	CreateVolume RestoreVerb = "create-volume"  // make a missing volume
	FillVolume   RestoreVerb = "restore-volume" // bring a volume to the snapshot's state
	StartEngine  RestoreVerb = "start-database" // start the database and wait until it is ready
	LoadDump     RestoreVerb = "restore-dump"   // replace a database by its dump
	StartService RestoreVerb = "start"          // start what was stopped
	StopEngine   RestoreVerb = "stop-database"  // stop a database that was not running before
)

// RestoreOperation is one step of a restore.
type RestoreOperation struct {
	Do      RestoreVerb `json:"do"`
	Items   []string    `json:"items,omitempty"`
	Service string      `json:"service,omitempty"`
	Cause   string      `json:"cause,omitempty"`
}

// RestoreInput is everything that a restore is decided upon.
type RestoreInput struct {
	Project compose.Project
	// Sources are the items to restore, each from the newest snapshot in
	// which it is good.
	Sources  []Source
	Warnings []string
	Problems []string
	// ForeignUsers are running containers outside the project that mount a
	// volume, by Docker's name of the volume.
	ForeignUsers map[string][]string
	// Safety says whether what will be overwritten is saved first.
	Safety              bool
	HasState, HasSocket bool
}

// MakeRestore decides what a restore does; what is wrong is in its Problems.
func MakeRestore(in RestoreInput) *Restore {
	r := &Restore{
		Project:    in.Project.Name,
		Items:      []RestoreItem{},
		Operations: []RestoreOperation{},
		Warnings:   slices.Clone(in.Warnings),
		Problems:   slices.Clone(in.Problems),
	}
	order, err := in.Project.Order()
	if err != nil {
		r.Problems = append(r.Problems, err.Error())
		order = serviceNames(in.Project)
	}
	for _, s := range in.Sources {
		r.addItem(in, s)
	}
	r.sameTime()
	r.addOperations(in, order)
	if len(r.Items) == 0 && len(r.Problems) == 0 {
		r.Problems = append(r.Problems, "there is nothing to restore")
	}
	if !in.HasState {
		r.Problems = append(r.Problems, "there is no state volume in which to note what has to be undone; add to the backup service\n    volumes:\n      - ripplebak:/var/lib/ripplebak")
	}
	return r
}

func (r *Restore) addItem(in RestoreInput, s Source) {
	it := RestoreItem{
		Key: s.Item.Key(), Kind: s.Item.Kind, Service: s.Item.Service, Name: s.Item.Name,
		Snapshot: s.Snapshot, Time: s.Time, Bytes: s.Item.Bytes, Files: s.Item.Files, Source: s,
	}
	switch s.Item.Kind {
	case manifest.Dump:
		r.checkDump(in, s.Item)
	case manifest.Volume:
		it.Volume = target(in.Project, s.Item)
		if users := in.ForeignUsers[it.Volume.Docker]; len(users) > 0 {
			r.Problems = append(r.Problems, fmt.Sprintf("%s: %s uses it and is not part of the project: stop it first", it.Key, strings.Join(users, ", ")))
		}
		if !in.HasSocket {
			r.Problems = append(r.Problems, "helpers cannot be reached: add to the backup service\n    volumes:\n      - ripplebak-run:/run/ripplebak")
		}
	default:
		r.Problems = append(r.Problems, fmt.Sprintf("%s: this version restores dumps and volumes only", it.Key))
	}
	r.Items = append(r.Items, it)
}

func (r *Restore) checkDump(in RestoreInput, item manifest.Item) {
	s, ok := in.Project.Service(item.Service)
	if ok && len(s.Containers) > 0 {
		return
	}
	r.Problems = append(r.Problems, fmt.Sprintf("%s: service %q has no container: create it with \"docker compose up -d %s\" and restore again", item.Key(), item.Service, item.Service))
}

// target says which volume an item of the manifest is today: the project's
// own under the same key, else one to create. A project under a new name gets
// volumes of its own.
func target(p compose.Project, item manifest.Item) *RestoreVolume {
	if v, ok := p.Volume(item.Name); ok {
		return &RestoreVolume{Docker: v.Name, Create: !v.Exists, Spec: v}
	}
	info := item.VolumeInfo
	v := compose.Volume{Key: item.Name, Name: p.Name + "_" + item.Name, Driver: info.Driver, Options: info.Options, External: info.External, Labels: map[string]string{}}
	old := info.Labels[compose.LabelProject]
	if info.External || old != "" && info.DockerName != old+"_"+item.Name {
		v.Name = info.DockerName
	}
	for k, l := range info.Labels {
		v.Labels[k] = l
	}
	if !info.External {
		v.Labels[compose.LabelProject] = p.Name
		v.Labels[compose.LabelVolume] = item.Name
	}
	return &RestoreVolume{Docker: v.Name, Create: true, Spec: v}
}

// sameTime warns when items come from different snapshots.
func (r *Restore) sameTime() {
	if len(r.Items) == 0 {
		return
	}
	newest := r.Items[0].Time
	for _, it := range r.Items {
		if it.Time.After(newest) {
			newest = it.Time
		}
	}
	for _, it := range r.Items {
		if !it.Time.Equal(newest) {
			r.Warnings = append(r.Warnings, fmt.Sprintf("%s comes from %s, because it is not good in the snapshot of %s", it.Key, it.Time.Format(time.RFC3339), newest.Format(time.RFC3339)))
		}
	}
}

func (r *Restore) addOperations(in RestoreInput, order []string) {
	engines, engineServices := r.dumpsByService(order)
	stop := r.toStop(in, engineServices)
	if in.Safety {
		if keys := r.overwritten(); len(keys) > 0 {
			r.Operations = append(r.Operations, RestoreOperation{Do: Safety, Items: keys, Cause: "what will be overwritten can be brought back"})
		}
	}
	for _, s := range slices.Backward(order) {
		if cause, ok := stop[s]; ok {
			r.Operations = append(r.Operations, RestoreOperation{Do: StopService, Service: s, Cause: cause})
		}
	}
	r.addVolumeOperations()
	for _, s := range engineServices {
		r.Operations = append(r.Operations, RestoreOperation{Do: StartEngine, Service: s, Cause: "its databases are restored by its own client"})
		for _, key := range engines[s] {
			r.Operations = append(r.Operations, RestoreOperation{Do: LoadDump, Service: s, Items: []string{key}})
		}
	}
	for _, s := range order {
		_, stopped := stop[s]
		isEngine := slices.Contains(engineServices, s)
		switch {
		case stopped && !isEngine:
			r.Operations = append(r.Operations, RestoreOperation{Do: StartService, Service: s, Cause: "was running"})
		case isEngine && !running(in.Project, s):
			r.Operations = append(r.Operations, RestoreOperation{Do: StopEngine, Service: s, Cause: "was not running before"})
		}
	}
}

// dumpsByService groups the keys of dumps by service: globals first, because
// databases are owned by roles.
func (r *Restore) dumpsByService(order []string) (map[string][]string, []string) {
	byService := map[string][]string{}
	for _, globals := range []bool{true, false} {
		for _, it := range r.Items {
			if it.Kind == manifest.Dump && (it.Name == "") == globals {
				byService[it.Service] = append(byService[it.Service], it.Key)
			}
		}
	}
	var services []string
	for _, s := range order {
		if len(byService[s]) > 0 {
			services = append(services, s)
		}
	}
	return byService, services
}

// toStop are the running services that use a volume to be restored, and those
// that depend on a database to be restored, each with the cause.
func (r *Restore) toStop(in RestoreInput, engines []string) map[string]string {
	stop := map[string]string{}
	for _, it := range r.Items {
		if it.Volume == nil {
			continue
		}
		for _, u := range in.Project.UsersOf(it.Volume.Docker) {
			if running(in.Project, u.Service) {
				stop[u.Service] = "uses " + it.Key
			}
		}
	}
	for _, e := range engines {
		for _, d := range in.Project.Dependents(e) {
			if _, ok := stop[d]; !ok && running(in.Project, d) {
				stop[d] = "depends on " + e
			}
		}
	}
	return stop
}

// overwritten are the items of which something is there today.
func (r *Restore) overwritten() []string {
	var keys []string
	for _, it := range r.Items {
		if it.Volume == nil || !it.Volume.Create {
			keys = append(keys, it.Key)
		}
	}
	return keys
}

func (r *Restore) addVolumeOperations() {
	for _, it := range r.Items {
		if it.Volume != nil && it.Volume.Create {
			r.Operations = append(r.Operations, RestoreOperation{Do: CreateVolume, Items: []string{it.Key}, Cause: "it does not exist"})
		}
	}
	for _, it := range r.Items {
		if it.Volume != nil {
			r.Operations = append(r.Operations, RestoreOperation{Do: FillVolume, Items: []string{it.Key}})
		}
	}
}

// Item returns the item with the key.
func (r *Restore) Item(key string) (RestoreItem, bool) {
	for _, i := range r.Items {
		if i.Key == key {
			return i, true
		}
	}
	return RestoreItem{}, false
}
