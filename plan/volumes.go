package plan

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"sort"
	"strings"

	"github.com/ripplebak/ripplebak/compose"
	"github.com/ripplebak/ripplebak/labels"
	"github.com/ripplebak/ripplebak/manifest"
)

// addVolumes adds each volume once, whoever asks for it, by key.
func (p *Plan) addVolumes(in Input, order []string) {
	items := map[string]*Item{}
	for _, name := range order {
		spec := in.Specs[name]
		service, ok := in.Project.Service(name)
		if !spec.Enabled || !ok {
			continue
		}
		for _, m := range service.Mounts {
			if cause, ok := p.chosen(in, spec, service, m); ok {
				p.joinVolume(in, items, spec, m, cause)
			}
		}
	}
	p.addOwnerless(in, items)
	keys := make([]string, 0, len(items))
	for k := range items {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	for _, k := range keys {
		finishVolume(in, items[k])
		p.leaveOwn(in, items[k])
		p.Items = append(p.Items, *items[k])
	}
}

// chosen says whether a mount of an enabled service is to be saved, and why.
// A volume that says itself whether it takes part is asked first.
func (p *Plan) chosen(in Input, spec labels.Spec, service compose.Service, m compose.Mount) (cause string, ok bool) {
	if m.Kind != compose.KindVolume {
		return "", false
	}
	listed := spec.Volumes.Mode == labels.Listed && (slices.Contains(spec.Volumes.Names, m.Volume) || slices.Contains(spec.Volumes.Names, m.Target))
	data := spec.Dump != nil && holdsData(service, in.Probes[service.Name].dataDirs(), m)
	if m.Anonymous || m.Volume == "" {
		p.anonymous(spec, m, listed, data)
		return "", false
	}
	if wish := in.VolumeSpecs[m.Volume].Enabled; wish != nil {
		if !*wish && listed {
			p.problem("service %q: label ripplebak.volumes names volume %q, whose own label ripplebak.enable is \"false\": remove one of them", service.Name, m.Volume)
		}
		return "label ripplebak.enable of the volume", *wish
	}
	because := "mounted by " + service.Name
	if spec.Auto {
		because = "RIPPLEBAK_AUTO: " + because
	}
	switch {
	case listed:
		return "label ripplebak.volumes of " + service.Name, true
	case spec.Volumes.Mode == labels.All:
		return "label ripplebak.volumes=all of " + service.Name, true
	case spec.Volumes.Mode == labels.None || spec.Volumes.Mode == labels.Listed || data:
		return "", false
	case spec.Dump != nil:
		return because + ", and not the database's own files", true
	}
	return because, true
}

// anonymous says what becomes of a volume that nobody named. It goes with its
// container, so that there would be nothing to restore it into.
func (p *Plan) anonymous(spec labels.Spec, m compose.Mount, listed, data bool) {
	switch {
	case listed:
		p.problem("service %q: label ripplebak.volumes: the volume at %s has no name and goes with its container; name it in the compose file", spec.Service, m.Target)
	case spec.Volumes.Mode == labels.All, spec.Volumes.Mode == labels.Default && !data:
		p.warn("service %q: the volume at %s has no name and goes with its container: it is not saved; name it in the compose file", spec.Service, m.Target)
	}
}

// joinVolume adds a volume, or joins what another owner asks for it: the
// stricter wish wins, and excludes hold only as far as all owners agree.
func (p *Plan) joinVolume(in Input, items map[string]*Item, spec labels.Spec, m compose.Mount, cause string) {
	during := duringOf(in, spec.Service)
	it, ok := items[m.Volume]
	if !ok {
		v, found := in.Project.Volume(m.Volume)
		if !found {
			v = compose.Volume{Key: m.Volume, Name: m.Name}
		}
		it = newVolume(v, cause)
		it.Volume.Exclude, it.Volume.During, it.Volume.OnError = spec.Exclude, during, spec.OnError
		it.Volume.Owners = []string{spec.Service}
		items[m.Volume] = it
		return
	}
	p.joinOwner(it, spec, during, cause)
}

// joinOwner adds what a further owner asks for an item.
func (p *Plan) joinOwner(it *Item, spec labels.Spec, during labels.During, cause string) {
	if slices.Contains(it.Volume.Owners, spec.Service) {
		return
	}
	if !strings.Contains(it.Cause, cause) {
		it.Cause += "; " + cause
	}
	it.Volume.Owners = append(it.Volume.Owners, spec.Service)
	it.Volume.During = stricter(it.Volume.During, during)
	if spec.OnError == labels.Fail {
		it.Volume.OnError = labels.Fail
	}
	agreed := slices.DeleteFunc(slices.Clone(it.Volume.Exclude), func(x string) bool { return !slices.Contains(spec.Exclude, x) })
	if len(agreed) < len(it.Volume.Exclude) || len(agreed) < len(spec.Exclude) {
		p.warn("%s: its services (%s) exclude different files, so that only what all of them exclude is left out", it.Key, strings.Join(it.Volume.Owners, ", "))
	}
	it.Volume.Exclude = agreed
}

func newVolume(v compose.Volume, cause string) *Item {
	return &Item{
		Key: manifest.Key(manifest.Volume, "", v.Key), Kind: manifest.Volume, Name: v.Key, Cause: cause,
		Volume: &VolumeItem{Volume: v, Docker: v.Name, During: labels.Live, OnError: labels.Fail},
	}
}

// addOwnerless adds volumes that ask for themselves and that no enabled
// service mounts.
func (p *Plan) addOwnerless(in Input, items map[string]*Item) {
	for key, vs := range in.VolumeSpecs {
		v, ok := in.Project.Volume(key)
		if ok && items[key] == nil && vs.Enabled != nil && *vs.Enabled {
			items[key] = newVolume(v, "label ripplebak.enable of the volume")
		}
	}
}

// finishVolume fills in what does not depend on who asked.
func finishVolume(in Input, it *Item) {
	v := it.Volume
	v.Exclude = slices.Clone(v.Exclude)
	for _, x := range in.VolumeSpecs[it.Name].Exclude {
		if !slices.Contains(v.Exclude, x) {
			v.Exclude = append(v.Exclude, x)
		}
	}
	v.DeviceID = deviceID(in.Project.Name, it.Name)
	if it.Kind == manifest.Bind {
		v.DeviceID = deviceID(in.Project.Name, it.Key)
	}
	for _, u := range in.Project.UsersOf(v.Docker) {
		v.UsedBy = append(v.UsedBy, u.Service)
	}
	sort.Strings(v.UsedBy)
	v.UsedBy = slices.Compact(v.UsedBy)
	if !v.Volume.Exists {
		it.Broken = fmt.Sprintf("the volume %s does not exist: it was removed, or its service was never started", v.Docker)
	}
	if writers := in.ForeignWriters[v.Docker]; len(writers) > 0 {
		v.Inconsistent = fmt.Sprintf("written to by %s, outside the project, whatever the project's services do meanwhile", strings.Join(writers, ", "))
	}
}

// deviceID is a stable number of an item, the same on each host and in each
// run, so that files of two volumes are never taken for hard links of each
// other. Never 0, and small enough for JSON readers that count in doubles.
func deviceID(project, volume string) uint64 {
	h := sha256.Sum256([]byte(project + "\x00volume\x00" + volume))
	return binary.BigEndian.Uint64(h[:8])>>11 | 1
}

// stricter is the one of the two that disturbs the service more.
func stricter(a, b labels.During) labels.During {
	if strictness(b) > strictness(a) {
		return b
	}
	return a
}

func strictness(d labels.During) int {
	switch d {
	case labels.Stop:
		return 2
	case labels.Pause:
		return 1
	}
	return 0
}
