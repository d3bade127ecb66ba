package sidecar

import (
	"slices"
	"time"

	"github.com/ripplebak/ripplebak/manifest"
	"github.com/ripplebak/ripplebak/sidecar/state"
)

// recordBegin notes that a run has begun, so that one that dies leaves a trace.
func (a *App) recordBegin(h *host) {
	a.record(h, func(hist *state.History) { hist.Unfinished++ })
}

// recordEnd notes for health and for missed runs how a run went, with each of the
// schedules that it was for; nil: all. One that was interrupted, as by a machine
// that goes down, was not attempted: it is made up at the next start. No report
// and no error is a run for which there was nothing to do.
func (a *App) recordEnd(h *host, due []string, report *BackupReport, err error, interrupted bool) {
	text := ""
	if err != nil {
		text = a.Redactor().Redact(err.Error())
	}
	good := err == nil && report == nil || report != nil && report.Snapshot != "" && report.Complete
	now := a.Now()
	a.record(h, func(hist *state.History) {
		hist.Unfinished = 0
		note := func(lastError *string, lastGood, lastAttempt *time.Time) {
			*lastError = text
			if good {
				*lastGood = now
			}
			if good || !interrupted {
				*lastAttempt = now
			}
		}
		if due == nil || slices.Contains(due, manifest.DefaultSchedule) {
			note(&hist.LastError, &hist.LastGood, &hist.LastAttempt)
		}
		for expr, s := range hist.Schedules {
			if due == nil || slices.Contains(due, expr) {
				note(&s.LastError, &s.LastGood, &s.LastAttempt)
				hist.Schedules[expr] = s
			}
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
