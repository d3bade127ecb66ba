package sidecar

import (
	"time"

	"github.com/ripplebak/ripplebak/sidecar/state"
)

// What a scheduled prune leaves alone though no snapshot needs it: a backup that
// was killed goes on with the packs that it has stored, and a huge first one
// takes nights. Others may work on the repository of whose runs we know nothing,
// so it is two days always, and two weeks after a bad run of ours.
const (
	keepYoung        = 2 * 24 * time.Hour
	keepYoungFailing = 14 * 24 * time.Hour
)

// youngPacks says how old a pack must be for a scheduled prune, and whether those
// stay of which the storage does not say how old they are.
func (a *App) youngPacks(dir *state.Dir, t target) (age time.Duration, undated bool) {
	if dir == nil {
		return keepYoung, false
	}
	h, err := dir.History()
	if err != nil {
		return keepYoungFailing, false
	}
	since, failing := h.AnyFailing()
	if t.name != "" { // what a copying stored that was interrupted
		since = h.Copy(t.name).BehindSince
		failing = !since.IsZero()
	}
	if !failing {
		return keepYoung, false
	}
	return keepYoungFailing, a.Now().Sub(since) < keepYoungFailing
}
