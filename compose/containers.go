package compose

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// FromContainers makes the project from its containers and volumes as
// inspected. It takes every container and volume of the host as well: what
// counts is the project that a container's own inspected labels name, compared
// whole, so that neither app2 nor a container without a project adds to app.
// One-offs of compose run are left out, and so are our own containers, whose
// services are named in a note.
//
// A volume's Key, Exists and External, and a mount's Volume and Anonymous, are
// filled in here; a volume that is in vols exists. The errors each tell of one
// container or volume that was left out, or of a label that was not understood;
// the rest of the project is whole beside them.
func FromContainers(project string, cs []Container, vols []Volume) (Project, []error) {
	b := builder{project: Project{Name: project}, services: map[string][]Container{}, own: map[string]bool{}}
	if !validName(project) {
		return b.project, []error{fmt.Errorf("project %s: the name is none that Compose allows", quoted(project))}
	}
	for _, c := range cs {
		b.sort(c)
	}
	b.keys(vols)
	for _, name := range slices.Sorted(maps.Keys(b.services)) {
		b.service(name, b.services[name])
	}
	slices.Sort(b.project.Notes)
	b.project.Notes = slices.Compact(b.project.Notes)
	return b.project, b.errs
}

// builder collects a project from containers.
type builder struct {
	project  Project
	services map[string][]Container
	own      map[string]bool // Docker's names of volumes that our own containers mount
	ring     *keyring
	errs     []error
}

func (b *builder) note(format string, args ...any) {
	b.project.Notes = append(b.project.Notes, fmt.Sprintf(format, args...))
}

func (b *builder) fail(format string, args ...any) {
	b.errs = append(b.errs, fmt.Errorf(format, args...))
}

// sort puts a container to its service, if it has one with us.
func (b *builder) sort(c Container) {
	if c.Labels[LabelProject] != b.project.Name {
		if hasOurs(c.Labels) && !isOwn(c) {
			b.note("container %s: belongs to another project or to none; its ripplebak labels are ignored", short(c))
		}
		return
	}
	if strays(c) && !isOwn(c) {
		b.note("container %s: has its project's name from its image, Compose did not make it; left out", short(c))
		return
	}
	service := c.Labels[LabelService]
	if isOwn(c) {
		for _, m := range c.Mounts {
			if m.Kind == KindVolume {
				b.own[m.Name] = true
			}
		}
		if validName(service) && !isOneOff(c) && !strays(c) {
			b.note("service %s: is ripplebak itself and left out", service)
		}
		return
	}
	switch {
	case isOneOff(c):
	case c.ID == "":
		b.fail("container %s: has no ID; left out", short(c))
	case !validName(service):
		b.fail("container %s: its label %s is %s, which is no name of a service; left out", short(c), LabelService, quoted(service))
	default:
		b.services[service] = append(b.services[service], b.number(c))
	}
}

// number fills in the container's number.
func (b *builder) number(c Container) Container {
	if label := c.Labels[LabelNumber]; c.Number == 0 && label != "" {
		n, err := strconv.Atoi(label)
		if err != nil || n < 1 {
			b.fail("container %s: its label %s is %s, which is no number; it counts as the last", short(c), LabelNumber, quoted(label))
		}
		c.Number = max(n, 0)
	}
	return c
}

// keys gives the volumes their keys.
func (b *builder) keys(vols []Volume) {
	mounted := map[string]bool{}
	for _, cs := range b.services {
		for _, c := range cs {
			for _, m := range c.Mounts {
				if m.Kind == KindVolume && m.Name != "" {
					mounted[m.Name] = true
				}
			}
		}
	}
	b.ring = newKeyring(b.project.Name, vols, slices.Collect(maps.Keys(mounted)))
	b.errs = append(b.errs, b.ring.errs...)
	b.project.Volumes = b.ring.volumes(mounted, b.own)
}

// service makes a service of its containers. The container that comes first
// speaks for it.
func (b *builder) service(name string, cs []Container) {
	slices.SortFunc(cs, func(x, y Container) int {
		return cmp.Or(last(x.Number)-last(y.Number), rank(x)-rank(y), cmp.Compare(x.ID, y.ID))
	})
	for i := range cs {
		cs[i].Mounts = b.ring.fill(cs[i].Mounts)
	}
	first := cs[0]
	deps, err := ParseDependsOn(first.Labels[LabelDependsOn])
	if err != nil {
		b.fail("service %s: label %s: %w", name, LabelDependsOn, err)
	}
	for _, c := range cs[1:] {
		if !maps.Equal(oursOf(c.Labels), oursOf(first.Labels)) {
			b.note("service %s: its containers carry different ripplebak labels; those of %s count until docker compose up makes them equal",
				name, short(first))
			break
		}
	}
	b.project.Services = append(b.project.Services, Service{
		Name: name, Image: first.Image, Containers: cs, DependsOn: deps,
		Labels: first.Labels, ImageLabels: first.ImageLabels, Mounts: union(cs),
		EnvNames: first.EnvNames, NetworkMode: first.NetworkMode, HasHealthcheck: first.HasHealthcheck,
	})
	if b.project.WorkingDir == "" {
		b.project.WorkingDir = first.Labels[LabelWorkingDir]
	}
	if files := first.Labels[LabelConfigs]; b.project.ConfigFiles == nil && files != "" {
		b.project.ConfigFiles = strings.Split(files, ",")
	}
}

// last sorts containers without a number behind the others.
func last(number int) int {
	if number <= 0 {
		return int(^uint(0) >> 2)
	}
	return number
}

// rank puts, of two containers with one number, as there are while Compose
// recreates one, the one that runs first.
func rank(c Container) int {
	if c.Running() {
		return 0
	}
	return 1
}

// union is the mounts of all containers, each target once, by target.
func union(cs []Container) []Mount {
	seen := map[string]bool{}
	var out []Mount
	for _, c := range cs {
		for _, m := range c.Mounts {
			if !seen[m.Target] {
				seen[m.Target] = true
				out = append(out, m)
			}
		}
	}
	slices.SortFunc(out, func(a, b Mount) int { return cmp.Compare(a.Target, b.Target) })
	return out
}

// strays says whether the container is in the project only by labels of its
// image. Compose puts the project's name on images that it builds, and whoever
// runs such an image by hand has a container with that label. Containers that
// Compose makes have the hash of their configuration besides.
func strays(c Container) bool {
	if _, ok := c.ImageLabels[LabelProject]; !ok {
		return false
	}
	hash := c.Labels[LabelConfigHash]
	return hash == "" || hash == c.ImageLabels[LabelConfigHash]
}

// isOneOff says whether compose run made the container.
func isOneOff(c Container) bool { return strings.EqualFold(c.Labels[LabelOneOff], "true") }

// isOwn says whether the container is a sidecar or a helper of ours. A service
// cannot hide as a helper: helpers are not made by Compose and name no service.
func isOwn(c Container) bool {
	if c.Labels[LabelSidecar] == "true" || c.ImageLabels[LabelSidecar] == "true" {
		return true
	}
	return c.Labels[LabelService] == "" && isHelper(c.Labels)
}

// isHelper says whether the labels are those of a throwaway container.
func isHelper(labels map[string]string) bool {
	for k := range labels {
		if k == LabelHelper || strings.HasPrefix(k, LabelHelper+".") {
			return true
		}
	}
	return false
}

// labelPrefix begins the labels that users write for us.
const labelPrefix = "ripplebak."

func hasOurs(labels map[string]string) bool {
	for k := range labels {
		if strings.HasPrefix(k, labelPrefix) {
			return true
		}
	}
	return false
}

func oursOf(labels map[string]string) map[string]string {
	out := map[string]string{}
	for k, v := range labels {
		if strings.HasPrefix(k, labelPrefix) {
			out[k] = v
		}
	}
	return out
}
