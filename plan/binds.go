package plan

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/ripplebak/ripplebak/compose"
	"github.com/ripplebak/ripplebak/labels"
	"github.com/ripplebak/ripplebak/manifest"
)

// OwnPath is a path of the host that is never saved as files nor written over:
// the sidecar's own, or that of Docker.
type OwnPath struct {
	Path, What string
	// But is a directory in it of which that does not hold for what lies below;
	// empty: there is none.
	But string
}

// holds says whether a path is the own one or lies in it.
func (o OwnPath) holds(p string) bool {
	return compose.Within(p, o.Path) && (o.But == "" || path.Clean(p) == o.But || !compose.Within(p, o.But))
}

// within gives the patterns, from a directory, of the own paths that lie in it.
func (o OwnPath) within(dir string) (pattern string, ok bool) {
	if dir == "" {
		return "", false
	}
	below, ok := strings.CutPrefix(path.Clean(o.Path), strings.TrimSuffix(dir, "/")+"/")
	return "/" + literal(below), ok && below != ""
}

// addBinds adds the bind mounts that labels choose. One directory that several
// mount is one item, named after the first service by name.
func (p *Plan) addBinds(in Input) {
	items := map[string]*Item{}
	var order []string
	for _, service := range in.Project.Services {
		spec := in.Specs[service.Name]
		if !spec.Enabled {
			continue
		}
		for _, m := range service.Mounts {
			if m.Kind == compose.KindTmpfs && !scratch(m.Target) {
				p.warn("service %q: the tmpfs at %s is in memory and is not saved", service.Name, m.Target)
			}
			cause, ok := p.chosenBind(in, spec, m)
			if !ok {
				continue
			}
			source := path.Clean(m.Source)
			if it := items[source]; it != nil {
				p.joinOwner(it, spec, duringOf(in, spec.Service), cause)
				continue
			}
			it := newBind(service.Name, path.Clean(m.Target), source, cause)
			it.Volume.Exclude, it.Volume.During, it.Volume.OnError = spec.Exclude, duringOf(in, spec.Service), spec.OnError
			it.Volume.Owners = []string{spec.Service}
			items[source] = it
			order = append(order, source)
		}
	}
	for _, source := range order {
		p.addBind(in, items[source])
	}
}

// addHostPaths adds the paths of the host that the settings name. Nobody is
// stopped for them.
func (p *Plan) addHostPaths(in Input) {
	if _, taken := in.Project.Service(manifest.HostService); taken && len(in.HostPaths) > 0 {
		p.problem("RIPPLEBAK_HOST_PATHS: the project has a service %q, which is what paths of the host go by: rename it", manifest.HostService)
		return
	}
	for _, source := range in.HostPaths {
		if what := p.notSaved(in, source); what != "" {
			p.problem("RIPPLEBAK_HOST_PATHS: %s %s", source, what)
			continue
		}
		p.addBind(in, newBind(manifest.HostService, source, source, "RIPPLEBAK_HOST_PATHS"))
	}
}

func (p *Plan) addBind(in Input, it *Item) {
	finishVolume(in, it)
	p.leaveOwn(in, it)
	p.Items = append(p.Items, *it)
}

func newBind(service, target, source, cause string) *Item {
	it := &Item{
		Key: manifest.Key(manifest.Bind, service, target), Kind: manifest.Bind, Service: service, Name: target, Cause: cause,
		Volume: &VolumeItem{Docker: source, During: labels.Live, OnError: labels.Fail},
	}
	it.Volume.Volume.Exists = true // whether it does, only a helper can tell
	return it
}

// chosenBind says whether a bind mount is to be saved, and why. What is the
// host's own is not chosen by "all": a restore would put it back over that of
// another machine.
func (p *Plan) chosenBind(in Input, spec labels.Spec, m compose.Mount) (cause string, ok bool) {
	if m.Kind != compose.KindBind || !path.IsAbs(m.Source) {
		return "", false
	}
	listed := spec.Binds.Mode == labels.Listed && slices.Contains(spec.Binds.Names, path.Clean(m.Target))
	if !listed && spec.Binds.Mode != labels.All {
		return "", false
	}
	what := p.notSaved(in, path.Clean(m.Source))
	if what == "" && !listed && hostsOwn(m.Source) {
		what = "is the host's own; to save it, name " + m.Target + " in ripplebak.binds"
	}
	service, _ := in.Project.Service(spec.Service)
	if what == "" && !listed && spec.Dump != nil && holdsData(service, in.Probes[spec.Service].dataDirs(), m) {
		what = "holds the database's own files, of which the dumps are saved; to save it too, name " + m.Target + " in ripplebak.binds"
	}
	switch {
	case what == "" && listed:
		return "label ripplebak.binds of " + spec.Service, true
	case what == "":
		return "label ripplebak.binds=all of " + spec.Service, true
	case listed:
		p.problem("service %q: label ripplebak.binds: %s (%s on the host) %s", spec.Service, m.Target, m.Source, what)
	default:
		p.warn("service %q: the bind mount at %s is not saved: %s %s", spec.Service, m.Target, m.Source, what)
	}
	return "", false
}

// notSaved says why a path of the host is never saved, or "".
func (p *Plan) notSaved(in Input, source string) string {
	if source == "/" {
		return "is the whole host: RIPPLEBAK_HOST_PATHS chooses parts of it"
	}
	if madeUp(source) {
		return "is made up by the kernel or by what runs, and holds nothing to save"
	}
	for _, own := range in.Own {
		if own.holds(source) {
			return "is " + own.What + ", which cannot save itself"
		}
	}
	return ""
}

// onHost is the directory of the host that a bind is, or a volume of Docker's own
// driver that is one by its options; empty for others.
func onHost(docker string, v compose.Volume) string {
	switch device := v.Options["device"]; {
	case path.IsAbs(docker):
		return docker
	case v.Driver == "local" && path.IsAbs(device) && slices.Contains(strings.Split(v.Options["o"], ","), "bind"):
		return path.Clean(device)
	}
	return ""
}

// leaveOwn leaves out what is the sidecar's own, or Docker's, inside of a
// directory of the host.
func (p *Plan) leaveOwn(in Input, it *Item) {
	dir := onHost(it.Volume.Docker, it.Volume.Volume)
	for _, own := range in.Own {
		pattern, inside := own.within(dir)
		if inside && !slices.Contains(it.Volume.Exclude, pattern) {
			it.Volume.Exclude = append(it.Volume.Exclude, pattern)
			p.warn("%s: %s is left out: it is %s, which cannot save itself", it.Key, own.Path, own.What)
		}
	}
}

// madeUp says whether what lies at a path is no data of anybody.
func madeUp(source string) bool {
	return slices.ContainsFunc([]string{"/proc", "/sys", "/dev", "/run", "/var/run"}, func(dir string) bool { return compose.Within(source, dir) })
}

// hostsOwn says whether a path belongs to the system of the host.
func hostsOwn(source string) bool {
	for _, dir := range []string{"/etc", "/usr", "/bin", "/sbin", "/lib", "/lib64", "/boot", "/var/lib/docker", "/var/log"} {
		if compose.Within(source, dir) {
			return true
		}
	}
	return slices.Contains([]string{"/home", "/root", "/var", "/var/lib", "/opt", "/srv", "/mnt", "/media", "/tmp"}, path.Clean(source))
}

// scratch says whether a tmpfs at this place is what nobody expects to keep.
func scratch(target string) bool {
	for _, dir := range []string{"/tmp", "/run", "/var/run", "/var/tmp", "/dev"} {
		if compose.Within(target, dir) {
			return true
		}
	}
	return false
}

// bindTarget decides where a bind goes: to what its service mounts there today.
// A manifest alone never names a path of the host that is written to.
func (r *Restore) bindTarget(in RestoreInput, item manifest.Item) *RestoreVolume {
	source := ""
	if item.Service == manifest.HostService {
		source = path.Clean(item.Name)
		if !path.IsAbs(item.Name) || source == "/" || !slices.Contains(in.HostPaths, source) {
			r.problem("%s: RIPPLEBAK_HOST_PATHS does not name it on this host: set it there, or restore with --to-dir", item.Key())
			return &RestoreVolume{}
		}
	}
	service, _ := in.Project.Service(item.Service)
	for _, m := range service.Mounts {
		if m.Kind == compose.KindBind && path.Clean(m.Target) == item.Name {
			source = path.Clean(m.Source)
		}
	}
	spec := compose.Volume{Key: item.Name, Name: source, Exists: true}
	switch {
	case source == "" || !path.IsAbs(source):
		r.problem("%s: service %q has no bind mount at %s today, so there is nowhere to restore it to: use --to-dir", item.Key(), item.Service, item.Name)
		return &RestoreVolume{}
	case source == "/" || madeUp(source):
		r.problem("%s: service %q mounts %s there today, which is not overwritten: use --to-dir", item.Key(), item.Service, source)
		return &RestoreVolume{}
	}
	out := &RestoreVolume{Docker: source, Spec: spec}
	if file := fileOf(item); file != "" {
		out.Dir, out.New = path.Dir(source), in.Absent[source]
		if path.Base(source) != file || out.Dir == "/" {
			r.problem("%s: the file %q was saved, and today that is %s of the host: use --to-dir", item.Key(), file, source)
			return &RestoreVolume{}
		}
	}
	if in.Absent[out.Place()] {
		r.problem("%s: there is no directory %s on this host: make it, and restore again", item.Key(), out.Place())
	}
	for _, own := range in.Own {
		if own.holds(source) {
			r.problem("%s: %s is %s, and is not overwritten", item.Key(), source, own.What)
		}
	}
	r.protectOwn(in, item, out)
	return out
}

// protectOwn has a restore leave what is the sidecar's own today, or Docker's,
// inside of a directory of the host.
func (r *Restore) protectOwn(in RestoreInput, item manifest.Item, to *RestoreVolume) {
	dir := onHost(to.Docker, to.Spec)
	for _, own := range in.Own {
		if pattern, inside := own.within(dir); inside && !slices.Contains(to.Protect, pattern) {
			to.Protect = append(to.Protect, pattern)
			r.warn("%s: %s is left as it is: it is %s", item.Key(), own.Path, own.What)
		}
	}
}

// fileOf is the name of a bind that is a single file.
func fileOf(item manifest.Item) string {
	if item.Kind != manifest.Bind || item.VolumeInfo == nil {
		return ""
	}
	return item.VolumeInfo.File
}

// WholePaths are the paths that are restored where none was asked for: of a
// single file the file, for beside it in its directory is what is not ours.
func WholePaths(item manifest.Item) []string {
	if file := fileOf(item); file != "" {
		return []string{file}
	}
	return nil
}

// BindSources are the paths of the host that a restore of the sources may write
// to, and the directories of those that are files.
func BindSources(p compose.Project, sources []Source) []string {
	var out []string
	add := func(s Source, source string) {
		out = append(out, source)
		if fileOf(s.Item) != "" {
			out = append(out, path.Dir(source))
		}
	}
	for _, s := range sources {
		if s.Item.Kind != manifest.Bind {
			continue
		}
		if s.Item.Service == manifest.HostService {
			add(s, path.Clean(s.Item.Name))
		}
		service, _ := p.Service(s.Item.Service)
		for _, m := range service.Mounts {
			if m.Kind == compose.KindBind && path.Clean(m.Target) == s.Item.Name {
				add(s, path.Clean(m.Source))
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// placeText names what an item is read from, or written to.
func placeText(place string) string {
	if path.IsAbs(place) {
		return fmt.Sprintf("%s of the host", visible(place))
	}
	return "the Docker volume " + place
}
