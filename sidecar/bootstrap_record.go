package sidecar

import (
	"fmt"
	"slices"
	"time"

	"github.com/ripplebak/ripplebak/compose"
	"github.com/ripplebak/ripplebak/sidecar/state"
)

// How far a bootstrap came is noted in the state volume, so that the same command
// goes on.

func (b *bootstrap) history() (state.History, error) {
	if b.host.state == nil {
		return state.History{}, nil // the plan says so
	}
	return b.host.state.History()
}

// takenUp is for how long a bootstrap can be gone on with. After that the project
// has a life of its own, however it came to it, and nothing of it is filled
// without being saved before.
const takenUp = 7 * 24 * time.Hour

// takeUp takes up what an earlier run has left. It counts for nothing where all
// that it had made is gone again, or where that was long ago. external says that there are volumes that would
// be made, and that do not carry the project's name.
func (b *bootstrap) takeUp(hist state.History, external bool) {
	b.record = state.Bootstrap{Started: b.app.Now(), Dir: b.dir, Run: b.id}
	have, ok := hist.Bootstraps[b.host.project]
	gone := len(b.found.project.Services) == 0 && !slices.ContainsFunc(b.found.project.Volumes, func(v compose.Volume) bool { return v.Exists })
	if !ok || gone && !external || b.app.Now().Sub(have.Started) > takenUp {
		return
	}
	b.begun, b.record = true, have
	b.record.Run = b.id
}

// done are the items that an earlier run has restored. Meanwhile somebody may
// have worked with them, so they stay, also where there is a newer snapshot now.
func (b *bootstrap) done() map[string]bool {
	out := map[string]bool{}
	for _, key := range b.record.Done {
		out[key] = true
	}
	return out
}

// note keeps the record. A run that cannot keep it ends before it has begun: the
// next one would be told that the project is there.
func (b *bootstrap) note() error {
	err := b.app.updateHistory(b.host.state, func(h *state.History) {
		if h.Bootstraps == nil {
			h.Bootstraps = map[string]state.Bootstrap{}
		}
		h.Bootstraps[b.host.project] = b.record
	})
	if err != nil {
		return fmt.Errorf("nothing was touched: how far it comes cannot be noted: %w", err)
	}
	return nil
}

// noteRestored notes an item at once: it is not restored again.
func (b *bootstrap) noteRestored(it RestoredItem) {
	b.app.record(b.host, func(h *state.History) { h.BootstrapHas(b.id, it.Key) })
}
