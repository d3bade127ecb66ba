package plan

import (
	"maps"
	"slices"
	"sort"
	"strings"

	"github.com/ripplebak/ripplebak/compose"
	"github.com/ripplebak/ripplebak/manifest"
)

// Targets are Docker's names of the volumes that a restore of the sources
// would make, because the project has none under their keys today. Whoever
// makes the input looks whether the host has one of that name all the same.
func Targets(p compose.Project, sources []Source) []string {
	var names []string
	for _, s := range sources {
		if s.Item.Kind != manifest.Volume || s.Item.VolumeInfo == nil {
			continue
		}
		if v := wanted(p, s.wanted(p)); !v.Exists {
			names = append(names, v.Name)
		}
	}
	sort.Strings(names)
	return slices.Compact(names)
}

// wanted is the item as which a source comes back. A volume under a new name is
// an ordinary one: what the old one was mounted from must not be written to.
func (s Source) wanted(p compose.Project) manifest.Item {
	if s.NewName == "" || s.Item.Kind != manifest.Volume {
		return s.Item
	}
	name := strings.TrimPrefix(s.NewName, p.Name+"_")
	it := s.Item
	it.Name, it.VolumeInfo = name, &manifest.VolumeInfo{DockerName: dockerName(p, name), Driver: "local"}
	return it
}

// wanted says which volume an item of the manifest is today: the project's own
// under the same key, else one to create, with Compose's own labels. A project
// under a new name gets volumes of its own.
func wanted(p compose.Project, item manifest.Item) compose.Volume {
	known, ok := p.Volume(item.Name)
	if ok && known.Exists {
		return known
	}
	info := item.VolumeInfo
	v := compose.Volume{
		Key: item.Name, Name: dockerName(p, item.Name), Driver: info.Driver, Options: info.Options,
		External: info.External, Labels: maps.Clone(info.Labels),
	}
	old := info.Labels[compose.LabelProject]
	if info.External || old != "" && info.DockerName != old+"_"+item.Name {
		v.Name = info.DockerName
	}
	if ok {
		v.Name = known.Name // what the project's containers mount
	}
	if v.Labels == nil {
		v.Labels = map[string]string{}
	}
	// Compose compares this one with its own file's, and offers to make a volume
	// anew that differs; without it, it takes the volume as it is.
	delete(v.Labels, compose.LabelConfigHash)
	if !info.External && p.Name != compose.Standalone {
		v.Labels[compose.LabelProject] = p.Name
		v.Labels[compose.LabelVolume] = item.Name
	}
	return v
}

// dockerName is the name that Docker knows a volume of the project by, unless
// somebody has given it another.
func dockerName(p compose.Project, key string) string {
	if p.Name == compose.Standalone {
		return key
	}
	return p.Name + "_" + key
}

// target decides where a volume goes. What a volume of another project holds
// is never overwritten.
func (r *Restore) target(in RestoreInput, item manifest.Item) *RestoreVolume {
	if item.VolumeInfo == nil {
		r.problem("%s: the manifest does not describe the volume", item.Key())
		return &RestoreVolume{}
	}
	v := wanted(in.Project, item)
	if v.Exists {
		return &RestoreVolume{Docker: v.Name, Spec: v}
	}
	if !volumeName(v.Name) {
		r.problem("%s: %q is no name of a volume", item.Key(), v.Name)
		return &RestoreVolume{}
	}
	found, ok := in.Found[v.Name]
	if !ok {
		if item.VolumeInfo.Withheld {
			r.problem("%s: the volume %s does not exist, and the password with which it is mounted is in no backup: have Compose create it with \"docker compose up --no-start\", and restore again", item.Key(), v.Name)
		}
		return &RestoreVolume{Docker: v.Name, Create: true, Spec: v}
	}
	if owner := found.Labels[compose.LabelProject]; !v.External && owner != "" && owner != in.Project.Name {
		r.problem("%s: the volume %s belongs to project %q, and is not overwritten: give it another name in the compose file of %q, start its service once, and restore again",
			item.Key(), v.Name, owner, in.Project.Name)
	}
	found.Key, found.Name, found.Exists, found.External = v.Key, v.Name, true, v.External
	return &RestoreVolume{Docker: v.Name, Spec: found}
}

// volumeName says whether Docker allows the name.
func volumeName(s string) bool {
	const alphanumeric = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	return len(s) >= 2 && len(s) <= 255 && strings.Trim(s, alphanumeric+"_.-") == "" && strings.ContainsRune(alphanumeric, rune(s[0]))
}
