package plan

import (
	"path"
	"slices"
	"strings"

	"github.com/ripplebak/ripplebak/compose"
	"github.com/ripplebak/ripplebak/dump"
	"github.com/ripplebak/ripplebak/manifest"
)

// RestoreFiles is where a dump goes that comes back as files: into a volume of
// its service, in the place of the server's own.
type RestoreFiles struct {
	Docker string `json:"docker_name"`
	// Place are paths in the volume, each of which becomes the dump; Remove are
	// paths that would have the server load something else.
	Place  []string `json:"place"`
	Remove []string `json:"remove,omitempty"`
}

// files decides where in a volume a dump goes. What lies in the container
// itself cannot be written while the container is stopped.
func (r *Restore) files(in RestoreInput, item manifest.Item, p dump.Placement) *RestoreFiles {
	service, _ := in.Project.Service(item.Service)
	if len(service.Containers) == 0 {
		return nil // said already
	}
	dir := path.Clean(p.Dir)
	target := nearestMount(service, dir)
	i := slices.IndexFunc(service.Mounts, func(m compose.Mount) bool { return path.Clean(m.Target) == target })
	switch {
	case !path.IsAbs(dir):
		r.problem("%s: %q is no directory in which service %q could keep its files", item.Key(), p.Dir, item.Service)
		return nil
	case target == "" || i < 0:
		r.problem("%s: service %q keeps its files in %s, in the container itself, where they cannot be replaced while it is stopped: mount a volume there in the compose file, run \"docker compose up -d %s\", and restore again",
			item.Key(), item.Service, dir, item.Service)
		return nil
	case service.Mounts[i].Kind != compose.KindVolume || service.Mounts[i].Name == "":
		r.problem("%s: service %q keeps its files in %s, a %s mount, into which this version does not restore: stop the service and put the file that \"export\" writes there by hand, or mount a volume in its place",
			item.Key(), item.Service, dir, service.Mounts[i].Kind)
		return nil
	case service.Mounts[i].ReadOnly:
		r.problem("%s: service %q mounts %s read-only, and cannot keep files there", item.Key(), item.Service, target)
		return nil
	case len(service.Containers) > 1:
		r.problem("%s: service %q has %d containers, and it is not known whose files to replace: scale it to one and restore again", item.Key(), item.Service, len(service.Containers))
		return nil
	}
	within := strings.TrimPrefix(strings.TrimPrefix(dir, target), "/")
	f := &RestoreFiles{Docker: service.Mounts[i].Name, Place: []string{}}
	for _, name := range p.Files {
		f.Place = append(f.Place, path.Join(within, name))
	}
	for _, name := range p.Remove {
		f.Remove = append(f.Remove, path.Join(within, name))
	}
	return f
}

// checkFiles refuses two databases with their files in one volume: while the
// files of one are exchanged nobody may run upon the volume.
func (r *Restore) checkFiles() {
	by := map[string]string{}
	for _, it := range r.Items {
		if it.Placed == nil {
			continue
		}
		if other, ok := by[it.Placed.Docker]; ok {
			r.problem("%s and %s both go into the volume %s: restore one of them, with --service, and then the other", other, it.Key, it.Placed.Docker)
		}
		by[it.Placed.Docker] = it.Key
	}
}

// writes is Docker's name of the volume that the restore of an item writes to,
// or "".
func (i RestoreItem) writes() string {
	switch {
	case i.Volume != nil:
		return i.Volume.Docker
	case i.Placed != nil:
		return i.Placed.Docker
	}
	return ""
}
