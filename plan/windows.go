package plan

import (
	"maps"
	"slices"
	"sort"

	"github.com/ripplebak/ripplebak/labels"
)

// A window is a set of volumes that are walked by one helper, of dumps that are
// made offline, and the services that are quiesced together for the second walk
// and these dumps, and for the dumps of their group. No service is quiesced in
// two windows.
type window struct {
	name    string
	items   []string        // keys of volumes, sorted
	dumps   []string        // keys of dumps, in the order of the plan
	offline []string        // keys of dumps that are made when all is down
	owners  []string        // services whose commands run around it, in dependency order
	quiesce []quiesced      // in dependency order
	late    map[string]bool // of these, what goes down only after the dumps
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
		if it.Dump != nil && (it.offline() && it.active() || isDownFor(down, it.Key)) {
			byKey[it.Key] = it
			sets.add(it.Key)
		}
		if it.offline() && it.active() {
			sets.join(it.Key, together(in, it, it.Service))
		}
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
	byRoot := map[string][]Item{}
	for _, it := range items {
		if _, ok := byKey[it.Key]; ok {
			root := sets.root(it.Key)
			byRoot[root] = append(byRoot[root], it)
		}
	}
	var out []window
	for _, its := range byRoot {
		out = append(out, makeWindow(in, its, down, order))
	}
	sort.Slice(out, func(a, b int) bool { return out[a].name < out[b].name })
	return out
}

func isDownFor(down map[string]*quiesced, key string) bool {
	for _, q := range down {
		if slices.Contains(q.items, key) {
			return true
		}
	}
	return false
}

// together names the set of volumes that an owner's volume is read with.
func together(in Input, it Item, owner string) string {
	how := "at rest "
	if it.Volume != nil && it.Volume.During == labels.Live {
		how = "live "
	}
	if g := in.Specs[owner].Group; g != "" {
		return how + "group " + g
	}
	return how + "service " + owner
}

func makeWindow(in Input, items []Item, down map[string]*quiesced, order []string) window {
	w := window{late: map[string]bool{}}
	owners := map[string]bool{}
	for _, it := range items {
		switch {
		case it.offline():
			w.offline = append(w.offline, it.Key)
			owners[it.Service] = true
			continue
		case it.Dump != nil:
			w.dumps = append(w.dumps, it.Key)
			owners[it.Service], w.late[it.Service] = true, true
			// What a database needs stays up as long as it does.
			maps.Copy(w.late, dependencies(in.Project, it.Service))
			continue
		}
		w.items = append(w.items, it.Key)
		for _, o := range it.Volume.Owners {
			owners[o] = true
		}
	}
	sort.Strings(w.items)
	keys := slices.Concat(w.items, w.dumps, w.offline)
	w.name = keys[0]
	for _, s := range order {
		q, ok := down[s]
		if ok = ok && slices.Contains(keys, q.items[0]); ok {
			w.quiesce = append(w.quiesce, *q)
		}
		if spec := in.Specs[s]; owners[s] || ok && spec.Enabled && spec.Pre+spec.Post != "" {
			w.owners = append(w.owners, s)
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
