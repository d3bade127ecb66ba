package plan

import (
	"slices"
	"sort"
	"strings"

	"github.com/ripplebak/ripplebak/compose"
	"github.com/ripplebak/ripplebak/labels"
)

// quiesced is a service that has to be down for the second walk of volumes, or
// for an offline dump.
type quiesced struct {
	service string
	how     labels.During
	cause   string
	items   []string // keys of what it is down for
	causes  []string
}

// duringOf is what a service does while its volumes are read: what its label
// says, or else what its group does, for a group is quiesced together.
func duringOf(in Input, service string) labels.During {
	spec := in.Specs[service]
	during := stricter(labels.Live, spec.During)
	if during != labels.Live || spec.Group == "" {
		return during
	}
	for _, other := range in.Specs {
		if other.Enabled && other.Group == spec.Group {
			during = stricter(during, other.During)
		}
	}
	return during
}

// quiet finds, for all volumes that are to be one point in time, the services
// that have to be down, each with every cause; and for all dumps of a group that
// is to be one, those of the group that are not dumped. A service that is
// stopped takes along those that cannot do without it for a moment.
func quiet(in Input, items []Item) map[string]*quiesced {
	all := map[string]*quiesced{}
	dumped := map[string]bool{}
	for _, it := range items {
		if asked(in, it) {
			dumped[it.Service] = true
		}
	}
	for _, it := range items {
		switch {
		case !it.active():
		case it.offline():
			demandOffline(in, all, it, dumped)
		case asked(in, it):
			demandGroup(in, all, it.Service, dumped, it.Key)
		case it.Volume != nil && it.Volume.During != labels.Live:
			for _, s := range writers(in.Project, it.Volume.Docker) {
				demand(in, all, s, it.Volume.During, []string{it.Key}, "writes to "+it.Key+askedBy(in, it))
			}
			for _, owner := range it.Volume.Owners {
				demandGroup(in, all, owner, dumped, it.Key)
			}
		}
	}
	for carryAlong(in, all) {
	}
	for _, q := range all {
		sort.Strings(q.items)
		q.cause = strings.Join(q.causes, "; ")
	}
	return all
}

// asked says whether an item is a dump for which a server of a group is asked.
// Files that a helper copies are dumped before, for their volume is to be read
// without them.
func asked(in Input, it Item) bool {
	return it.Dump != nil && !it.offline() && it.active() && in.Specs[it.Service].Group != "" && !copied(in, it.Dump.Engine)
}

// demandGroup demands that the services of a group are down for an item of one
// of them. A database that is dumped stays up: nobody writes to it but those of
// its group, and only while it is up can it be dumped.
func demandGroup(in Input, all map[string]*quiesced, owner string, dumped map[string]bool, key string) {
	group := in.Specs[owner].Group
	for _, s := range groupMembers(in, group) {
		if !dumped[s] {
			demand(in, all, s, duringOf(in, s), []string{key}, "in group "+group)
		}
	}
}

// demandOffline demands that a service is down whose dump is made offline, and
// with it who else writes to its files, and its group.
func demandOffline(in Input, all map[string]*quiesced, it Item, dumped map[string]bool) {
	keys := []string{it.Key}
	if up(in.Project, it.Service) {
		demand(in, all, it.Service, labels.Stop, keys, "its dump is made offline")
	}
	for _, key := range it.Dump.DataVolumes {
		v, _ := in.Project.Volume(key)
		for _, s := range writers(in.Project, v.Name) {
			if s != it.Service {
				demand(in, all, s, labels.Stop, keys, "writes to the files of "+it.Service+", whose dump is made offline")
			}
		}
	}
	demandGroup(in, all, it.Service, dumped, it.Key)
}

// askedBy names the label that has the volume read at rest.
func askedBy(in Input, it Item) string {
	var names []string
	for _, o := range it.Volume.Owners {
		if in.Specs[o].During == it.Volume.During {
			names = append(names, o)
		}
	}
	if names == nil {
		return ""
	}
	return " (ripplebak.during=" + string(it.Volume.During) + " of " + strings.Join(names, ", ") + ")"
}

// demand notes that a service has to be down, for which volumes, and why. It
// reports whether that is news. The strictest demand holds; a service that
// keeps restarting cannot be paused, and is stopped.
func demand(in Input, all map[string]*quiesced, service string, how labels.During, items []string, cause string) bool {
	how = stricter(how, in.Specs[service].During)
	if how == labels.Live {
		return false
	}
	q, ok := all[service]
	if !ok {
		q = &quiesced{service: service, how: how}
		all[service] = q
	}
	news := !ok || strictness(how) > strictness(q.how)
	q.how = stricter(q.how, how)
	for _, k := range items {
		if !slices.Contains(q.items, k) {
			q.items, news = append(q.items, k), true
		}
	}
	if !slices.Contains(q.causes, cause) {
		q.causes = append(q.causes, cause)
	}
	if q.how == labels.Pause && restarting(in.Project, service) {
		q.how = labels.Stop
		q.causes = append(q.causes, "keeps restarting, so that it cannot be paused")
	}
	return news
}

// carryAlong demands that the companions of stopped services are stopped too.
// It reports whether that has changed anything.
func carryAlong(in Input, all map[string]*quiesced) bool {
	news := false
	for _, s := range sortedServices(all) {
		q := all[s]
		if q.how != labels.Stop {
			continue
		}
		for _, c := range companions(in.Project, s) {
			if up(in.Project, c.service) && demand(in, all, c.service, labels.Stop, q.items, c.cause) {
				news = true
			}
		}
	}
	return news
}

func sortedServices(all map[string]*quiesced) []string {
	var names []string
	for s := range all {
		names = append(names, s)
	}
	sort.Strings(names)
	return names
}

// companion is a service that has to be restarted with another one.
type companion struct{ service, cause string }

// companions are the services that would not survive the restart of one: those
// that live in its network, which is a new one afterwards, and those of which
// the compose file says so.
func companions(p compose.Project, service string) []companion {
	var out []companion
	for _, s := range p.Services {
		switch {
		case s.Name == service:
		case sharesNetwork(p, s, service):
			out = append(out, companion{s.Name, "lives in the network of " + service})
		case slices.ContainsFunc(s.DependsOn, func(d compose.Dependency) bool { return d.Service == service && d.Restart }):
			out = append(out, companion{s.Name, "depends on " + service + " with restart: true"})
		}
	}
	return out
}

func sharesNetwork(p compose.Project, s compose.Service, with string) bool {
	if name, ok := strings.CutPrefix(s.NetworkMode, "service:"); ok {
		return name == with
	}
	id, ok := strings.CutPrefix(s.NetworkMode, "container:")
	if !ok || id == "" {
		return false
	}
	other, _ := p.Service(with)
	return slices.ContainsFunc(other.Containers, func(c compose.Container) bool { return c.ID == id || c.Name == id })
}

// groupMembers are the services of a group that are up.
func groupMembers(in Input, group string) []string {
	var out []string
	for name, spec := range in.Specs {
		if group != "" && spec.Enabled && spec.Group == group && up(in.Project, name) {
			out = append(out, name)
		}
	}
	sort.Strings(out)
	return out
}

// writers are the services with a container that is up and mounts the volume
// for writing.
func writers(p compose.Project, docker string) []string {
	var out []string
	for _, u := range p.UsersOf(docker) {
		if u.ReadOnly {
			continue
		}
		s, _ := p.Service(u.Service)
		if u.Container == "" || slices.ContainsFunc(s.Containers, func(c compose.Container) bool { return c.ID == u.Container && isUp(c) }) {
			out = append(out, u.Service)
		}
	}
	sort.Strings(out)
	return slices.Compact(out)
}

// isUp says whether a container may write at any moment: it runs, or the
// Engine is about to start it again. A paused one is frozen, and stays so.
func isUp(c compose.Container) bool {
	return c.State == compose.StateRunning || c.State == compose.StateRestarting
}

// up says whether a service has a container that is up. A service of a compose
// file has none, and is taken to be up, for that is when its plan is for.
func up(p compose.Project, service string) bool {
	s, ok := p.Service(service)
	return ok && (len(s.Containers) == 0 || slices.ContainsFunc(s.Containers, isUp))
}

func inState(p compose.Project, service, state string) bool {
	s, _ := p.Service(service)
	return slices.ContainsFunc(s.Containers, func(c compose.Container) bool { return c.State == state })
}

func restarting(p compose.Project, service string) bool {
	return inState(p, service, compose.StateRestarting)
}
