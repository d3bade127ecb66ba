package state

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"time"
)

// Journal is what must be undone or finished if the run that wrote it dies.
type Journal struct {
	Run       string    `json:"run"`
	Container string    `json:"container,omitempty"` // of the run's own; empty on the bare host
	Project   string    `json:"project"`
	Command   string    `json:"command"`
	Started   time.Time `json:"started"`
	// Quiesced are the services to bring back, in the order in which they
	// are to come back.
	Quiesced []Quiesced `json:"quiesced,omitempty"`
	// ToStop are databases that were down and were started for a restore
	// only; they are stopped again.
	ToStop []Quiesced `json:"to_stop,omitempty"`
	// Volumes are volumes with a restore under way.
	Volumes []VolumeRestore `json:"volumes,omitempty"`
	// Databases are databases with a restore under way.
	Databases []DatabaseRestore `json:"databases,omitempty"`
	// Posts are the commands that are to run once what was begun before them is
	// over, the one of the whole run last.
	Posts []Post `json:"posts,omitempty"`
}

// Post is a command that ends in a service what its pre command has begun.
type Post struct {
	Service string `json:"service"`
	Command string `json:"command"`
	// OfRun says that it is the one of the whole run.
	OfRun bool `json:"of_run,omitempty"`
}

// Quiesced is a service's container that was running and was stopped or paused
// by the run. It is found again by project, service and number, so that a
// recreated container is found too.
type Quiesced struct {
	Service   string `json:"service"`
	Number    int    `json:"number"`
	Container string `json:"container"`
	How       string `json:"how"` // stop, pause, or start
	// At is when the Engine was about to be asked. A stop of which no answer
	// came may still be under way for a while from then on.
	At time.Time `json:"at,omitzero"`
}

// VolumeRestore is a volume that a restore is changing.
type VolumeRestore struct {
	ID     string `json:"id"` // names the staging directory
	Key    string `json:"key"`
	Docker string `json:"docker"`
	// File is, of a single file of the host, its path, and Docker the directory
	// that it lies in; users of that directory are none of the file.
	File string `json:"file,omitempty"`
	// Held says that the new data is in, that services may run upon it, and
	// that the old comes back unless it is kept.
	Held bool `json:"held,omitempty"`
	// Keep says that the new data stays, here and in the other volumes that it
	// is said of.
	Keep bool `json:"keep,omitempty"`
	// Service is the one whose files they are, where it ran before.
	Service string `json:"service,omitempty"`
	// NoStop says that its users were to go on meanwhile.
	NoStop bool `json:"no_stop,omitempty"`
}

// DatabaseRestore is a database that a restore is replacing.
type DatabaseRestore struct {
	ID       string `json:"id"` // part of the names of its interim databases
	Engine   string `json:"engine"`
	Service  string `json:"service"`
	Database string `json:"database"`
	User     string `json:"user,omitempty"`
}

// Empty reports whether nothing is left to undo or finish.
func (j *Journal) Empty() bool {
	return len(j.Quiesced) == 0 && len(j.ToStop) == 0 && len(j.Volumes) == 0 && len(j.Databases) == 0 && len(j.Posts) == 0
}

func journalName(run string) string { return filepath.Join("journal", run+".json") }

// WriteJournal puts a journal on disk. When it returns nil, it is there after
// a power cut too.
func (d *Dir) WriteJournal(j *Journal) error {
	if j.Run == "" || strings.ContainsAny(j.Run, "/.") {
		return fmt.Errorf("write journal: %q is no run", j.Run)
	}
	if err := d.writeFile(journalName(j.Run), j); err != nil {
		return fmt.Errorf("write journal: %w", err)
	}
	return nil
}

// RemoveJournal removes a journal whose run needs nothing more. Removing one
// that is gone is no error.
func (d *Dir) RemoveJournal(run string) error {
	if err := d.removeFile(journalName(run)); err != nil {
		return fmt.Errorf("remove journal: %w", err)
	}
	return nil
}

// Journals returns the journals that are there, oldest first. A damaged one
// is an error beside the others, never a reason to lose them.
func (d *Dir) Journals() ([]*Journal, error) {
	entries, err := os.ReadDir(filepath.Join(d.path, "journal"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read journals: %w", err)
	}
	var out []*Journal
	var errs []error
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".json") {
			continue
		}
		j := &Journal{}
		if _, err := d.readFile(filepath.Join("journal", e.Name()), j); err != nil {
			errs = append(errs, fmt.Errorf("read journal: %w", err))
			continue
		}
		out = append(out, j)
	}
	sort.Slice(out, func(a, b int) bool { return out[a].Started.Before(out[b].Started) })
	return out, errors.Join(errs...)
}
