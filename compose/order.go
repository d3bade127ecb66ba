package compose

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
)

// ErrCycle is what Order fails with where services depend on each other.
var ErrCycle = errors.New("services depend on each other in a circle")

// Order returns the names of all services, each after those that it depends on,
// and by name where that leaves a choice. Dependencies on services that the
// project doesn't have are passed over. A circle is an error that names it.
func (p Project) Order() ([]string, error) {
	w := walk{services: make(map[string]Service, len(p.Services)), state: map[string]int{}}
	names := make([]string, 0, len(p.Services))
	for _, s := range p.Services {
		w.services[s.Name] = s
		names = append(names, s.Name)
	}
	slices.Sort(names)
	for _, name := range names {
		if err := w.visit(name); err != nil {
			return nil, err
		}
	}
	return w.order, nil
}

// walk is a depth-first search over depends_on.
type walk struct {
	services map[string]Service
	state    map[string]int // 0 not seen, 1 on the path, 2 done
	path     []string
	order    []string
}

func (w *walk) visit(name string) error {
	service, ok := w.services[name]
	if !ok || w.state[name] == 2 {
		return nil
	}
	if w.state[name] == 1 {
		circle := append(slices.Clone(w.path[slices.Index(w.path, name):]), name)
		return fmt.Errorf("%w: %s", ErrCycle, strings.Join(circle, " -> "))
	}
	w.state[name] = 1
	w.path = append(w.path, name)
	for _, on := range service.on() {
		if err := w.visit(on); err != nil {
			return err
		}
	}
	w.path = w.path[:len(w.path)-1]
	w.state[name] = 2
	w.order = append(w.order, name)
	return nil
}

// on returns the names of the services that s depends on, sorted.
func (s Service) on() []string {
	names := make([]string, 0, len(s.DependsOn))
	for _, d := range s.DependsOn {
		names = append(names, d.Service)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Dependents returns the services that depend on the named one, directly or
// through others, in the order in which they have to be stopped: a service
// comes before those that it depends on. The named service itself is not among
// them, not even in a circle; in a circle the order is by name.
func (p Project) Dependents(service string) []string {
	by := map[string][]string{}
	for _, s := range p.Services {
		for _, on := range s.on() {
			by[on] = append(by[on], s.Name)
		}
	}
	found := map[string]bool{service: true}
	queue := []string{service}
	for len(queue) > 0 {
		next := queue[0]
		queue = queue[1:]
		for _, name := range by[next] {
			if !found[name] {
				found[name] = true
				queue = append(queue, name)
			}
		}
	}
	delete(found, service)
	return p.stopOrder(found)
}

// stopOrder sorts services so that dependents come first.
func (p Project) stopOrder(chosen map[string]bool) []string {
	order, err := p.Order()
	if err != nil {
		order = nil
		for _, s := range p.Services {
			order = append(order, s.Name)
		}
		slices.Sort(order)
	}
	slices.Reverse(order)
	return slices.DeleteFunc(order, func(name string) bool { return !chosen[name] })
}

// UsersOf returns the containers that mount a place: a volume, by Docker's name
// of it, or a path of the host, which is also used by who mounts what is below
// or above it. They are given running or not, in the order of services and numbers; services without
// containers, as in a project from a file, count by their own mounts. A
// container that mounts it twice is there once, read-only only if both are.
func (p Project) UsersOf(place string) []Use {
	var uses []Use
	for _, s := range p.Services {
		if len(s.Containers) == 0 {
			uses = addUse(uses, Use{Service: s.Name}, s.Mounts, place)
		}
		for _, c := range s.Containers {
			uses = addUse(uses, Use{Service: s.Name, Container: c.ID}, c.Mounts, place)
		}
	}
	return uses
}

func addUse(uses []Use, use Use, mounts []Mount, place string) []Use {
	mounted, readOnly := false, true
	for _, m := range mounts {
		if m.uses(place) {
			mounted = true
			readOnly = readOnly && m.ReadOnly
		}
	}
	if !mounted {
		return uses
	}
	use.ReadOnly = readOnly
	return append(uses, use)
}

// uses says whether a mount reaches a place.
func (m Mount) uses(place string) bool {
	switch {
	case place == "":
		return false
	case path.IsAbs(place):
		return m.Kind == KindBind && (Within(m.Source, place) || Within(place, m.Source))
	}
	return m.Kind == KindVolume && m.Name == place
}

// Within says whether a path is dir or below it.
func Within(p, dir string) bool {
	p, dir = path.Clean(p), path.Clean(dir)
	return p == dir || dir == "/" || strings.HasPrefix(p, dir+"/")
}
