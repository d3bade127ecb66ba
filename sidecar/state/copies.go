package state

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Seen is a repository that this sidecar has used.
type Seen struct {
	// Repository is its ID, Location where it was.
	Repository string `json:"repository,omitempty"`
	Location   string `json:"location,omitempty"`
}

// CopyHistory is what the last copying to a copy left.
type CopyHistory struct {
	Seen
	// Since is when something was first to be copied there.
	Since time.Time `json:"since,omitzero"`
	// Looked is when the copy was last compared with the repository; zero where
	// it never could be.
	Looked time.Time `json:"looked,omitzero"`
	// BehindSince is the time of the oldest snapshot that is newer than all in
	// the copy; zero where the newest is there.
	BehindSince time.Time `json:"behind_since,omitzero"`
	// LastError is why the last copying failed; empty where it did not.
	LastError string `json:"last_error,omitempty"`
}

// copyOf stands between a copy's name, which has no blank, and a project's.
const copyOf = " of "

// CopyOf names the record of a copy: for one of several projects there is one
// each. What is seen of the copy itself is in the one of its name.
func CopyOf(name, project string) string {
	if project == "" {
		return name
	}
	return name + copyOf + project
}

// Copy is what is remembered of a copy; of several projects, of the one for which
// it has been behind for longest.
func (h History) Copy(name string) CopyHistory {
	out := h.Copies[name]
	for _, key := range slices.Sorted(maps.Keys(h.Copies)) {
		c := h.Copies[key]
		if !strings.HasPrefix(key, name+copyOf) || c.BehindSince.IsZero() {
			continue
		}
		if out.BehindSince.IsZero() || c.BehindSince.Before(out.BehindSince) {
			out.Since, out.Looked, out.BehindSince, out.LastError = c.Since, c.Looked, c.BehindSince, c.LastError
		}
	}
	return out
}

// ForgetCopy forgets how far a copy was for each of several projects.
func (h *History) ForgetCopy(name string) {
	maps.DeleteFunc(h.Copies, func(key string, _ CopyHistory) bool { return strings.HasPrefix(key, name+copyOf) })
}

// Overdue says whether the copy has been behind for too long. A new one has as
// long, however old the snapshots are that it lacks.
func (c CopyHistory) Overdue(interval time.Duration, now time.Time) bool {
	since := c.BehindSince
	if c.Since.After(since) {
		since = c.Since
	}
	return !c.BehindSince.IsZero() && now.Sub(since) > Overdue(interval)
}

// Behind says how far the copy is behind, false where it is not.
func (c CopyHistory) Behind(now time.Time) (string, bool) {
	if c.BehindSince.IsZero() {
		return "", false
	}
	text := fmt.Sprintf("is behind for %s: it has nothing newer than what was there before %s",
		max(now.Sub(c.BehindSince), 0).Round(time.Minute), c.BehindSince.Format(time.RFC3339))
	if c.LastError != "" {
		text += "; the last copying failed: " + c.LastError
	}
	return text, true
}
