package plan

import (
	"slices"
	"sort"

	"github.com/ripplebak/ripplebak/labels"
)

// A window is a set of volumes that are walked by one helper, and the
// services that are quiesced together for their second walk. No service is
// quiesced in two windows.
type window struct {
	name    string
	items   []string   // keys, sorted
	owners  []string   // services in dependency order
	quiesce []quiesced // in dependency order
}

// makeWindows puts together the volumes that are read together: those of one
// service or group, and those for which the same service has to be down,
// because it goes down only once. Volumes that are read live stay apart from
// those that are read at rest: they would only make the downtime longer.
func makeWindows(in Input, items []Item, order []string) []window {
	down := quiet(in, items)
	sets := newSets()
	byKey := map[string]Item{}
	for _, it := range items {
		if it.Volume == nil || !it.active() {
			continue
		}
		byKey[it.Key] = it
		sets.add(it.Key)
		for _, owner := range it.Volume.Owners {
			sets.join(it.Key, together(in, it, owner))
		}
		if it.Volume.Owners == nil {
			sets.join(it.Key, "of nobody, "+string(it.Volume.During))
		}
	}
	for _, q := range down {
		for _, k := range q.items {
			sets.join(k, q.items[0])
		}
	}
	byRoot := map[string][]string{}
	for k := range byKey {
		root := sets.root(k)
		byRoot[root] = append(byRoot[root], k)
	}
	var out []window
	for _, keys := range byRoot {
		out = append(out, makeWindow(byKey, keys, down, order))
	}
	sort.Slice(out, func(a, b int) bool { return out[a].items[0] < out[b].items[0] })
	return out
}

// together names the set of volumes that an owner's volume is read with.
func together(in Input, it Item, owner string) string {
	how := "at rest "
	if it.Volume.During == labels.Live {
		how = "live "
	}
	if g := in.Specs[owner].Group; g != "" {
		return how + "group " + g
	}
	return how + "service " + owner
}

func makeWindow(byKey map[string]Item, keys []string, down map[string]*quiesced, order []string) window {
	sort.Strings(keys)
	w := window{name: keys[0], items: keys}
	owners := map[string]bool{}
	for _, k := range keys {
		for _, o := range byKey[k].Volume.Owners {
			owners[o] = true
		}
	}
	for _, s := range order {
		if owners[s] {
			w.owners = append(w.owners, s)
		}
		if q, ok := down[s]; ok && slices.Contains(keys, q.items[0]) {
			w.quiesce = append(w.quiesce, *q)
		}
	}
	return w
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
