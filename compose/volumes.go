package compose

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// LabelAnonymous is what the Engine puts on volumes that nobody named.
const LabelAnonymous = "com.docker.volume.anonymous"

// keyring knows the Compose key of each of Docker's volumes. Keys are unique:
// they become paths in a snapshot.
type keyring struct {
	project string
	byName  map[string]Volume // as inspected
	keys    map[string]string // Docker's name to key
	taken   map[string]string // key to Docker's name
	errs    []error
}

// newKeyring gives each of the volumes that exist, and each named one that is
// mounted, its key: what Compose's label says, else the name without PROJECT_,
// else the name. Labels go first, so that a volume that only looks like ours
// never takes the key of one that is.
func newKeyring(project string, vols []Volume, mounted []string) *keyring {
	r := &keyring{project: project, byName: map[string]Volume{}, keys: map[string]string{}, taken: map[string]string{}}
	names := slices.Clone(mounted)
	for _, v := range vols {
		if v.Name != "" {
			r.byName[v.Name] = v
			names = append(names, v.Name)
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	for _, byLabel := range []bool{true, false} {
		for _, name := range names {
			r.name(name, byLabel)
		}
	}
	return r
}

// name gives one volume its key, in the round of the labelled ones or after.
func (r *keyring) name(name string, byLabel bool) {
	v := r.byName[name]
	labelled := v.Labels[LabelProject] == r.project && v.Labels[LabelVolume] != ""
	if _, done := r.keys[name]; done || r.anonymous(name) || byLabel && !labelled {
		return
	}
	key := name
	if labelled && byLabel {
		key = v.Labels[LabelVolume]
		if !validName(key) {
			r.errs = append(r.errs, fmt.Errorf("volume %s: its label %s is %s, which is no name of a volume; it goes by Docker's name",
				quoted(name), LabelVolume, quoted(key)))
			return
		}
	} else if stripped, ok := strings.CutPrefix(name, r.project+"_"); ok && v.Labels[LabelProject] == "" && validName(stripped) {
		key = stripped
	}
	if !validName(key) {
		r.errs = append(r.errs, fmt.Errorf("volume %s: its name is none that Docker allows; left out", quoted(name)))
		return
	}
	for _, free := range []string{key, name, name + "@external"} {
		if _, ok := r.taken[free]; !ok {
			r.keys[name], r.taken[free] = free, name
			return
		}
	}
}

// anonymous says whether nobody named the volume: it goes with its container.
func (r *keyring) anonymous(name string) bool {
	v := r.byName[name]
	if v.Labels[LabelVolume] != "" {
		return false
	}
	if _, ok := v.Labels[LabelAnonymous]; ok {
		return true
	}
	return len(name) == 64 && strings.Trim(name, "0123456789abcdef") == ""
}

// volumes returns the project's volumes: those that carry its label, and those
// that its services mount. Volumes that only our own containers mount are left
// out: they hold our state, or the backups.
func (r *keyring) volumes(mounted, own map[string]bool) []Volume {
	var out []Volume
	for name, key := range r.keys {
		v, exists := r.byName[name]
		ours := v.Labels[LabelProject] == r.project || r.project == Standalone && v.Labels[LabelProject] == ""
		if !mounted[name] && (!ours || own[name]) {
			continue
		}
		v.Key, v.Name, v.Exists, v.External = key, name, exists, !ours
		out = append(out, v)
	}
	slices.SortFunc(out, func(a, b Volume) int { return cmp.Compare(a.Key, b.Key) })
	return out
}

// fill gives a container's mounts their keys.
func (r *keyring) fill(mounts []Mount) []Mount {
	out := slices.Clone(mounts)
	for i := range out {
		if out[i].Kind != KindVolume {
			continue
		}
		out[i].Volume = r.keys[out[i].Name]
		out[i].Anonymous = out[i].Volume == ""
	}
	return out
}
