package plan

import (
	"fmt"
	"slices"
	"strings"

	"github.com/ripplebak/ripplebak/compose"
	"github.com/ripplebak/ripplebak/labels"
)

// Make decides what a run does. It never fails: what is wrong is in the
// plan's Problems, all at once.
func Make(in Input) *Plan {
	p := &Plan{
		Project:    in.Project.Name,
		Specs:      in.Specs,
		Problems:   append([]string{}, in.Problems...),
		Warnings:   append([]string{}, in.Notices...),
		Items:      []Item{},
		Operations: []Operation{},
	}
	order := p.order(in.Project)
	p.dropUnusable(&in)
	p.addDumps(in, order)
	p.addVolumes(in, order)
	p.addBinds(in)
	p.addHostPaths(in)
	p.addConfig(in)
	p.Unlabelled = unlabelled(in, p.Items)
	p.checkSelection(in)
	p.applySelection(in)
	p.applySchedules(in)
	p.dumpOnce()
	p.applyPolicies(in)
	p.leaveOut(in)
	p.Draft = slices.ContainsFunc(p.Items, func(i Item) bool { return i.Later != "" })
	windows := makeWindows(in, p.Items, order)
	p.addOperations(in, order, windows)
	p.checkSurroundings(in, windows)
	p.checkRemoved(in)
	p.checkGroups(in, order)
	p.checkGroupSchedules(in, order)
	p.checkCopies(in)
	p.checkEmpty(in, order)
	if in.LocalRepository != "" {
		p.warn("the repository %s is on the same machine as the data: a dead disk takes both; set RIPPLEBAK_REPOSITORY to s3:...", in.LocalRepository)
	}
	return p
}

func (p *Plan) problem(format string, args ...any) {
	p.Problems = append(p.Problems, fmt.Sprintf(format, args...))
}

func (p *Plan) warn(format string, args ...any) {
	p.Warnings = append(p.Warnings, fmt.Sprintf(format, args...))
}

// order is the order of dependencies. A circle is a problem.
func (p *Plan) order(project compose.Project) []string {
	order, err := project.Order()
	if err != nil {
		p.Problems = append(p.Problems, err.Error())
		return serviceNames(project)
	}
	return order
}

func serviceNames(p compose.Project) []string {
	var names []string
	for _, s := range p.Services {
		names = append(names, s.Name)
	}
	return names
}

// checkSelection refuses names that choose nothing.
func (p *Plan) checkSelection(in Input) {
	for _, name := range in.Select {
		spec := in.Specs[name]
		_, known := in.Project.Service(name)
		switch {
		case !known:
			p.problem("project %q has no service %q; its services are %s", p.Project, name, strings.Join(serviceNames(in.Project), ", "))
		case spec.Labelled && !spec.Enabled:
			p.problem("service %q is left out by its label ripplebak.enable: \"false\"", name)
		case !spec.Enabled:
			p.problem("service %q is not labelled: put ripplebak.enable: \"true\" on it", name)
		case !slices.ContainsFunc(p.Items, func(i Item) bool { return ownedBy(i, name) }):
			p.problem("service %q has nothing to save: it has no dump, and no volume that its labels choose", name)
		}
	}
}

// applySelection marks the items of services that were not asked for.
func (p *Plan) applySelection(in Input) {
	if in.Select == nil {
		return
	}
	p.Only = in.Select
	for i := range p.Items {
		it := &p.Items[i]
		if !slices.ContainsFunc(in.Select, func(s string) bool { return ownedBy(*it, s) }) {
			it.Skip = "not asked for in this run"
		}
	}
}

// ownedBy says whether it was the service that asked for the item.
func ownedBy(it Item, service string) bool {
	if it.Volume != nil {
		return slices.Contains(it.Volume.Owners, service)
	}
	return it.Service == service
}

// These are the lines to paste where the sidecar's own container lacks
// something.
const (
	addState  = "add to the backup service\n    volumes:\n      - ripplebak:/var/lib/ripplebak\nand to the top level of the file\n    volumes:\n      ripplebak:"
	addSocket = "add to the backup service\n    volumes:\n      - ripplebak-run:/run/ripplebak\nand to the top level of the file\n    volumes:\n      ripplebak-run:"
)

// checkSurroundings refuses what the sidecar's own container cannot do.
func (p *Plan) checkSurroundings(in Input, windows []window) {
	quiesces := slices.ContainsFunc(windows, func(w window) bool { return len(w.quiesce) > 0 })
	reads := slices.ContainsFunc(windows, func(w window) bool { return len(w.items) > 0 })
	if quiesces && !in.HasState {
		p.problem("services would have to be stopped, and there is no state volume in which to note which: nothing is ever stopped without; %s", addState)
	}
	copies := slices.ContainsFunc(p.Items, func(i Item) bool { return i.Dump != nil && copied(in, i.Dump.Engine) })
	if (reads || copies) && !in.HasSocket {
		p.problem("the containers that read volumes cannot reach this one; %s", addSocket)
	}
}

// checkGroups warns of groups that do not do what a group is for.
func (p *Plan) checkGroups(in Input, order []string) {
	groups, members := groupsOf(in, order)
	for _, g := range groups {
		switch {
		case len(members[g]) == 1:
			p.warn("group %q has no service but %q: is its name misspelt on another?", g, members[g][0])
		case duringOf(in, members[g][0]) == labels.Live:
			p.warn("group %q is no single point in time: none of its services (%s) says ripplebak.during: stop or pause", g, strings.Join(members[g], ", "))
		}
	}
}

// groupsOf are the groups in the order of their first services, and the enabled
// services of each.
func groupsOf(in Input, order []string) (groups []string, members map[string][]string) {
	members = map[string][]string{}
	for _, s := range order {
		if g := in.Specs[s].Group; in.Specs[s].Enabled && g != "" {
			if members[g] == nil {
				groups = append(groups, g)
			}
			members[g] = append(members[g], s)
		}
	}
	return groups, members
}

// checkEmpty says where labels have come to nothing: for a service it is a
// warning, for the whole project a problem.
func (p *Plan) checkEmpty(in Input, order []string) {
	for _, name := range order {
		spec := in.Specs[name]
		if !spec.Enabled || spec.Dump != nil || spec.Volumes.Mode == labels.None || slices.Contains(in.Select, name) ||
			slices.ContainsFunc(p.Items, func(i Item) bool { return ownedBy(i, name) }) {
			continue
		}
		s, _ := in.Project.Service(name)
		if group := spec.Group; group != "" {
			continue // it takes part by being quiesced with the others
		}
		if spec.Auto {
			if binds := writableBinds(s); binds != "" {
				p.warn("service %q: nothing of it is saved: it mounts no named volume%s", name, binds)
			}
			continue
		}
		p.warn("service %q is labelled, and nothing of it is saved: it mounts no named volume%s", name, writableBinds(s))
	}
	switch {
	case slices.ContainsFunc(p.Items, func(i Item) bool { return i.Config == nil }) || len(p.Problems) > 0:
	case len(in.Project.Services) == 0 && p.Project == compose.Standalone:
		p.problem("there is no container that Compose has not made")
	case len(in.Project.Services) == 0:
		p.problem("project %q has no containers: start it first, with \"docker compose up -d\"", p.Project)
	default:
		p.problem("project %q has nothing to save: put ripplebak.enable: \"true\" or ripplebak.dump on a service", p.Project)
	}
}

// writableBinds names the directories of the host that hold a service's data.
func writableBinds(s compose.Service) string {
	var targets []string
	for _, m := range s.Mounts {
		if m.Kind == compose.KindBind && !m.ReadOnly {
			targets = append(targets, m.Target)
		}
	}
	if targets == nil {
		return ""
	}
	return ", and bind mounts (" + strings.Join(targets, ", ") + ") are saved only with ripplebak.binds"
}
