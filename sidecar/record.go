package sidecar

import "github.com/ripplebak/ripplebak/sidecar/state"

// recordBegin notes that a run has begun, so that one that dies leaves a trace.
func (a *App) recordBegin(h *host) {
	a.record(h, func(hist *state.History) { hist.Unfinished++ })
}

// recordEnd notes for health and for missed runs how a run went. One that was
// interrupted, as by a machine that goes down, was not attempted: it is made up
// at the next start.
func (a *App) recordEnd(h *host, report *BackupReport, err error, interrupted bool) {
	a.record(h, func(hist *state.History) {
		hist.Unfinished, hist.LastError = 0, ""
		if err != nil {
			hist.LastError = a.Redactor().Redact(err.Error())
		}
		good := report != nil && report.Snapshot != "" && report.Complete
		if good {
			hist.LastGood = a.Now()
		}
		if good || !interrupted {
			hist.LastAttempt = a.Now()
		}
	})
}

// record changes the record of past runs. A state volume that cannot be written
// must not fail a backup that is stored.
func (a *App) record(h *host, change func(*state.History)) {
	if h.state == nil {
		return
	}
	if err := a.updateHistory(h.state, change); err != nil {
		a.Log.Warn().Msg(a.Redactor().Redact(err.Error()))
	}
}

// updateHistory says so where the record was damaged.
func (a *App) updateHistory(dir *state.Dir, change func(*state.History)) error {
	if _, err := dir.History(); err != nil {
		a.Log.Error().Str("error", a.Redactor().Redact(err.Error())).
			Msg("the record of past runs cannot be read: it is put aside as " + state.DamagedHistory + ", and health begins anew")
	}
	return dir.UpdateHistory(change)
}
