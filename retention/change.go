package retention

import (
	"fmt"
	"slices"
	"time"
)

// Mark is how much a snapshot holds of an item.
type Mark struct{ Bytes, Files int64 }

const (
	// MarksCompared is how many earlier marks an item is compared with.
	MarksCompared = 5
	// Below these medians a change says nothing, but that all of it is gone.
	fewBytes = 64 << 10
	fewFiles = 5
	// jumpFactor is how many times larger or smaller something odd is.
	jumpFactor = 100
)

// Changed says whether an item that was saved differs suspiciously from what
// it was in the runs before, whose marks are given newest first: its size or
// its number of files fell by more than limit (0.5 is the half) against the
// median, or its size is a hundred times what it was. Since it goes by the
// median of five, three runs that agree with each other are believed.
func Changed(before []Mark, now Mark, limit float64) (what string, changed bool) {
	before = before[:min(len(before), MarksCompared)]
	if len(before) == 0 {
		return "", false
	}
	bytes := median(before, func(m Mark) int64 { return m.Bytes })
	files := median(before, func(m Mark) int64 { return m.Files })
	switch {
	case fell(bytes, now.Bytes, fewBytes, limit):
		return fmt.Sprintf("it has %d bytes, and had %d in the runs before: look whether that is right", now.Bytes, bytes), true
	case fell(files, now.Files, fewFiles, limit):
		return fmt.Sprintf("it has %d files, and had %d in the runs before: look whether that is right", now.Files, files), true
	case now.Bytes >= fewBytes && now.Bytes/jumpFactor >= max(bytes, 1):
		return fmt.Sprintf("it has %d bytes, and had %d in the runs before: look whether that is right", now.Bytes, bytes), true
	}
	return "", false
}

// fell says whether a number is lower than it was by more than the limit. What
// was little to begin with may go up and down, but not vanish.
func fell(was, is, few int64, limit float64) bool {
	if was > 0 && is == 0 {
		return true
	}
	return was >= few && float64(was-is) > limit*float64(was)
}

// median of an even number of marks is the lower one of the middle.
func median(marks []Mark, of func(Mark) int64) int64 {
	values := make([]int64, len(marks))
	for i, m := range marks {
		values[i] = of(m)
	}
	slices.Sort(values)
	return values[(len(values)-1)/2]
}

// heldTooLong is how long incomplete runs may hold retention back.
const heldTooLong = 14 * 24 * time.Hour

// HeldBack says since when runs have been incomplete, so that retention did not
// run after them, where that is too long: the repository grows, and what fails
// is not being saved.
func HeldBack(list []Snapshot, now time.Time) (since time.Time, tooLong bool) {
	var complete time.Time
	for _, s := range list {
		if s.whole() && s.Time.After(complete) && !s.Time.After(now) {
			complete = s.Time
		}
	}
	for _, s := range list {
		if s.Incomplete && !s.Safety && s.Time.After(complete) && (since.IsZero() || s.Time.Before(since)) {
			since = s.Time
		}
	}
	return since, !since.IsZero() && now.Sub(since) >= heldTooLong
}
