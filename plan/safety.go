package plan

import (
	"slices"
	"strings"

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
	// Specs are the labels of today, by service.
	Specs  map[string]labels.Spec
	Engine func(name string) (dump.Engine, bool)
	// Own are paths of the host that are the sidecar's.
	Own []OwnPath
	// NoSocket says that no container that reads volumes can be reached.
	NoSocket bool
}

// MakeSafety plans the snapshot of what a restore will overwrite. A database
// that is there and cannot be dumped is saved as its cold volumes: its service
// is stopped for the second walk. What does not exist needs no safety.
func MakeSafety(in SafetyInput) *Plan {
	p := &Plan{
		Project: in.Project.Name, Specs: map[string]labels.Spec{}, Items: []Item{}, Operations: []Operation{},
		Unlabelled: []Unlabelled{}, Warnings: []string{}, Problems: []string{},
	}
	dumped := map[string][]string{}
	for _, it := range in.Restore.Items {
		switch {
		case it.NewName != "": // beside what is there
		case it.Volume != nil && it.Volume.Docker != "" && !it.Volume.Create && !it.Volume.New:
			during := atRest(in.Project, it.Volume.Docker)
			if in.Restore.NoStop {
				during = labels.Live
			}
			if it.Kind == manifest.Bind {
				bind := newBind(it.Service, it.Name, it.Volume.Docker, "will be overwritten")
				bind.Volume.During, bind.Volume.OnError = during, labels.Warn
				p.addBind(Input{Project: in.Project, Own: in.Own}, bind)
				continue
			}
			p.addSafetyVolume(in, it.Volume.Spec, during)
		case it.Kind == manifest.Dump:
			dumped[it.Service] = append(dumped[it.Service], it.Name)
		}
	}
	order := p.order(in.Project)
	for _, service := range order {
		if len(dumped[service]) > 0 {
			p.addSafetyDumps(in, service, dumped[service])
		}
	}
	if in.NoSocket && slices.ContainsFunc(p.Items, func(i Item) bool { return i.Volume != nil }) {
		p.problem("volumes cannot be saved before they are overwritten; %s", addSocket)
	}
	input := Input{Project: in.Project, Specs: p.Specs}
	p.addOperations(input, order, makeWindows(input, p.Items, order))
	return p
}

// atRest says how the volume is to be read: a copy of a running database's
// files would be no safety.
func atRest(p compose.Project, docker string) labels.During {
	for _, w := range writers(p, docker) {
		if s, _ := p.Service(w); isDatabase(s) {
			return labels.Stop
		}
	}
	return labels.Live
}

func (p *Plan) addSafetyVolume(in SafetyInput, v compose.Volume, during labels.During) {
	key := manifest.Key(manifest.Volume, "", v.Key)
	for i := range p.Items {
		if p.Items[i].Key == key {
			p.Items[i].Volume.During = stricter(p.Items[i].Volume.During, during)
			return
		}
	}
	it := newVolume(v, "will be overwritten")
	it.Volume.During, it.Volume.OnError = during, labels.Warn
	finishVolume(Input{Project: in.Project}, it)
	p.leaveOwn(Input{Own: in.Own}, it)
	p.Items = append(p.Items, *it)
}

// addSafetyDumps adds dumps of the databases that are there, and of the roles.
func (p *Plan) addSafetyDumps(in SafetyInput, service string, names []string) {
	probe := in.Probes[service]
	restored := restoredDump(in.Restore, service)
	engine, ok := in.Engine(restored.Engine)
	if !ok || probe.Missing != "" || probe.Err != nil || probe.Container == "" {
		p.addColdVolumes(in, service, restored, probe, probeFault(probe))
		return
	}
	there := []string{} // not nil, which would be all of them
	_, inVolume := engine.(dump.VolumeEngine)
	for _, n := range names {
		db, ok := probe.Facts.Database(n)
		switch {
		case inVolume && !ok:
			p.addColdVolumes(in, service, restored, probe, "there is no database at /"+n)
			return
		case n == "" || !ok || db.Invalid: // an invalid one has lost its data already
		case !db.AllowConn:
			p.addColdVolumes(in, service, restored, probe, "database "+n+" allows no connections")
			return
		default:
			there = append(there, n)
		}
	}
	spec := labels.Spec{Service: service, Dump: &labels.Dump{Engine: restored.Engine, User: in.Users[service], Databases: there}}
	if today := in.Specs[service].Dump; today != nil && today.Engine == restored.Engine {
		spec.Dump.Command = today.Command
	}
	first := len(p.Items)
	s, _ := in.Project.Service(service)
	if err := p.addFiles(engine, spec, dumpRequest(spec), probe, dataVolumes(s, probe.Facts.DataDirs)); err != nil {
		p.Items = p.Items[:first]
		p.addColdVolumes(in, service, restored, probe, err.Error())
		return
	}
	for i := range p.Items[first:] {
		p.Items[first+i].Cause = "will be overwritten"
		p.Items[first+i].Dump.Offline = dump.Offline(engine)
	}
}

func restoredDump(r *Restore, service string) manifest.DumpInfo {
	for _, it := range r.Items {
		if it.Kind == manifest.Dump && it.Service == service && it.Source.Item.DumpInfo != nil {
			return *it.Source.Item.DumpInfo
		}
	}
	return manifest.DumpInfo{}
}

// addColdVolumes saves the volumes that hold a database's own files: those of
// today, or else those of when it was dumped.
func (p *Plan) addColdVolumes(in SafetyInput, service string, d manifest.DumpInfo, probe Probe, fault string) {
	s, _ := in.Project.Service(service)
	keys := dataVolumes(s, probe.dataDirs())
	if len(keys) == 0 {
		keys = d.Volumes
	}
	alone := placedVolumes(in, service)
	if keys = append(slices.Clone(keys), alone...); len(keys) == 0 && placedNowhere(in, service) {
		return // what does not exist needs no safety
	}
	if len(keys) == 0 {
		p.problem("the database of service %q cannot be saved before it is overwritten (%s), and no volume is known to hold its files; to go on without, use --no-safety-snapshot",
			service, strings.TrimSpace(fault))
		return
	}
	for _, key := range keys {
		if v, ok := in.Project.Volume(key); ok && v.Exists {
			p.addSafetyVolume(in, v, labels.Stop)
			if p.Cold == nil {
				p.Cold = map[string][]string{}
			}
			p.Cold[service] = append(p.Cold[service], manifest.Key(manifest.Volume, "", v.Key))
		}
	}
}

// placedVolumes are the keys of the volumes into which the service's dumps go
// that know their volume.
func placedVolumes(in SafetyInput, service string) []string {
	var keys []string
	for _, it := range in.Restore.Items {
		if it.Service != service || !it.Alone() {
			continue
		}
		for _, v := range in.Project.Volumes {
			if v.Name == it.Placed[0].Docker && v.Exists && !slices.Contains(keys, v.Key) {
				keys = append(keys, v.Key)
			}
		}
	}
	return keys
}

// placedNowhere says whether the service's dumps all know their volume.
func placedNowhere(in SafetyInput, service string) bool {
	return !slices.ContainsFunc(in.Restore.Items, func(it RestoreItem) bool {
		return it.Service == service && it.Kind == manifest.Dump && !it.Alone()
	})
}

func probeFault(p Probe) string {
	switch {
	case p.Missing != "":
		return p.Missing
	case p.Err != nil:
		return p.Err.Error()
	case p.Container == "":
		return "it was not asked"
	}
	return "its engine is unknown"
}

// Saved are the keys of the items that hold what an item of the restore is
// about to overwrite; none where there is nothing.
func (p *Plan) Saved(it RestoreItem) []string {
	key := it.Key
	if it.Kind == manifest.Volume && it.Volume != nil {
		key = manifest.Key(manifest.Volume, "", it.Volume.Spec.Key)
	}
	if _, ok := p.Item(key); ok {
		return []string{key}
	}
	if it.Kind == manifest.Dump {
		return p.Cold[it.Service]
	}
	return nil
}
