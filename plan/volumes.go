package plan

import (
	"crypto/sha256"
	"encoding/binary"
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

func dumpRequest(spec labels.Spec) dump.Request {
	return dump.Request{Service: spec.Service, User: spec.Dump.User, Databases: spec.Dump.Databases}
}

// addVolumes adds each volume once, whoever asks for it, by key.
func (p *Plan) addVolumes(in Input, order []string) {
	items := map[string]*Item{}
	for _, name := range order {
		spec := in.Specs[name]
		if !spec.Enabled {
			continue
		}
		service, ok := in.Project.Service(name)
		if !ok {
			continue
		}
		for _, m := range service.Mounts {
			cause, ok := chosen(in, spec, service, m)
			if !ok {
				continue
			}
			if m.Anonymous {
				p.Warnings = append(p.Warnings, fmt.Sprintf("service %q: the volume at %s has no name and goes with its container: it is not saved; name it in the compose file", name, m.Target))
				continue
			}
			p.joinVolume(in, items, spec, m, cause)
		}
	}
	p.addLabelledVolumes(in, items)
	keys := make([]string, 0, len(items))
	for k := range items {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	for _, k := range keys {
		it := items[k]
		finishVolume(in, it)
		p.Items = append(p.Items, *it)
	}
}

// chosen says whether a service's labels choose a mount, and why.
func chosen(in Input, spec labels.Spec, service compose.Service, m compose.Mount) (cause string, ok bool) {
	if m.Kind != compose.KindVolume {
		return "", false
	}
	if vs := in.VolumeSpecs[m.Volume]; !m.Anonymous && vs.Enabled != nil && !*vs.Enabled {
		return "", false
	}
	switch spec.Volumes.Mode {
	case labels.None:
		return "", false
	case labels.All:
		return "label ripplebak.volumes=all of " + service.Name, true
	case labels.Listed:
		named := slices.Contains(spec.Volumes.Names, m.Volume) || slices.Contains(spec.Volumes.Names, m.Target)
		return "label ripplebak.volumes of " + service.Name, named
	}
	if spec.Dump == nil {
		return "mounted by " + service.Name, true
	}
	probe := in.Probes[service.Name]
	dirs := probe.Facts.DataDirs
	if len(dirs) == 0 {
		dirs = probe.DataDirs
	}
	if slices.Contains(dataVolumes(service, dirs), m.Volume) {
		return "", false
	}
	return "mounted by " + service.Name + ", and not the database's own files", true
}

// dataVolumes are the keys of the volumes on which the directories lie: for
// each directory the mount with the longest target above it, and every mount
// below it.
func dataVolumes(service compose.Service, dirs []string) []string {
	var keys []string
	for _, dir := range dirs {
		dir = path.Clean(dir)
		var on *compose.Mount
		for i, m := range service.Mounts {
			target := path.Clean(m.Target)
			if within(dir, target) && (on == nil || len(target) > len(path.Clean(on.Target))) {
				on = &service.Mounts[i]
			}
			if within(target, dir) && m.Kind == compose.KindVolume && m.Volume != "" {
				keys = append(keys, m.Volume)
			}
		}
		if on != nil && on.Kind == compose.KindVolume && on.Volume != "" {
			keys = append(keys, on.Volume)
		}
	}
	sort.Strings(keys)
	return slices.Compact(keys)
}

// within reports whether path p is dir or below it.
func within(p, dir string) bool {
	return p == dir || dir == "/" || strings.HasPrefix(p, dir+"/")
}

// joinVolume adds a volume, or joins what another owner asks for it: the
// stricter wish wins, and excludes hold only as far as all owners agree.
func (p *Plan) joinVolume(in Input, items map[string]*Item, spec labels.Spec, m compose.Mount, cause string) {
	it, ok := items[m.Volume]
	if !ok {
		v, found := in.Project.Volume(m.Volume)
		if !found {
			v = compose.Volume{Key: m.Volume, Name: m.Name}
		}
		items[m.Volume] = &Item{
			Key: manifest.Key(manifest.Volume, "", m.Volume), Kind: manifest.Volume, Name: m.Volume, Cause: cause,
			Volume: &VolumeItem{Volume: v, Docker: v.Name, Exclude: spec.Exclude, During: spec.During, OnError: spec.OnError, Owners: []string{spec.Service}},
		}
		return
	}
	if slices.Contains(it.Volume.Owners, spec.Service) {
		return
	}
	it.Cause += "; " + cause
	it.Volume.Owners = append(it.Volume.Owners, spec.Service)
	it.Volume.During = stricter(it.Volume.During, spec.During)
	if spec.OnError == labels.Fail {
		it.Volume.OnError = labels.Fail
	}
	if !slices.Equal(it.Volume.Exclude, spec.Exclude) {
		p.Warnings = append(p.Warnings, fmt.Sprintf("volume %q: its services exclude different files, so that only what all of them exclude is left out", m.Volume))
		it.Volume.Exclude = slices.DeleteFunc(slices.Clone(it.Volume.Exclude), func(x string) bool { return !slices.Contains(spec.Exclude, x) })
	}
}

// addLabelledVolumes adds volumes that ask for themselves.
func (p *Plan) addLabelledVolumes(in Input, items map[string]*Item) {
	for key, vs := range in.VolumeSpecs {
		if items[key] != nil || vs.Enabled == nil || !*vs.Enabled {
			continue
		}
		v, ok := in.Project.Volume(key)
		if !ok {
			continue
		}
		items[key] = &Item{
			Key: manifest.Key(manifest.Volume, "", key), Kind: manifest.Volume, Name: key, Cause: "label ripplebak.enable of the volume",
			Volume: &VolumeItem{Volume: v, Docker: v.Name, During: labels.Live, OnError: labels.Fail},
		}
	}
}

// finishVolume fills in what does not depend on who asked.
func finishVolume(in Input, it *Item) {
	v := it.Volume
	v.Exclude = append(slices.Clone(v.Exclude), in.VolumeSpecs[it.Name].Exclude...)
	v.DeviceID = deviceID(in.Project.Name, it.Name)
	for _, u := range in.Project.UsersOf(v.Docker) {
		v.UsedBy = append(v.UsedBy, u.Service)
	}
	sort.Strings(v.UsedBy)
	v.UsedBy = slices.Compact(v.UsedBy)
	if !v.Volume.Exists {
		it.Broken = fmt.Sprintf("the volume %s does not exist: it was removed, or its service was never started", v.Docker)
	}
	if writers := in.ForeignWriters[v.Docker]; len(writers) > 0 && v.During != labels.Live {
		v.Inconsistent = fmt.Sprintf("written to by %s, outside the project, which is not stopped", strings.Join(writers, ", "))
	}
}

// deviceID is a stable number of an item, the same on each host and in each
// run, so that files of two volumes are never taken for hard links of each
// other. Never 0, and small enough for JSON readers that count in doubles.
func deviceID(project, volume string) uint64 {
	h := sha256.Sum256([]byte(project + "\x00volume\x00" + volume))
	return binary.BigEndian.Uint64(h[:8])>>11 | 1
}

func stricter(a, b labels.During) labels.During {
	rank := map[labels.During]int{labels.Live: 0, labels.Pause: 1, labels.Stop: 2}
	if rank[b] > rank[a] {
		return b
	}
	return a
}
