package plan

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"sort"
	"strings"

	"github.com/ripplebak/ripplebak/compose"
	"github.com/ripplebak/ripplebak/dump"
	"github.com/ripplebak/ripplebak/labels"
	"github.com/ripplebak/ripplebak/manifest"
)

// AllDatabases names the item that stands for the databases of a service when
// nobody can say which there are.
const AllDatabases = "all"

func dumpRequest(spec labels.Spec) dump.Request {
	return dump.Request{
		Service: spec.Service, User: spec.Dump.User, Databases: spec.Dump.Databases, Paths: spec.Dump.Paths,
		Command: spec.Dump.Command, RestoreCommand: spec.Dump.RestoreCommand, ExcludeTableData: spec.Dump.ExcludeTableData,
	}
}

// addDumps adds the dumps of each enabled service, databases in the order of
// the engine.
func (p *Plan) addDumps(in Input, order []string) {
	for _, name := range order {
		spec := in.Specs[name]
		if !spec.Enabled || spec.Dump == nil {
			continue
		}
		engine, ok := in.Engine(spec.Dump.Engine)
		if !ok {
			p.problem("service %q: label ripplebak.dump: %q is not part of this version", name, spec.Dump.Engine)
			continue
		}
		if err := engine.Check(dumpRequest(spec)); err != nil {
			p.problem("service %q: label ripplebak.dump: %v", name, err)
			continue
		}
		if service, _ := in.Project.Service(name); !p.checkPaths(service, spec) {
			continue
		}
		first := len(p.Items)
		switch probe := in.Probes[name]; {
		case probe.Missing != "":
			p.problem("service %q: label ripplebak.dump: %s", name, probe.Missing)
		case probe.Err != nil:
			p.addUnasked(spec, func(i *Item) { i.Broken = probe.Err.Error() })
		case probe.Later != "":
			p.addUnasked(spec, func(i *Item) { i.Later = probe.Later })
		case probe.Container == "":
			p.addUnasked(spec, func(i *Item) { i.Broken = fmt.Sprintf("the database of service %q was not asked", name) })
		default:
			p.addAsked(in, engine, spec, probe)
		}
		if dump.Offline(engine) {
			p.offline(in, name, p.Items[first:])
		}
	}
}

// offline marks the dumps of a service that are made while it is down. A double
// sees nothing of what lies in the service's container itself.
func (p *Plan) offline(in Input, name string, items []Item) {
	for i := range items {
		items[i].Dump.Offline = true
	}
	service, _ := in.Project.Service(name)
	probe := in.Probes[name]
	if probe.Err != nil || probe.Missing != "" || probe.Later != "" {
		return
	}
	for _, dir := range probe.Facts.DataDirs {
		if nearestMount(service, path.Clean(dir)) == "" {
			p.problem("service %q: label ripplebak.dump: it keeps %s in the container itself, and its dump is made in another one, which sees its volumes only: mount a volume there", name, dir)
			return
		}
	}
}

// addAsked adds the dumps of a database that has answered. A database that
// the label names and that cannot be dumped is broken, and keeps no other from
// being saved.
func (p *Plan) addAsked(in Input, engine dump.Engine, spec labels.Spec, probe Probe) {
	request := dumpRequest(spec)
	var broken []string
	why := map[string]error{}
	for _, n := range spec.Dump.Databases {
		one := request
		one.Databases = []string{n}
		if _, err := engine.Files(one, probe.Facts); err != nil {
			broken, why[n] = append(broken, n), err
		}
	}
	if broken != nil {
		request.Databases = slices.DeleteFunc(slices.Clone(request.Databases), func(n string) bool { return why[n] != nil })
	}
	service, _ := in.Project.Service(spec.Service)
	err := p.addFiles(engine, spec, request, probe, dataVolumes(service, probe.Facts.DataDirs))
	p.addAbsent(spec, probe.Facts.Absent)
	if err != nil && probe.Facts.Absent != nil {
		return // which says it
	}
	if err != nil {
		p.addUnasked(spec, func(i *Item) { i.Broken = err.Error() })
		return
	}
	for _, n := range broken {
		it := newDump(spec, n)
		it.Broken = strings.TrimPrefix(why[n].Error(), dump.ErrBadRequest.Error()+": ")
		p.Items = append(p.Items, it)
	}
	for _, s := range engine.Skipped(request, probe.Facts) {
		p.warn("service %q: not dumped: %s", spec.Service, s)
	}
	for _, w := range probe.Facts.Warnings {
		p.warn("service %q: %s", spec.Service, w)
	}
}

// addFiles adds an item for each thing that the engine writes files of.
func (p *Plan) addFiles(engine dump.Engine, spec labels.Spec, request dump.Request, probe Probe, volumes []string) error {
	files, err := engine.Files(request, probe.Facts)
	if err != nil {
		return err
	}
	at := map[string]int{}
	for _, f := range files {
		name := f.Item
		if f.Role == dump.RoleGlobals {
			name = ""
		}
		i, ok := at[name]
		if !ok {
			it := newDump(spec, name)
			it.Dump.Container, it.Dump.Facts, it.Dump.Request, it.Dump.DataVolumes = probe.Container, probe.Facts.Of(f.Item), request, volumes
			i = len(p.Items)
			at[name] = i
			p.Items = append(p.Items, it)
		}
		d := p.Items[i].Dump
		d.Files = append(d.Files, f)
		d.Commands = append(d.Commands, f.Command.Show)
	}
	if len(files) == 0 {
		return errors.New("there is nothing to dump")
	}
	return nil
}

func newDump(spec labels.Spec, name string) Item {
	return Item{
		Key:     manifest.Key(manifest.Dump, spec.Service, name),
		Kind:    manifest.Dump,
		Service: spec.Service,
		Name:    name,
		Cause:   dumpCause(spec.Dump),
		Dump:    &DumpItem{Engine: spec.Dump.Engine, Request: dumpRequest(spec), Commands: []string{}, Restore: spec.Dump.RestoreCommand},
	}
}

func dumpCause(d *labels.Dump) string {
	if d.Cause != "" {
		return d.Cause
	}
	return "label ripplebak.dump=" + d.Engine
}

// addUnasked adds what is known of a dump whose database has not answered: the
// databases that the label names, or one item for all of them.
func (p *Plan) addUnasked(spec labels.Spec, mark func(*Item)) {
	names := spec.Dump.Databases
	if names == nil {
		names = []string{AllDatabases}
	}
	for _, n := range names {
		it := newDump(spec, n)
		mark(&it)
		p.Items = append(p.Items, it)
	}
}

// dataDirs are where the service's database keeps its own files: as it says
// itself, else as its environment and image say.
func (p Probe) dataDirs() []string {
	if len(p.Facts.DataDirs) > 0 {
		return p.Facts.DataDirs
	}
	return p.DataDirs
}

// dataVolumes are the keys of the volumes on which the directories lie.
func dataVolumes(service compose.Service, dirs []string) []string {
	var keys []string
	for _, m := range service.Mounts {
		if m.Kind == compose.KindVolume && m.Volume != "" && holdsData(service, dirs, m) {
			keys = append(keys, m.Volume)
		}
	}
	sort.Strings(keys)
	return slices.Compact(keys)
}

// holdsData says whether one of the directories, or a part of one, lies on the
// mount: it is the nearest mount above the directory, or it is below it.
func holdsData(service compose.Service, dirs []string, m compose.Mount) bool {
	target := path.Clean(m.Target)
	for _, dir := range dirs {
		dir = path.Clean(dir)
		if within(target, dir) || within(dir, target) && nearestMount(service, dir) == target {
			return true
		}
	}
	return false
}

// nearestMount is the target of the mount on which a directory lies.
func nearestMount(service compose.Service, dir string) string {
	nearest := ""
	for _, m := range service.Mounts {
		if t := path.Clean(m.Target); within(dir, t) && len(t) > len(nearest) {
			nearest = t
		}
	}
	return nearest
}

// within reports whether path p is dir or below it.
func within(p, dir string) bool {
	return p == dir || dir == "/" || strings.HasPrefix(p, dir+"/")
}
