package state

import (
	"maps"
	"slices"
	"time"

	"github.com/ripplebak/ripplebak/manifest"
)

// LastRestore is what the last restore did to the project, for who wants to
// undo it.
type LastRestore struct {
	manifest.Overwritten
	Project  string    `json:"project"`
	Started  time.Time `json:"started"`
	Finished time.Time `json:"finished,omitzero"` // zero: it is under way, or was killed
	// Safety is the ID of the snapshot of what was there before; NoSafety says
	// that none was wanted.
	Safety   string `json:"safety,omitempty"`
	NoSafety bool   `json:"no_safety,omitempty"`
	// Undoes is the restore that this one undoes, and that is still to be undone
	// as long as this one has not restored all.
	Undoes *LastRestore `json:"undoes,omitempty"`
	// States say how far it came with each item, by key; one that is absent was
	// not begun.
	States map[string]ItemState `json:"states,omitempty"`
}

// ItemState is how far a restore came with an item.
type ItemState string

// The states of an item. One that was begun is old or new, as a whole.
const (
	ItemBegun    ItemState = "begun"
	ItemRestored ItemState = "restored" // the new data is in place
	ItemKept     ItemState = "kept"     // the old data is in place
)

// Unfinished says whether the restore was killed, or left something that only the
// journal can settle.
func (l *LastRestore) Unfinished() bool {
	return l.Finished.IsZero() || slices.Contains(slices.Collect(maps.Values(l.States)), ItemBegun)
}

// Touched are the items of which the old data may not be in place.
func (l *LastRestore) Touched() []manifest.OverwrittenItem {
	var out []manifest.OverwrittenItem
	for _, it := range l.Items {
		if s := l.States[it.Key]; s == ItemBegun || s == ItemRestored {
			out = append(out, it)
		}
	}
	return out
}

// Complete says whether each item was restored.
func (l *LastRestore) Complete() bool {
	return !slices.ContainsFunc(l.Items, func(it manifest.OverwrittenItem) bool { return l.States[it.Key] != ItemRestored })
}

// Remaining is, of one that undoes another and has not restored all, that
// other, with what has its old data again.
func (l *LastRestore) Remaining() *LastRestore {
	left := *l.Undoes
	left.States = maps.Clone(left.States)
	for _, it := range left.Touched() {
		if len(it.Saved) > 0 && !slices.ContainsFunc(it.Saved, func(key string) bool { return l.States[key] != ItemRestored }) {
			left.States[it.Key] = ItemKept
		}
	}
	return &left
}
