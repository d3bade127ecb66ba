package sidecar

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/ripplebak/ripplebak/manifest"
	"github.com/ripplebak/ripplebak/repository"
	"github.com/ripplebak/ripplebak/retention"
	"github.com/ripplebak/ripplebak/sidecar/state"
)

// RetentionReport says what retention did after a backup.
type RetentionReport struct {
	// Ran says that snapshots were judged, and those removed that nothing keeps.
	Ran     bool `json:"ran"`
	Kept    int  `json:"kept"`
	Removed int  `json:"removed"`
	// Held are the reasons for which nothing was removed.
	Held []string `json:"held"`
	// Error is what went wrong; it is tried again after the next backup.
	Error string `json:"error,omitempty"`
}

// ErrRetentionHeld means that incomplete backups have held retention back for
// too long.
var ErrRetentionHeld = errors.New("old snapshots are no longer removed")

// retentionPatience is how long retention waits for those who use the
// repository; if they take longer there is a next time.
const retentionPatience = 30 * time.Second

// retain removes the snapshots of this project and host that nothing keeps,
// after a backup of the whole project, or of all that follows a schedule, in
// which every item succeeded, and not otherwise. The vault holds no lock. Whatever goes wrong is no failure of the
// backup; ErrRetentionHeld alone is an error, of a backup that has failed.
func (a *App) retain(ctx context.Context, h *host, v *vault, report *BackupReport, backedUp error) error {
	report.held = append(a.changedSuddenly(h, report), failingBeside(h, report.due)...)
	if report.part || !a.hasPolicy(report) {
		return nil
	}
	out := &RetentionReport{Held: []string{}}
	report.Retention = out
	if a.Settings.AppendOnly { // said when serve comes up
		out.Held = append(out.Held, ErrAppendOnly.Error())
		return nil
	}
	if backedUp != nil || !report.Complete {
		out.Held = append(out.Held, "the backup was not complete")
		return a.heldTooLong(ctx, h, v, out, report.due)
	}
	out.Held = append(out.Held, report.held...)
	if err := knownDamage(h); err != nil {
		out.Held = append(out.Held, err.Error())
	}
	if len(out.Held) == 0 {
		if err := a.retainNow(ctx, h, v, out); err != nil {
			out.Error = a.Redactor().Redact(err.Error())
			a.Log.Warn().Msg("old snapshots were not removed, it is tried again after the next backup: " + out.Error)
			return nil
		}
	}
	for _, why := range out.Held {
		a.Log.Warn().Msg("no old snapshot is removed: " + a.Redactor().Redact(why))
	}
	if out.Ran {
		a.Log.Info().Int("kept", out.Kept).Int("removed", out.Removed).Msg("retention done")
	}
	return nil
}

// knownDamage is what checks found, and none has found gone since. Until then
// nobody knows which snapshots are good, so the oldest may be the only one.
func knownDamage(h *host) error {
	if h.state == nil {
		return nil
	}
	hist, err := h.state.History()
	if err != nil {
		return fmt.Errorf("it is not known what checks found: %w", err)
	}
	return hist.Check.Healthy()
}

// changedSuddenly says which items have changed suddenly, also those that only
// earlier runs have saved: one that leaves an item out says nothing of it.
func (a *App) changedSuddenly(h *host, report *BackupReport) (held []string) {
	changed := report.changed
	var before []string
	if h.state != nil {
		if hist, err := h.state.History(); err == nil {
			before = hist.Changed
		}
	}
	for _, key := range before {
		if !slices.Contains(changed, key) && !report.judged(key) {
			changed = append(slices.Clone(changed), key)
		}
	}
	if !slices.Equal(before, changed) {
		a.record(h, func(hist *state.History) { hist.Changed = changed })
	}
	for _, key := range changed {
		held = append(held, key+" has changed suddenly: look at it, then run forget; or the next runs agree")
	}
	return held
}

// judged says whether the run has compared an item with what it was. One of the
// whole project has, too, where it knows the item no more.
func (r *BackupReport) judged(key string) bool {
	i := slices.IndexFunc(r.Items, func(i manifest.Item) bool { return i.Key() == key })
	if i < 0 {
		return r.Complete && !r.part && r.due == nil
	}
	return r.Items[i].State == manifest.Good
}

// failingBeside are the schedules of the project of which the last run was no
// good one, where this one was not for them: nothing is removed after a failure.
func failingBeside(h *host, due []string) (held []string) {
	if h.state == nil || due == nil {
		return nil
	}
	hist, err := h.state.History()
	if err != nil {
		return nil // which is a reason already
	}
	for _, s := range hist.FailingBeside(manifest.DefaultSchedule, due) {
		held = append(held, "the last backup on the schedule "+s+" was not complete")
	}
	return held
}

// recommended is a policy that suits most.
const recommended = "last=3 daily=7 weekly=4 monthly=12 yearly=7"

// sayPolicy says which snapshots are kept. Nothing is removed that nobody asked
// to have removed.
func (a *App) sayPolicy() {
	if a.Settings.AppendOnly {
		a.Log.Info().Msg("RIPPLEBAK_APPEND_ONLY is true, so every snapshot is kept")
		return
	}
	if a.Settings.Keep.Empty() {
		a.Log.Info().Msg("RIPPLEBAK_KEEP is not set, so every snapshot is kept; a good start is RIPPLEBAK_KEEP=" + strconv.Quote(recommended))
		return
	}
	a.Log.Info().Str("keep", a.Settings.Keep.String()).Int("minimum", a.Settings.KeepMinimum).Msg("old snapshots are removed after each complete backup")
}

// hasPolicy says whether anything says which snapshots are kept.
func (a *App) hasPolicy(report *BackupReport) bool {
	return !a.Settings.Keep.Empty() || slices.ContainsFunc(report.Items, func(i manifest.Item) bool { return len(i.Keep) > 0 })
}

func (a *App) retainNow(ctx context.Context, h *host, v *vault, out *RetentionReport) error {
	d, err := a.lockForDeleting(ctx, v, h, cmp.Or(a.patience, retentionPatience))
	if err != nil {
		return err
	}
	ctx = d.lock.Context()
	f, err := a.forgetter(ForgetOptions{})
	if err != nil {
		return err
	}
	f.project, f.host = h.project, h.name
	groups, err := f.decide(ctx, v.repo)
	if err != nil {
		return err
	}
	for _, g := range groups {
		for _, w := range g.Warnings {
			a.Log.Warn().Msg(a.Redactor().Redact(w))
		}
		out.Held = append(out.Held, g.held...)
		out.Kept += len(g.Keep)
	}
	ids := removals(groups)
	if len(out.Held) > 0 {
		out.Kept += len(ids)
		return nil
	}
	removed, err := a.removeSnapshots(ctx, d, ids)
	if err != nil {
		return err
	}
	out.Ran, out.Removed, out.Kept = true, removed, out.Kept+len(ids)-removed
	return nil
}

// heldTooLong says so when backups have been incomplete for so long that what
// nobody removes becomes a fault of its own.
func (a *App) heldTooLong(ctx context.Context, h *host, v *vault, out *RetentionReport, due []string) error {
	list, err := a.runsOf(ctx, v.repo, h, due)
	if err != nil {
		out.Error = a.Redactor().Redact(err.Error())
		a.Log.Warn().Msg(out.Error)
		return nil
	}
	since, tooLong := retention.HeldBack(list, a.Now())
	if !tooLong {
		return nil
	}
	days := int(a.Now().Sub(since).Hours() / 24)
	err = fmt.Errorf("%w, because every backup for the last %d days was incomplete: put right what fails, or take it out", ErrRetentionHeld, days)
	out.Error = err.Error()
	a.Log.Error().Msg(out.Error)
	return err
}

// runsOf are the project's snapshots of this host by what their tags say. Of
// the complete ones manifests are read, newest first, until one is of the whole
// project, or was for one of the schedules that are due: a run of a part says
// nothing of what the others lack. A manifest that
// cannot be read raises no alarm.
func (a *App) runsOf(ctx context.Context, repo *repository.Repository, h *host, due []string) ([]retention.Snapshot, error) {
	all, _, err := repo.Snapshots(ctx)
	if err != nil {
		return nil, err
	}
	var out []retention.Snapshot
	found := false
	for _, s := range slices.Backward(all) {
		if !ofProject(&s.Snapshot, h.project) || s.Hostname != h.name {
			continue
		}
		run := described(s)
		if !found && !run.Incomplete && !run.Safety {
			m, err := a.manifestOf(ctx, repo, &snapshot{StoredSnapshot: s}, h.project)
			run.Part = err == nil && m.Part() && !slices.ContainsFunc(m.Schedules, func(s string) bool { return slices.Contains(due, s) })
			found = !run.Part
		}
		out = append(out, run)
	}
	return out, nil
}
