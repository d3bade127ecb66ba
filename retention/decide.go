package retention

import (
	"fmt"
	"slices"
	"time"
)

// DefaultMinimum is how many good snapshots of a project stay at least.
const DefaultMinimum = 3

// Options are what a decision goes by besides the snapshots.
type Options struct {
	// Default is the policy of items that have none of their own.
	Default Policy
	// Minimum is how many good snapshots stay at least; less than 1 counts as 1.
	Minimum int
	// Now is the time by the clock, which may be wrong.
	Now time.Time
	// Interval is how far apart scheduled runs are; 0 where nobody knows.
	Interval time.Duration
	// Drop are the keys of items that are not to be kept for their own sake.
	Drop []string
}

// Kept is a snapshot that stays, and why: never without a reason.
type Kept struct {
	Snapshot
	Reasons  []string
	Counters Counters
}

// Decision is what becomes of the snapshots, newest first.
type Decision struct {
	Keep   []Kept
	Remove []Snapshot
	// Warnings are for people to read.
	Warnings []string
	// Held are reasons for which nothing must be removed unless somebody has
	// looked at it: what runs by itself leaves it at that.
	Held []string
}

// The rule for safety snapshots.
const (
	safetyLast = 3
	safetyDays = 14
)

// Decide says which snapshots of one project on one host are kept. They may
// come in any order.
func Decide(list []Snapshot, opt Options) Decision {
	entries := make([]*entry, len(list))
	for i := range list {
		s := list[i]
		s.Items = without(s.Items, opt.Drop)
		entries[i] = newEntry(&s)
	}
	slices.SortFunc(entries, newestFirst)
	doubt(entries, opt)
	from := referenceOf(entries)

	subjects := subjectsOf(entries)
	for _, s := range subjects {
		s.judge(entries, opt, from)
	}
	judgeSafety(entries, subjects, opt, from.complete)
	keepUnjudged(entries)
	keepNewestGood(entries, subjects)
	keepMinimum(entries, max(opt.Minimum, 1))

	var d Decision
	d.Warnings, d.Held = clockWarnings(entries)
	if text := flooded(entries, opt, from.all); text != "" {
		d.Warnings, d.Held = append(d.Warnings, text), append(d.Held, text)
	}
	for _, e := range entries {
		if e.kept() {
			d.Keep = append(d.Keep, Kept{Snapshot: *e.Snapshot, Reasons: e.reasons, Counters: e.counters})
		} else {
			d.Remove = append(d.Remove, *e.Snapshot)
		}
	}
	return d
}

func without(items []Item, drop []string) []Item {
	if items == nil || len(drop) == 0 {
		return items
	}
	out := []Item{} // what was known stays known
	for _, i := range items {
		if !slices.Contains(drop, i.Key) {
			out = append(out, i)
		}
	}
	return out
}

// subject is what snapshots are judged for: one item, or with an empty key the
// snapshots that have something in them that goes by the default policy.
type subject struct {
	key      string
	policies []Policy // an empty one stands for the default
}

// subjectsOf lists the subjects, that of the default policy first, the items
// as they come in the newest snapshot that knows them. The policies of an item
// are those that this snapshot recorded: so a service that is gone keeps its.
func subjectsOf(list []*entry) []subject {
	out := []subject{{policies: []Policy{{}}}}
	seen := map[string]bool{}
	for _, e := range list {
		if e.Safety {
			continue
		}
		for _, i := range e.Items {
			if seen[i.Key] {
				continue
			}
			seen[i.Key] = true
			policies := i.Policies
			if len(policies) == 0 {
				policies = []Policy{{}}
			}
			out = append(out, subject{key: i.Key, policies: policies})
		}
	}
	return out
}

// has says whether a snapshot is one of those that are judged for the subject.
// byDefault are the items that go by the default policy.
func (s subject) has(e *entry, byDefault map[string]bool) bool {
	switch {
	case e.Safety || e.odd != "" || e.Unreadable != "":
		return false
	case s.key != "":
		return e.states[s.key] != Absent
	case e.Items == nil:
		return true
	}
	return slices.ContainsFunc(e.Items, func(i Item) bool { return i.State != Absent && byDefault[i.Key] })
}

// judge has each of the subject's policies say what it keeps. Incomplete
// snapshots are judged among all, complete ones among themselves, so that none
// of them makes room for an incomplete one.
func (s subject) judge(entries []*entry, opt Options, from reference) {
	byDefault := map[string]bool{}
	if s.key == "" {
		for _, other := range subjectsOf(entries) {
			byDefault[other.key] = slices.Contains(other.policies, Policy{})
		}
	}
	isComplete := func(e *entry) bool { return !e.Incomplete && (s.key == "" || e.states[s.key] == Good) }
	isNot := func(e *entry) bool { return !isComplete(e) }
	var all, complete []*entry
	for _, e := range entries {
		if !s.has(e, byDefault) {
			continue
		}
		all = append(all, e)
		if isComplete(e) {
			complete = append(complete, e)
		}
	}
	for _, p := range s.policies {
		own := p != Policy{}
		if !own {
			p = opt.Default
		}
		if p.Empty() {
			for _, e := range all {
				e.keep("policy is empty")
			}
			continue
		}
		s.mark(complete, p, own, from.complete, isComplete)
		s.mark(all, p, own, from.all, isNot)
	}
}

// mark notes the reasons of a policy with those entries that it is asked for.
func (s subject) mark(list []*entry, p Policy, own bool, latest time.Time, asked func(*entry) bool) {
	times := make([]time.Time, len(list))
	for i, e := range list {
		times[i] = e.Time
	}
	for i, v := range p.apply(times, latest) {
		e := list[i]
		if !asked(e) {
			continue
		}
		for _, why := range v.reasons {
			switch {
			case s.key == "":
				e.counters = v.counters
			case own || !slices.Contains(e.reasons, why):
				why += " of " + s.key
			}
			e.keep(why)
		}
	}
}

// judgeSafety goes by the rule that safety snapshots have of their own, where
// there is any policy at all.
func judgeSafety(list []*entry, subjects []subject, opt Options, reference time.Time) {
	any := !opt.Default.Empty()
	for _, s := range subjects {
		any = any || slices.ContainsFunc(s.policies, func(p Policy) bool { return p != Policy{} })
	}
	seen, complete := 0, 0
	for _, e := range list {
		if !e.Safety || e.odd != "" || e.Unreadable != "" {
			continue
		}
		seen++
		nth := seen
		if !e.Incomplete {
			complete++
			nth = complete
		}
		switch {
		case !any:
			e.keep("policy is empty")
		case nth <= safetyLast:
			e.keep("last safety snapshot")
		case e.Time.After(reference.AddDate(0, 0, -safetyDays)):
			e.keep(fmt.Sprintf("safety within %dd", safetyDays))
		}
	}
}

// keepUnjudged keeps what no policy is asked about.
func keepUnjudged(list []*entry) {
	for _, e := range list {
		if e.Pinned {
			e.keep("pinned")
		}
		if e.odd != "" {
			e.keep(e.odd)
		}
		if e.Unreadable != "" {
			e.keep(e.Unreadable)
		}
		if e.StandsFor != "" {
			e.keep(fmt.Sprintf("written in place of %.8s, which is still there", e.StandsFor))
		}
	}
}

// keepNewestGood keeps the newest good one of each item, whatever the policy;
// of an item that is good in none, the newest of which something is stored.
func keepNewestGood(list []*entry, subjects []subject) {
	for _, s := range subjects {
		if s.key == "" {
			continue
		}
		for _, want := range []State{Good, Partial} {
			i := slices.IndexFunc(list, func(e *entry) bool {
				return !e.Safety && e.odd == "" && e.Unreadable == "" && e.states[s.key] == want
			})
			if i < 0 {
				continue
			}
			if !list[i].kept() {
				list[i].keep(map[State]string{Good: "newest good of ", Partial: "all that there is of "}[want] + s.key)
			}
			break
		}
	}
}

// keepMinimum keeps the newest good snapshots of the project until there are
// enough: of each of its schedules, for a run that was for one of them says
// nothing of what follows another.
func keepMinimum(entries []*entry, minimum int) {
	for _, schedule := range schedulesOf(entries) {
		have := 0
		for _, e := range entries {
			if e.covers(schedule) && e.odd == "" && e.kept() {
				have++
			}
		}
		for _, e := range entries {
			if have >= minimum {
				break
			}
			if e.covers(schedule) && e.odd == "" && !e.kept() {
				e.keep(fmt.Sprintf("one of %d good ones that stay at least", minimum))
				have++
			}
		}
	}
}

const (
	floodDay = 24 * time.Hour
	// floodLeast is how many snapshots a day nobody wonders about, beyond three
	// times those of the schedule.
	floodLeast = 12
)

// flooded says whether so many snapshots were made in a day that they look
// made to push out others.
func flooded(list []*entry, opt Options, reference time.Time) string {
	usual := 24
	if opt.Interval > 0 {
		usual = int(floodDay / opt.Interval)
	}
	n := 0
	for _, e := range list {
		if !e.Safety && e.odd == "" && reference.Sub(e.Time) < floodDay {
			n++
		}
	}
	if n <= 3*usual+floodLeast {
		return ""
	}
	return fmt.Sprintf("%d snapshots were made within a day, where about %d are usual: somebody may be trying to push out older ones", n, max(usual, 1))
}
