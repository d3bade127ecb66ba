package plan

import (
	"fmt"
	"slices"
	"sort"
	"strings"

	"github.com/ripplebak/ripplebak/compose"
	"github.com/ripplebak/ripplebak/dump"
	"github.com/ripplebak/ripplebak/labels"
	"github.com/ripplebak/ripplebak/manifest"
)

// Make decides what a run does. It never fails: what is wrong is in the
// plan's Problems, all at once.
func Make(in Input) *Plan {
	p := &Plan{
		Project:    in.Project.Name,
		Specs:      in.Specs,
		Problems:   slices.Clone(in.Problems),
		Warnings:   slices.Clone(in.Notices),
		Items:      []Item{},
		Operations: []Operation{},
		Unlabelled: unlabelled(in),
	}
	order, err := in.Project.Order()
	if err != nil {
		p.Problems = append(p.Problems, err.Error())
		order = serviceNames(in.Project)
	}
	p.checkSelection(in)
	p.addDumps(in, order)
	p.addVolumes(in, order)
	p.applySelection(in)
	windows := makeWindows(in, p.Items, order)
	p.addOperations(in, order, windows)
	p.checkSurroundings(in, windows)
	if len(p.Items) == 0 && len(p.Problems) == 0 {
		p.Problems = append(p.Problems, fmt.Sprintf("project %q has nothing to save: put ripplebak.enable: \"true\" or ripplebak.dump on a service", p.Project))
	}
	if in.LocalRepository != "" {
		p.Warnings = append(p.Warnings, fmt.Sprintf("the repository %s is on the same machine as the data: a dead disk takes both; set RIPPLEBAK_REPOSITORY to s3:...", in.LocalRepository))
	}
	return p
}

func serviceNames(p compose.Project) []string {
	var names []string
	for _, s := range p.Services {
		names = append(names, s.Name)
	}
	return names
}

func (p *Plan) checkSelection(in Input) {
	for _, name := range in.Select {
		if _, ok := in.Project.Service(name); !ok {
			p.Problems = append(p.Problems, fmt.Sprintf("project %q has no service %q; its services are %s", p.Project, name, strings.Join(serviceNames(in.Project), ", ")))
			continue
		}
		if !in.Specs[name].Enabled {
			p.Problems = append(p.Problems, fmt.Sprintf("service %q is not labelled: put ripplebak.enable: \"true\" on it", name))
		}
	}
}

// applySelection marks the items of services that were not asked for.
func (p *Plan) applySelection(in Input) {
	if in.Select == nil {
		return
	}
	for i := range p.Items {
		it := &p.Items[i]
		owners := []string{it.Service}
		if it.Volume != nil {
			owners = it.Volume.Owners
		}
		if !slices.ContainsFunc(owners, func(s string) bool { return slices.Contains(in.Select, s) }) {
			it.Skip = "not asked for in this run"
		}
	}
}

// addDumps adds the dumps of each enabled service, databases sorted as the
// engine names them.
func (p *Plan) addDumps(in Input, order []string) {
	for _, name := range order {
		spec := in.Specs[name]
		if !spec.Enabled || spec.Dump == nil {
			continue
		}
		probe := in.Probes[name]
		if probe.Missing != "" {
			p.Problems = append(p.Problems, fmt.Sprintf("service %q: label ripplebak.dump: %s", name, probe.Missing))
			continue
		}
		if probe.Err != nil {
			p.addBroken(spec, probe.Err)
			continue
		}
		p.addEngineDumps(in, spec, probe)
	}
}

func (p *Plan) addEngineDumps(in Input, spec labels.Spec, probe Probe) {
	engine, ok := in.Engine(spec.Dump.Engine)
	if !ok {
		p.Problems = append(p.Problems, fmt.Sprintf("service %q: label ripplebak.dump: %q is not part of this version", spec.Service, spec.Dump.Engine))
		return
	}
	request := dumpRequest(spec)
	files, err := engine.Files(request, probe.Facts)
	if err != nil {
		p.Problems = append(p.Problems, fmt.Sprintf("service %q: label ripplebak.dump: %v", spec.Service, err))
		return
	}
	service, _ := in.Project.Service(spec.Service)
	dataVolumes := dataVolumes(service, probe.Facts.DataDirs)
	byItem := map[string]*Item{}
	var keys []string
	for _, f := range files {
		name := f.Item
		if f.Role == dump.RoleGlobals {
			name = ""
		}
		it, ok := byItem[name]
		if !ok {
			it = &Item{
				Key:     manifest.Key(manifest.Dump, spec.Service, name),
				Kind:    manifest.Dump,
				Service: spec.Service,
				Name:    name,
				Cause:   "label ripplebak.dump=" + spec.Dump.Engine,
				Dump:    &DumpItem{Engine: spec.Dump.Engine, Container: probe.Container, Facts: probe.Facts, Request: request, DataVolumes: dataVolumes},
			}
			byItem[name] = it
			keys = append(keys, name)
		}
		it.Dump.Files = append(it.Dump.Files, f)
		it.Dump.Commands = append(it.Dump.Commands, f.Command.Show)
	}
	for _, k := range keys {
		p.Items = append(p.Items, *byItem[k])
	}
}

// addBroken adds what is known of a dump whose database cannot be asked: the
// databases that the label names, or one item for all of them.
func (p *Plan) addBroken(spec labels.Spec, cause error) {
	names := spec.Dump.Databases
	if names == nil {
		names = []string{"all"}
	}
	for _, n := range names {
		p.Items = append(p.Items, Item{
			Key:     manifest.Key(manifest.Dump, spec.Service, n),
			Kind:    manifest.Dump,
			Service: spec.Service,
			Name:    n,
			Cause:   "label ripplebak.dump=" + spec.Dump.Engine,
			Broken:  cause.Error(),
			Dump:    &DumpItem{Engine: spec.Dump.Engine, Request: dumpRequest(spec)},
		})
	}
}

// unlabelled lists services with volumes, or with the image of a database,
// that carry no label of ours.
func unlabelled(in Input) []Unlabelled {
	out := []Unlabelled{}
	for _, s := range in.Project.Services {
		spec, ok := in.Specs[s.Name]
		if ok && spec.Labelled {
			continue
		}
		var holds []string
		for _, m := range s.Mounts {
			if m.Kind == compose.KindVolume && !m.Anonymous && !m.ReadOnly {
				holds = append(holds, "volume "+m.Volume)
			}
		}
		advice := `ripplebak.enable: "true"`
		if strings.Contains(imageBase(s.Image), "postgres") {
			holds = append(holds, "a PostgreSQL database, by its image")
			advice = "ripplebak.dump: pg_dump"
		}
		if len(holds) > 0 {
			sort.Strings(holds)
			out = append(out, Unlabelled{Service: s.Name, Holds: slices.Compact(holds), Advice: advice})
		}
	}
	return out
}

// imageBase is an image's name without registry, tag and digest.
func imageBase(image string) string {
	image, _, _ = strings.Cut(image, "@")
	if i := strings.LastIndex(image, "/"); i >= 0 {
		image = image[i+1:]
	}
	image, _, _ = strings.Cut(image, ":")
	return image
}

// checkSurroundings refuses what the sidecar's own container cannot do.
func (p *Plan) checkSurroundings(in Input, windows []window) {
	quiesces := slices.ContainsFunc(windows, func(w window) bool { return len(w.quiesce) > 0 })
	if quiesces && !in.HasState {
		p.Problems = append(p.Problems, "services would have to be stopped, and there is no state volume in which to note which: nothing is ever stopped without; add to the backup service\n    volumes:\n      - ripplebak:/var/lib/ripplebak")
	}
	if len(windows) > 0 && !in.HasSocket {
		p.Problems = append(p.Problems, "helpers cannot be reached: add to the backup service\n    volumes:\n      - ripplebak-run:/run/ripplebak")
	}
}
