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
	Location string `json:"location,omitempty"`
	// Runs are those of the project, where the sidecar serves one. Read through
	// Of, they are those of the project that it names.
	Runs
	// Projects are the runs of each project, where the sidecar serves several.
	Projects map[string]Runs `json:"projects,omitempty"`
	// Copies are the copies of the repository, by name.
	Copies map[string]CopyHistory `json:"copies,omitempty"`
	// Check is what checks of the repository left.
	Check CheckHistory `json:"check,omitzero"`
	// Bootstraps are those that have not come to their end, by project.
	Bootstraps map[string]Bootstrap `json:"bootstraps,omitempty"`
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

// DamagedHistory is where a record that cannot be read is kept.
const (
	historyFile    = "history.json"
	DamagedHistory = "history.damaged.json"
)

// History reads the record of past runs; a zero one where there is none.
func (d *Dir) History() (History, error) {
	h, err := d.wholeHistory()
	if err == nil && d.project != "" {
		h.Runs = h.Projects[d.project]
	}
	return h, err
}

// wholeHistory is the record as it is stored.
func (d *Dir) wholeHistory() (History, error) {
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

// changeRuns has a record changed as who sees it who works for one project.
func (d *Dir) changeRuns(h *History, change func(*History)) {
	if d.project == "" {
		change(h)
		return
	}
	of := h.Runs
	h.Runs = h.Projects[d.project]
	change(h)
	if h.Projects == nil {
		h.Projects = map[string]Runs{}
	}
	h.Projects[d.project], h.Runs = h.Runs, of
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
	h, err := d.wholeHistory()
	if err != nil {
		if err := os.Rename(filepath.Join(d.path, historyFile), filepath.Join(d.path, DamagedHistory)); err != nil {
			return fmt.Errorf("put a damaged history aside: %w", err)
		}
		h = History{Lost: true}
	}
	d.changeRuns(&h, change)
	if err := d.writeFile(historyFile, h); err != nil {
		return fmt.Errorf("write history: %w", err)
	}
	return nil
}
