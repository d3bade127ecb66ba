package state

import (
	"fmt"
	"time"
)

// History is what past runs left: enough for health and for making up a run
// that was missed, without asking the repository.
type History struct {
	// Repository is the ID of the repository that this sidecar has seen; one
	// that is gone is an error, not an invitation to make a new one.
	Repository string `json:"repository,omitempty"`
	// Location is where that repository was.
	Location    string    `json:"location,omitempty"`
	LastAttempt time.Time `json:"last_attempt,omitzero"`
	LastGood    time.Time `json:"last_good,omitzero"`
	LastError   string    `json:"last_error,omitempty"`
	// Unfinished counts runs that were begun since one last came to its end:
	// those that died, and the one under way.
	Unfinished int `json:"unfinished,omitempty"`
	// ServingSince is when serve first came up, so that a new installation
	// is healthy until its first backup is due.
	ServingSince time.Time `json:"serving_since,omitzero"`
	// Interval is how far apart scheduled runs are.
	Interval time.Duration `json:"interval,omitempty"`
	// Check is what checks of the repository left.
	Check CheckHistory `json:"check,omitzero"`
}

// maxUnfinished is how many runs in a row may die before none is made up any
// more: one that is killed for want of memory, say, would stop services again
// each time that it is started anew.
const maxUnfinished = 2

// MayMakeUp reports whether a missed run may be made up at start.
func (h History) MayMakeUp() bool { return h.Unfinished < maxUnfinished }

const historyFile = "history.json"

// History reads the record of past runs; a zero one where there is none.
func (d *Dir) History() (History, error) {
	var h History
	if _, err := d.readFile(historyFile, &h); err != nil {
		return History{}, fmt.Errorf("read history: %w", err)
	}
	return h, nil
}

// UpdateHistory changes the record by the function.
func (d *Dir) UpdateHistory(change func(*History)) error {
	h, err := d.History()
	if err != nil {
		// What cannot be read is rewritten: it is a convenience, and a
		// damaged one must not stop backups.
		h = History{}
	}
	change(&h)
	if err := d.writeFile(historyFile, h); err != nil {
		return fmt.Errorf("write history: %w", err)
	}
	return nil
}

// Healthy returns nil while backups are as recent as they should be: the last
// good one not older than twice the interval. Before the first good one, the
// time since serve came up counts.
func (h History) Healthy(now time.Time) error {
	limit := 2 * h.Interval
	if limit == 0 {
		return fmt.Errorf("no schedule is known: serve has not come up yet")
	}
	since, what := h.LastGood, "the last good backup"
	if since.IsZero() {
		since, what = h.ServingSince, "no backup has succeeded, and the start of serve"
	}
	if since.Sub(now) > limit {
		return fmt.Errorf("%s was at %s by the clock of then, which is in the future: the clock was set back, and how old it is cannot be told", what, since.Format(time.RFC3339))
	}
	if age := now.Sub(since); age > limit {
		why := ""
		if h.LastError != "" {
			why = "; the last run failed: " + h.LastError
		}
		return fmt.Errorf("%s is %s ago, the limit is %s%s", what, age.Round(time.Minute), limit.Round(time.Minute), why)
	}
	return nil
}
