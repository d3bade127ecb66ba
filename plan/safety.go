package plan

import (
	"fmt"
	"slices"

	"github.com/ripplebak/ripplebak/compose"
	"github.com/ripplebak/ripplebak/dump"
	"github.com/ripplebak/ripplebak/labels"
	"github.com/ripplebak/ripplebak/manifest"
)

// SafetyInput is what a safety snapshot is decided upon.
type SafetyInput struct {
	Project compose.Project
	Restore *Restore
	Probes  map[string]Probe // by service with a dump to restore
	Users   map[string]string
	Engine  func(name string) (dump.Engine, bool)
}

// MakeSafety plans the snapshot of what a restore will overwrite. A database
// that is there and cannot be dumped is saved as its cold volumes: its service
// is stopped for the second walk. What does not exist needs no safety.
func MakeSafety(in SafetyInput) *Plan {
	p := &Plan{Project: in.Project.Name, Specs: map[string]labels.Spec{}, Items: []Item{}, Operations: []Operation{}, Unlabelled: []Unlabelled{}}
	dumped := map[string][]string{}
	for _, it := range in.Restore.Items {
		switch {
		case it.Volume != nil && !it.Volume.Create:
			p.addSafetyVolume(in, it.Volume.Spec, labels.Live)
		case it.Kind == manifest.Dump:
			dumped[it.Service] = append(dumped[it.Service], it.Name)
		}
	}
	order, err := in.Project.Order()
	if err != nil {
		order = serviceNames(in.Project)
	}
	for _, service := range order {
		if len(dumped[service]) > 0 {
			p.addSafetyDumps(in, service, dumped[service])
		}
	}
	windows := makeWindows(makeSafetyInput(in, p), p.Items, order)
	p.addOperations(makeSafetyInput(in, p), order, windows)
	return p
}

func makeSafetyInput(in SafetyInput, p *Plan) Input {
	return Input{Project: in.Project, Specs: p.Specs}
}

func (p *Plan) addSafetyVolume(in SafetyInput, v compose.Volume, during labels.During) {
	key := manifest.Key(manifest.Volume, "", v.Key)
	for i := range p.Items {
		if p.Items[i].Key == key {
			p.Items[i].Volume.During = stricter(p.Items[i].Volume.During, during)
			return
		}
	}
	it := Item{
		Key: key, Kind: manifest.Volume, Name: v.Key, Cause: "will be overwritten",
		Volume: &VolumeItem{Volume: v, Docker: v.Name, During: during, OnError: labels.Warn},
	}
	finishVolume(Input{Project: in.Project}, &it)
	p.Items = append(p.Items, it)
}

// addSafetyDumps adds dumps of the databases that are there.
func (p *Plan) addSafetyDumps(in SafetyInput, service string, names []string) {
	probe := in.Probes[service]
	restored := restoredDump(in.Restore, service)
	_, ok := in.Engine(restored.Engine)
	if !ok || probe.Missing != "" || probe.Err != nil {
		p.addColdVolumes(in, service, restored, probe)
		return
	}
	names = slices.DeleteFunc(slices.Clone(names), func(n string) bool {
		_, there := probe.Facts.Database(n)
		return !there
	})
	spec := labels.Spec{Service: service, Dump: &labels.Dump{Engine: restored.Engine, User: in.Users[service], Databases: names}}
	if len(names) == 0 {
		return
	}
	p.addEngineDumps(Input{Project: in.Project, Engine: in.Engine}, spec, probe)
}

func restoredDump(r *Restore, service string) manifest.DumpInfo {
	for _, it := range r.Items {
		if it.Kind == manifest.Dump && it.Service == service && it.Source.Item.DumpInfo != nil {
			return *it.Source.Item.DumpInfo
		}
	}
	return manifest.DumpInfo{}
}

// addColdVolumes saves the volumes that hold a database's own files.
func (p *Plan) addColdVolumes(in SafetyInput, service string, d manifest.DumpInfo, probe Probe) {
	s, _ := in.Project.Service(service)
	keys := d.Volumes
	if len(keys) == 0 {
		keys = dataVolumes(s, probe.DataDirs)
	}
	if len(keys) == 0 {
		p.Problems = append(p.Problems, fmt.Sprintf("the database of service %q cannot be saved before it is overwritten: %s; to go on without, use --no-safety-snapshot", service, probeFault(probe)))
		return
	}
	for _, key := range keys {
		v, ok := in.Project.Volume(key)
		if !ok || !v.Exists {
			continue
		}
		p.addSafetyVolume(in, v, labels.Stop)
	}
}

func probeFault(p Probe) string {
	if p.Missing != "" {
		return p.Missing
	}
	if p.Err != nil {
		return p.Err.Error()
	}
	return "its engine is unknown"
}
