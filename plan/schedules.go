package plan

import (
	"slices"
	"strings"

	"github.com/ripplebak/ripplebak/manifest"
)

// applySchedules notes with each item the schedules of the services that it
// belongs to, and leaves those out that follow none of the schedules that are
// due. What belongs to no service follows the sidecar's.
func (p *Plan) applySchedules(in Input) {
	for i := range p.Items {
		it := &p.Items[i]
		list := schedulesOf(in, *it)
		if !slices.Equal(list, []string{manifest.DefaultSchedule}) {
			it.Schedules = list
		}
		if in.Due == nil || it.Skip != "" || slices.ContainsFunc(list, func(s string) bool { return slices.Contains(in.Due, s) }) {
			continue
		}
		it.Skip = "it follows " + scheduleTexts(list)
		p.Schedules = in.Due
	}
	if p.Schedules == nil {
		return
	}
	p.Only = []string{}
	for _, s := range in.Project.Services {
		if spec := in.Specs[s.Name]; spec.Enabled && slices.Contains(in.Due, scheduleOf(in, s.Name)) {
			p.Only = append(p.Only, s.Name)
		}
	}
}

// schedulesOf are the schedules at which an item is saved.
func schedulesOf(in Input, it Item) []string {
	owners := []string{it.Service}
	if it.Volume != nil && it.Volume.Owners != nil {
		owners = it.Volume.Owners
	}
	var list []string
	for _, o := range owners {
		if s := scheduleOf(in, o); !slices.Contains(list, s) {
			list = append(list, s)
		}
	}
	return list
}

func scheduleOf(in Input, service string) string {
	if s := in.Specs[service].Schedule; s != "" {
		return s
	}
	return manifest.DefaultSchedule
}

// Nothing says whether the run would save nothing, though nothing is wrong: what
// there is follows other schedules than those that are due.
func (p *Plan) Nothing() bool {
	return p.Schedules != nil && !slices.ContainsFunc(p.Items, func(i Item) bool { return i.Skip == "" })
}

// checkGroupSchedules refuses groups that could not be one point in time,
// because their services are saved at different times.
func (p *Plan) checkGroupSchedules(in Input, order []string) {
	groups, members := groupsOf(in, order)
	for _, g := range groups {
		var who []string
		differ := false
		for _, s := range members[g] {
			differ = differ || scheduleOf(in, s) != scheduleOf(in, members[g][0])
			who = append(who, s+" on "+scheduleTexts([]string{scheduleOf(in, s)}))
		}
		if differ {
			p.problem("group %q is saved as one, and its services follow different schedules (%s): put the same ripplebak.schedule on all of them", g, strings.Join(who, ", "))
		}
	}
}

// scheduleTexts says schedules as people do.
func scheduleTexts(list []string) string {
	var out []string
	for _, s := range list {
		if s == manifest.DefaultSchedule {
			out = append(out, "the sidecar's schedule")
		} else {
			out = append(out, "the schedule "+s)
		}
	}
	return strings.Join(out, " and ")
}
