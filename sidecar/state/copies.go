package state

import (
	"fmt"
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
