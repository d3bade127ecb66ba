package sidecar

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ripplebak/ripplebak/sidecar/settings"
	"github.com/ripplebak/ripplebak/sidecar/state"
)

// copyAfterRun brings the copies up to date after a run that has committed a
// snapshot. Whatever goes wrong is a warning: the backup is good, and the next
// run tries again. What holds the repository's retention back holds that of the
// copies back.
func (a *App) copyAfterRun(ctx context.Context, h *host, opt BackupOptions, report *BackupReport, backedUp error) {
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
	held := heldForCopies(report, backedUp)
	if len(held) > 0 && a.removesFromCopies() {
		warn("no old snapshot is removed from copies: " + strings.Join(held, "; "))
	}
	copied, err := a.copyTo(ctx, h, h.state, targets, CopyOptions{Wait: copyPatience, until: opt.CopyUntil, changes: true, retain: len(held) == 0})
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

// copyUntil copies until the time has come.
type copyUntil func(ctx context.Context, until time.Time)

// copyingAfter is copyAfterRun for another time.
func (a *App) copyingAfter(opt BackupOptions, report *BackupReport, backedUp error) copyUntil {
	return func(ctx context.Context, until time.Time) {
		h, err := a.lookAround(ctx)
		if err != nil {
			a.Log.Warn().Msg(a.Redactor().Redact("nothing was copied to other repositories: " + err.Error()))
			return
		}
		opt.CopyUntil = until
		a.copyAfterRun(ctx, h, opt, report, backedUp)
		if err := h.engine.Close(); err != nil {
			a.Log.Debug().Msg(err.Error())
		}
	}
}

// heldForCopies are the reasons for which nothing may be removed from a copy
// after a run: those of the repository, and where it has no policy, or had no
// say in a run of a part, what would have been its reasons.
func heldForCopies(report *BackupReport, backedUp error) []string {
	switch {
	case report.Retention != nil && len(report.Retention.Held) > 0:
		return report.Retention.Held
	case backedUp != nil || !report.Complete:
		return []string{"the backup was not complete"}
	case report.part:
		return []string{"a part of the project was saved"}
	}
	return report.held
}

// removesFromCopies says whether a run would ever remove a snapshot from a copy.
func (a *App) removesFromCopies() bool {
	return !a.Settings.AppendOnly && slices.ContainsFunc(a.Settings.Copies, func(c settings.Copy) bool { return !c.Keep.Empty() })
}

// copyPatience is how long copying after a run waits for locks: the next run is
// another chance.
const copyPatience = lockPatience

// warnOfCopies says which copies are behind, by what is remembered of them.
func (a *App) warnOfCopies(h state.History) {
	for _, c := range a.Settings.Copies {
		if text, behind := h.Copy(c.Name).Behind(a.Now()); behind {
			a.Log.Warn().Str("copy", c.Name).Msg(a.Redactor().Redact(c.Name + " " + text))
		}
	}
}
