package plan

import (
	"path"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/ripplebak/ripplebak/compose"
	"github.com/ripplebak/ripplebak/dump"
	"github.com/ripplebak/ripplebak/labels"
	"github.com/ripplebak/ripplebak/manifest"
)

// DumpedFile is a database's file in a volume. Where its dump is good in the
// same run, the volume is saved without it and what lies beside it: copied under
// a program that writes to it, it would be worth nothing.
type DumpedFile struct {
	Item  string   `json:"item"` // the key of the dump
	Paths []string `json:"paths"`
}

// dumpOnce keeps one of the dumps that are of one file in a volume, as where two
// services mount it and carry the same label: of two, a restore could not tell
// which is to come back. One that is made in this run comes before one that is
// not.
func (p *Plan) dumpOnce() {
	kept := map[dump.Copy]int{} // index into items
	items := []Item{}
	for _, it := range p.Items {
		at, ok := it.copied()
		if !ok {
			items = append(items, it)
			continue
		}
		i, twice := kept[at]
		switch {
		case !twice:
			kept[at] = len(items)
			items = append(items, it)
			continue
		case it.active() && !items[i].active():
			items[i], it = it, items[i]
		}
		items[i].Cause += ", and " + it.Service + " has the same file"
	}
	p.Items = items
}

// copied is the file in a volume that a dump is a copy of.
func (i Item) copied() (dump.Copy, bool) {
	if i.Dump == nil || len(i.Dump.Files) != 1 || i.Dump.Files[0].Copy == nil {
		return dump.Copy{}, false
	}
	return *i.Dump.Files[0].Copy, true
}

// leaveOut tells volumes which of their files are dumped.
func (p *Plan) leaveOut(in Input) {
	for _, it := range p.Items {
		if it.Dump == nil || !it.active() {
			continue
		}
		engine, _ := in.Engine(it.Dump.Engine)
		files, ok := engine.(dump.VolumeEngine)
		if !ok {
			continue
		}
		for _, f := range it.Dump.Files {
			if v := p.volumeItem(f.Copy.Volume); v != nil {
				v.Dumped = append(v.Dumped, DumpedFile{Item: it.Key, Paths: append([]string{f.Copy.Path}, files.Beside(f.Copy.Path)...)})
			}
		}
	}
}

func (p *Plan) volumeItem(key string) *VolumeItem {
	for i := range p.Items {
		if p.Items[i].Kind == manifest.Volume && p.Items[i].Name == key {
			return p.Items[i].Volume
		}
	}
	return nil
}

// Excluded are the patterns of what a walk leaves out, given which dumps are
// good.
func (v *VolumeItem) Excluded(good func(item string) bool) []string {
	out := slices.Clone(v.Exclude)
	for _, d := range v.Dumped {
		if !good(d.Item) {
			continue
		}
		for _, at := range d.Paths {
			out = append(out, "/"+literal(at))
		}
	}
	return out
}

// literal is the pattern that matches a path and nothing else.
func literal(path string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`, `]`, `\]`, `{`, `\{`, `}`, `\}`).Replace(path)
}

// checkPaths refuses paths of a label that lie outside the volumes of their
// service, where no copy can be made and nothing can be put back.
func (p *Plan) checkPaths(service compose.Service, spec labels.Spec) (ok bool) {
	before := len(p.Problems)
	for _, at := range spec.Dump.Paths {
		base, pattern := at, strings.ContainsAny(at, `*?[{\`)
		if pattern {
			base, _ = doublestar.SplitPattern(at)
		}
		if pattern && slices.ContainsFunc(service.Mounts, func(m compose.Mount) bool {
			return m.Kind == compose.KindVolume && m.Volume != "" && within(path.Clean(m.Target), path.Clean(base))
		}) {
			continue
		}
		target := nearestMount(service, base)
		i := slices.IndexFunc(service.Mounts, func(m compose.Mount) bool { return path.Clean(m.Target) == target })
		switch {
		case i < 0:
			p.problem("service %q: label ripplebak.dump.path: %s lies in the container itself, and is lost with it: mount a volume there in the compose file", spec.Service, at)
		case service.Mounts[i].Kind != compose.KindVolume:
			p.problem("service %q: label ripplebak.dump.path: %s lies in a %s mount, and only databases in volumes are dumped: mount a volume there in the compose file", spec.Service, at, service.Mounts[i].Kind)
		case service.Mounts[i].Volume == "":
			p.problem("service %q: label ripplebak.dump.path: the volume at %s has no name and goes with its container: name it in the compose file", spec.Service, target)
		}
	}
	return len(p.Problems) == before
}

// copied says whether an engine's databases are copied by a helper.
func copied(in Input, engine string) bool {
	e, _ := in.Engine(engine)
	_, ok := e.(dump.VolumeEngine)
	return ok
}

// addAbsent adds what a label names and nobody found.
func (p *Plan) addAbsent(spec labels.Spec, absent []dump.Absent) {
	for _, a := range absent {
		it := newDump(spec, a.Name)
		it.Broken = a.Why
		p.Items = append(p.Items, it)
	}
}
