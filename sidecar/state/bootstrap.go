package state

import (
	"slices"
	"time"
)

// Bootstrap is how far a project came back on a machine that had nothing of it.
// It is there until all of it is, so that whoever runs the command again goes on
// and is not told that the project is there.
type Bootstrap struct {
	Started time.Time `json:"started"`
	// Dir is the directory of the host for the project's own files.
	Dir string `json:"directory"`
	// Run is the restore that works on it, or did so last.
	Run string `json:"run"`
	// Done are the keys of the items that were restored.
	Done []string `json:"done,omitempty"`
}

// Has notes that an item was restored.
func (b *Bootstrap) Has(key string) {
	if !slices.Contains(b.Done, key) {
		b.Done = append(b.Done, key)
	}
}

// BootstrapHas notes that an item was restored by a run, if that was one of a
// bootstrap.
func (h *History) BootstrapHas(run, key string) {
	for project, b := range h.Bootstraps {
		if b.Run == run {
			b.Has(key)
			h.Bootstraps[project] = b
		}
	}
}
