package state

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
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
	// Reviewed is the time of the newest snapshot when somebody last looked at
	// what is to be forgotten: what changed suddenly until then is meant so.
	Reviewed time.Time `json:"reviewed,omitzero"`
	// ServingSince is when serve first came up, so that a new installation
	// is healthy until its first backup is due.
	ServingSince time.Time `json:"serving_since,omitzero"`
	// Interval is how far apart scheduled runs are.
	Interval time.Duration `json:"interval,omitempty"`
	// Copies are the copies of the repository, by name.
	Copies map[string]CopyHistory `json:"copies,omitempty"`
	// Check is what checks of the repository left.
	Check CheckHistory `json:"check,omitzero"`
	// Restores are how long items took that were restored last, by key.
	Restores map[string]Measured `json:"restores,omitempty"`
	// LastRestore is what the last restore did; nil: none is known.
	LastRestore *LastRestore `json:"last_restore,omitempty"`
	// Lost says that an earlier record could not be read, and with it which
	// repository this sidecar has seen; it is no more once one is seen again.
	Lost bool `json:"lost,omitempty"`
	// Jobs are what serve does beside backups, by name.
	Jobs map[string]Job `json:"jobs,omitempty"`
}

// Measured is what an item took.
type Measured struct {
	Seconds float64 `json:"seconds"`
	Bytes   int64   `json:"bytes"` // what was written for it
}

// maxUnfinished is how many runs in a row may die before none is made up any
// more: one that is killed for want of memory, say, would stop services again
// each time that it is started anew.
const maxUnfinished = 2

// MayMakeUp reports whether a missed run may be made up at start.
func (h History) MayMakeUp() bool { return h.Unfinished < maxUnfinished }

// Failing reports whether the last run was no good one, and since when there was
// none.
func (h History) Failing() (since time.Time, failing bool) {
	since = h.LastGood
	if since.IsZero() {
		since = h.ServingSince
	}
	return since, h.LastError != "" || h.Unfinished > 0
}

// DamagedHistory is where a record that cannot be read is kept.
const (
	historyFile    = "history.json"
	DamagedHistory = "history.damaged.json"
)

// History reads the record of past runs; a zero one where there is none.
func (d *Dir) History() (History, error) {
	var h History
	found, err := d.readFile(historyFile, &h)
	if err != nil {
		return History{}, fmt.Errorf("read history: %w", err)
	}
	if !found && d.hasDamaged() {
		h.Lost = true // UpdateHistory did not come to its end
	}
	return h, nil
}

// historyLock is locked while the history is changed, by who waits no longer
// than historyPatience.
const (
	historyLock     = "history.lock"
	historyPatience = 2 * time.Second
)

func (d *Dir) hasDamaged() bool {
	_, err := os.Lstat(filepath.Join(d.path, DamagedHistory))
	return err == nil
}

// UpdateHistory changes the record by the function. One that cannot be read
// must not stop backups: it is put aside, and the new one says that it was.
//
// Commands by hand change it beside serve, so one at a time does. Who cannot
// get its turn goes on without: a record that is not quite right must not stop
// a backup.
func (d *Dir) UpdateHistory(change func(*History)) error {
	if f, err := os.OpenFile(filepath.Join(d.path, historyLock), os.O_RDWR|os.O_CREATE, 0o600); err == nil {
		defer f.Close() // which ends the lock
		_ = d.flock(context.Background(), f, historyPatience)
	}
	h, err := d.History()
	if err != nil {
		if err := os.Rename(filepath.Join(d.path, historyFile), filepath.Join(d.path, DamagedHistory)); err != nil {
			return fmt.Errorf("put a damaged history aside: %w", err)
		}
		h = History{Lost: true}
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
