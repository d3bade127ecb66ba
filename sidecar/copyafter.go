package sidecar

import (
	"context"
	"fmt"

	"github.com/ripplebak/ripplebak/sidecar/state"
)

// copyAfterRun brings the copies up to date after a run that has committed a
// snapshot. Whatever goes wrong is a warning: the backup is good, and the next
// run tries again.
func (a *App) copyAfterRun(ctx context.Context, h *host, opt BackupOptions, report *BackupReport) {
	if len(a.Settings.Copies) == 0 {
		return
	}
	var targets []target
	for _, c := range a.Settings.Copies {
		targets = append(targets, a.copyTarget(c))
	}
	warn := func(text string) {
		text = a.Redactor().Redact(text)
		a.Log.Warn().Msg(text)
		report.Warnings = append(report.Warnings, text)
	}
	copied, err := a.copyTo(ctx, h, h.state, targets, CopyOptions{Wait: copyPatience, until: opt.CopyUntil, changes: true})
	if copied == nil {
		warn(fmt.Sprintf("nothing was copied to other repositories: %v", err))
		return
	}
	report.Copies = copied.Copies
	for _, c := range copied.Copies {
		switch text, behind := (state.CopyHistory{BehindSince: c.BehindSince, LastError: c.Error}).Behind(a.Now()); {
		case behind:
			warn(c.Name + " " + text)
		case c.Error != "":
			warn(c.Name + ": " + c.Error)
		}
	}
}

// copyPatience is how long copying after a run waits for locks: the next run is
// another chance.
const copyPatience = lockPatience

// warnOfCopies says which copies are behind, by what is remembered of them.
func (a *App) warnOfCopies(h state.History) {
	for _, c := range a.Settings.Copies {
		if text, behind := h.Copies[c.Name].Behind(a.Now()); behind {
			a.Log.Warn().Str("copy", c.Name).Msg(a.Redactor().Redact(c.Name + " " + text))
		}
	}
}
