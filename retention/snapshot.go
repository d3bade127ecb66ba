package retention

import (
	"cmp"
	"slices"
	"time"
)

// State says what a snapshot holds of an item.
type State uint8

// The states of an item.
const (
	// Absent: not in the snapshot; it failed, or was left out on purpose.
	Absent State = iota
	// Partial: stored, and some of it could not be read.
	Partial
	// Good: stored and proven whole.
	Good
)

// Item is one thing that a project consists of, as a snapshot knows it.
type Item struct {
	Key   string // "volume data"
	State State
	// Policies are those of the services that the item belongs to; an empty
	// one, or none at all, stands for the policy of the sidecar.
	Policies []Policy
	// Schedules are those of the services that the item belongs to; an empty
	// one, or none at all, stands for the schedule of the sidecar.
	Schedules []string
}

// Snapshot is what a decision goes by.
type Snapshot struct {
	// ID names the snapshot. Was is the ID that it had at first, where its tags
	// were changed since; Parent that of the newest one when it was made. Both
	// may be empty.
	ID, Was, Parent string
	Time            time.Time
	// Items is nil where it is not known what the snapshot holds, as of one
	// that ripplebak did not write.
	Items      []Item
	Incomplete bool // some items failed
	Part       bool // of a run that left out services
	// Schedules are those that a part was made for, an empty one for that of the
	// sidecar; none: somebody has asked for it.
	Schedules []string
	Safety    bool // made by a restore, of what it was about to overwrite
	Pinned    bool
	// Unreadable says why nobody can tell what the snapshot holds, as a reason
	// to keep it; it counts for nothing.
	Unreadable string
	// StandsFor is the ID of a damaged snapshot that is still there and that
	// this one was written in place of; it stays as long as that one does.
	StandsFor string
}

// whole says whether the snapshot is a good backup of the project.
func (s *Snapshot) whole() bool { return !s.Incomplete && !s.Part && !s.Safety && s.Unreadable == "" }

// covers says whether the snapshot is a good backup of all that follows a
// schedule.
func (s *Snapshot) covers(schedule string) bool {
	return !s.Incomplete && !s.Safety && s.Unreadable == "" && (!s.Part || slices.Contains(s.Schedules, schedule))
}

// schedulesOf are the schedules that the project has, as its newest snapshot
// knows them; the entries come newest first.
func schedulesOf(list []*entry) []string {
	var out []string
	for _, e := range list {
		if e.Safety || e.odd != "" || len(e.Items) == 0 {
			continue
		}
		for _, i := range e.Items {
			out = append(out, i.Schedules...)
			if len(i.Schedules) == 0 {
				out = append(out, "")
			}
		}
		slices.Sort(out)
		return slices.Compact(out)
	}
	return []string{""}
}

// newestFirst sorts by time, and what is of one instant by ID.
func newestFirst(a, b *entry) int {
	if c := b.Time.Compare(a.Time); c != 0 {
		return c
	}
	return cmp.Compare(b.ID, a.ID)
}

// entry is a snapshot while it is decided upon.
type entry struct {
	*Snapshot
	states   map[string]State // by item
	reasons  []string
	counters Counters
	// odd says why its time cannot be trusted, or nothing.
	odd string
}

func newEntry(s *Snapshot) *entry {
	e := &entry{Snapshot: s, states: map[string]State{}}
	for _, i := range s.Items {
		e.states[i.Key] = i.State
	}
	return e
}

func (e *entry) kept() bool { return len(e.reasons) > 0 }

// keep adds a reason, each once.
func (e *entry) keep(reason string) {
	if !slices.Contains(e.reasons, reason) {
		e.reasons = append(e.reasons, reason)
	}
}
