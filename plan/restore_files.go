package plan

import (
	"path"
	"slices"
	"strings"

	"github.com/ripplebak/ripplebak/compose"
	"github.com/ripplebak/ripplebak/dump"
	"github.com/ripplebak/ripplebak/manifest"
)

// RestoreFiles is what changes in a volume for a dump that comes back as files,
// in the place of the server's own.
type RestoreFiles struct {
	Docker string `json:"docker_name"`
	// Place are paths in the volume, each of which becomes the dump; Remove are
	// paths that would have the server load something else; Empty are directories
	// whose content goes, "." being the whole volume, and that are filled anew.
	Place  []string `json:"place"`
	Remove []string `json:"remove,omitempty"`
	Empty  []string `json:"empty,omitempty"`
	// Alone says that no server has to come up with the dump: it is judged where
	// it lies, before anybody is started upon it.
	Alone bool `json:"alone,omitempty"`
	// Owner is to whom it will belong; nil: to whom what is there belongs.
	Owner *dump.Owner `json:"owner,omitempty"`
}

// files decides where in which volumes a dump goes. What lies in the container
// itself cannot be written while the container is stopped.
func (r *Restore) files(in RestoreInput, item manifest.Item, p dump.Placement) []RestoreFiles {
	if p.Volume != "" {
		return r.filesAlone(in, item, p)
	}
	service, _ := in.Project.Service(item.Service)
	if len(service.Containers) == 0 {
		return nil // said already
	}
	if len(service.Containers) > 1 {
		r.problem("%s: service %q has %d containers, and it is not known whose files to replace: scale it to one and restore again", item.Key(), item.Service, len(service.Containers))
		return nil
	}
	var out []RestoreFiles
	at := func(volume string) *RestoreFiles {
		i := slices.IndexFunc(out, func(f RestoreFiles) bool { return f.Docker == volume })
		if i < 0 {
			i = len(out)
			out = append(out, RestoreFiles{Docker: volume, Place: []string{}})
		}
		return &out[i]
	}
	if len(p.Files) > 0 {
		volume, within, ok := r.volumeOf(service, item, p.Dir)
		if !ok {
			return nil
		}
		f := at(volume)
		for _, name := range p.Files {
			f.Place = append(f.Place, path.Join(within, name))
		}
		for _, name := range p.Remove {
			f.Remove = append(f.Remove, path.Join(within, name))
		}
	}
	for _, dir := range p.Empty {
		volume, within, ok := r.volumeOf(service, item, dir)
		if !ok {
			return nil
		}
		f := at(volume)
		f.Empty = append(f.Empty, path.Join(".", within))
	}
	return out
}

// volumeOf finds the volume in which a directory of a service lies, and where
// in it.
func (r *Restore) volumeOf(service compose.Service, item manifest.Item, dir string) (volume, within string, ok bool) {
	if !path.IsAbs(dir) {
		r.problem("%s: %q is no directory in which service %q could keep its files", item.Key(), dir, item.Service)
		return "", "", false
	}
	dir = path.Clean(dir)
	target := nearestMount(service, dir)
	i := slices.IndexFunc(service.Mounts, func(m compose.Mount) bool { return path.Clean(m.Target) == target })
	switch {
	case target == "" || i < 0:
		r.problem("%s: service %q keeps its files in %s, in the container itself, where they cannot be replaced while it is stopped: mount a volume there in the compose file, run \"docker compose up -d %s\", and restore again",
			item.Key(), item.Service, dir, item.Service)
		return "", "", false
	case service.Mounts[i].Kind != compose.KindVolume || service.Mounts[i].Name == "":
		r.problem("%s: service %q keeps its files in %s, a %s mount, into which this version does not restore: stop the service and put the file that \"export\" writes there by hand, or mount a volume in its place",
			item.Key(), item.Service, dir, service.Mounts[i].Kind)
		return "", "", false
	case service.Mounts[i].ReadOnly:
		r.problem("%s: service %q mounts %s read-only, and cannot keep files there", item.Key(), item.Service, target)
		return "", "", false
	}
	return service.Mounts[i].Name, strings.TrimPrefix(strings.TrimPrefix(dir, target), "/"), true
}

// filesAlone decides it for a dump that knows its volume, which the same restore
// may make.
func (r *Restore) filesAlone(in RestoreInput, item manifest.Item, p dump.Placement) []RestoreFiles {
	f := RestoreFiles{Place: []string{}, Alone: true, Owner: p.Owner}
	if v, ok := in.Project.Volume(p.Volume); ok && v.Exists {
		f.Docker = v.Name
	}
	for _, s := range in.Sources {
		if f.Docker == "" && s.Item.Kind == manifest.Volume && s.Item.Name == p.Volume && s.NewName == "" && s.Item.VolumeInfo != nil {
			f.Docker = wanted(in.Project, s.Item).Name
		}
	}
	if f.Docker == "" {
		r.problem("%s: its volume %s does not exist: have Compose create it with \"docker compose up --no-start\", and restore again", item.Key(), p.Volume)
		return nil
	}
	within := strings.Trim(p.Dir, "/")
	for _, name := range p.Files {
		f.Place = append(f.Place, path.Join(within, name))
	}
	for _, name := range p.Remove {
		f.Remove = append(f.Remove, path.Join(within, name))
	}
	return []RestoreFiles{f}
}

// Alone says whether the item is a dump that no server has to come up with.
func (i RestoreItem) Alone() bool { return len(i.Placed) == 1 && i.Placed[0].Alone }

// checkFiles refuses two databases with their files in one volume: while the
// files of one are exchanged nobody may run upon the volume.
func (r *Restore) checkFiles() {
	by := map[string]string{}
	for _, it := range r.Items {
		for _, f := range it.Placed {
			if f.Alone { // they go in one after the other, before anybody is started
				at := f.Docker + "/" + f.Place[0]
				if other, ok := by[at]; ok {
					r.problem("%s and %s are both the file %s of the volume %s: restore one of them", other, it.Key, f.Place[0], f.Docker)
				}
				by[at] = it.Key
				continue
			}
			if other, ok := by[f.Docker]; ok {
				r.problem("%s and %s both go into the volume %s: restore one of them, with --service, and then the other", other, it.Key, f.Docker)
			}
			by[f.Docker] = it.Key
		}
	}
}

// writes are Docker's names of the volumes that the restore of an item writes
// to.
func (i RestoreItem) writes() []string {
	if i.Volume != nil && i.Volume.Docker != "" {
		return []string{i.Volume.Docker}
	}
	var out []string
	for _, f := range i.Placed {
		out = append(out, f.Docker)
	}
	return out
}

// placed says where the dump goes, for people.
func (i RestoreItem) placed() string {
	var files, emptied []string
	for _, f := range i.Placed {
		for _, p := range f.Place {
			files = append(files, p+" in the Docker volume "+f.Docker)
		}
		for _, p := range f.Empty {
			if p == "." {
				emptied = append(emptied, "the Docker volume "+f.Docker)
			} else {
				emptied = append(emptied, p+" in the Docker volume "+f.Docker)
			}
		}
	}
	var parts []string
	if files != nil {
		parts = append(parts, "as "+strings.Join(files, " and "))
	}
	if emptied != nil {
		parts = append(parts, "into "+strings.Join(emptied, " and ")+", made anew by the service's own programs")
	}
	return strings.Join(parts, "; ") + ", in place of all that service " + i.Service + " has now"
}
