package plan

import (
	"fmt"
	"slices"
	"sort"

	"github.com/ripplebak/ripplebak/compose"
	"github.com/ripplebak/ripplebak/labels"
)

// A window is a set of volumes that are walked by one helper, and the
// services that are quiesced together for their second walk.
type window struct {
	name    string
	items   []string // keys, sorted
	owners  []string // services in dependency order
	during  labels.During
	quiesce []quiesced // in dependency order
}

type quiesced struct {
	service string
	how     labels.During
	cause   string
}

// makeWindows joins the volumes that have to be one point in time: those of
// one group, and those for which the same service would be quiesced, because
// a service is quiesced once.
func makeWindows(in Input, items []Item, order []string) []window {
	sets := newSets()
	var keys []string
	for _, it := range items {
		if it.Volume == nil || it.Skip != "" || it.Broken != "" {
			continue
		}
		keys = append(keys, it.Key)
		sets.add(it.Key)
		for _, owner := range it.Volume.Owners {
			sets.join(it.Key, groupOf(in, owner))
		}
		if it.Volume.During != labels.Live {
			for _, s := range writers(in, it.Volume.Docker) {
				sets.join(it.Key, groupOf(in, s))
			}
		}
	}
	byRoot := map[string][]string{}
	for _, k := range keys {
		root := sets.root(k)
		byRoot[root] = append(byRoot[root], k)
	}
	var out []window
	for _, ks := range byRoot {
		out = append(out, makeWindow(in, items, ks, order))
	}
	sort.Slice(out, func(a, b int) bool { return out[a].items[0] < out[b].items[0] })
	return out
}

// groupOf names a service's group; a service without one is alone in its own.
func groupOf(in Input, service string) string {
	if g := in.Specs[service].Group; g != "" {
		return "group:" + g
	}
	return "service:" + service
}

// writers are the services with a running container that mounts the volume
// for writing.
func writers(in Input, docker string) []string {
	var out []string
	for _, u := range in.Project.UsersOf(docker) {
		if !u.ReadOnly && running(in.Project, u.Service) {
			out = append(out, u.Service)
		}
	}
	sort.Strings(out)
	return slices.Compact(out)
}

func running(p compose.Project, service string) bool {
	s, _ := p.Service(service)
	return slices.ContainsFunc(s.Containers, func(c compose.Container) bool { return c.State == compose.StateRunning })
}

func makeWindow(in Input, items []Item, keys, order []string) window {
	sort.Strings(keys)
	w := window{name: keys[0], items: keys, during: labels.Live}
	why := map[string]quiesced{}
	owners := map[string]bool{}
	for _, it := range items {
		if slices.Contains(keys, it.Key) {
			w.during = stricter(w.during, it.Volume.During)
			for _, o := range it.Volume.Owners {
				owners[o] = true
			}
		}
	}
	if w.during != labels.Live {
		for _, it := range items {
			if slices.Contains(keys, it.Key) {
				addWriters(in, w, it, why)
			}
		}
		addGroupMembers(in, w, owners, why)
	}
	for _, s := range order {
		if owners[s] {
			w.owners = append(w.owners, s)
		}
		if q, ok := why[s]; ok {
			w.quiesce = append(w.quiesce, q)
		}
	}
	return w
}

// addWriters adds every running service that writes to the volume, labelled
// or not.
func addWriters(in Input, w window, it Item, why map[string]quiesced) {
	for _, s := range writers(in, it.Volume.Docker) {
		if _, ok := why[s]; !ok {
			why[s] = quiesced{s, howFor(in, w, s), fmt.Sprintf("mounts %s for writing", it.Key)}
		}
	}
}

// addGroupMembers adds the running services that share a group with an owner.
func addGroupMembers(in Input, w window, owners map[string]bool, why map[string]quiesced) {
	groups := map[string]bool{}
	for o := range owners {
		if g := in.Specs[o].Group; g != "" {
			groups[g] = true
		}
	}
	for name, spec := range in.Specs {
		if _, ok := why[name]; !ok && spec.Enabled && groups[spec.Group] && running(in.Project, name) {
			why[name] = quiesced{name, howFor(in, w, name), "in group " + spec.Group}
		}
	}
}

// howFor is the service's own wish, or else the window's.
func howFor(in Input, w window, service string) labels.During {
	if d := in.Specs[service].During; d == labels.Stop || d == labels.Pause {
		return d
	}
	return w.during
}

// sets is a disjoint-set forest over names.
type sets struct{ parent map[string]string }

func newSets() *sets { return &sets{parent: map[string]string{}} }

func (s *sets) add(x string) {
	if _, ok := s.parent[x]; !ok {
		s.parent[x] = x
	}
}

func (s *sets) root(x string) string {
	for s.parent[x] != x {
		x = s.parent[x]
	}
	return x
}

func (s *sets) join(a, b string) {
	s.add(a)
	s.add(b)
	s.parent[s.root(a)] = s.root(b)
}
