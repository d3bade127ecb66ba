package sidecar

import (
	"context"
	"errors"
	"fmt"

	"github.com/ripplebak/ripplebak/dump"
	"github.com/ripplebak/ripplebak/manifest"
	"github.com/ripplebak/ripplebak/plan"
)

// errNoSafety says what to do when the safety snapshot cannot be made.
var errNoSafety = errors.New("what would be overwritten could not be saved first, so nothing was touched; to go on without, use --no-safety-snapshot")

// safety saves what the restore will overwrite. Unless all of it is saved, the
// restore ends here, with nothing touched. A database whose dump fails, as that
// of a damaged one does, is saved as its cold volumes.
func (r *restore) safety(ctx context.Context, _ plan.RestoreOperation) error {
	report, err := r.saveOverwritten(ctx)
	if faults := undumped(report); len(faults) > 0 && ctx.Err() == nil {
		for service, fault := range faults {
			r.app.Log.Warn().Str("service", service).Str("error", fault).Msg("the database cannot be dumped before it is overwritten: its files are saved instead")
			probe := r.probes[service]
			probe.Err = errors.New(fault)
			r.probes[service] = probe
		}
		report, err = r.saveOverwritten(ctx)
	}
	if cause := context.Cause(ctx); err != nil && cause != nil {
		return cause
	}
	if err != nil && !onlyPartial(report, err) {
		return fmt.Errorf("%w: %w", errNoSafety, err)
	}
	if report != nil {
		r.report.Safety, r.last.Safety = report.Snapshot, report.Snapshot
	}
	return nil
}

// undumped are the services with a dump that failed, each with its error.
func undumped(report *BackupReport) map[string]string {
	if report == nil {
		return nil
	}
	faults := map[string]string{}
	for _, it := range report.Items {
		if it.Kind == manifest.Dump && it.State == manifest.Failed && faults[it.Service] == "" {
			faults[it.Service] = it.Error
		}
	}
	return faults
}

// saveOverwritten makes the safety snapshot; there is no report where there is
// nothing to overwrite.
func (r *restore) saveOverwritten(ctx context.Context) (*BackupReport, error) {
	users := map[string]string{}
	for service := range r.probes {
		users[service] = r.userOf(service)
	}
	p := plan.MakeSafety(plan.SafetyInput{Project: r.found.project, Restore: r.plan, Probes: r.probes, Users: users, Specs: r.found.specs, Own: r.app.ownPaths(r.host), NoSocket: !r.host.hasSocket(), Engine: dump.Lookup})
	if len(p.Problems) > 0 {
		return nil, &ProblemsError{Problems: p.Problems}
	}
	if len(p.Items) == 0 {
		return nil, nil
	}
	ctx, v, done, err := r.safetyVault(ctx)
	if err != nil {
		return nil, err
	}
	over := r.overwrites(p.Saved)
	report, err := r.app.carryOut(ctx, r.host, p, r.found, v, newRunID(), &over)
	r.last.Overwritten = over
	return report, errors.Join(err, done())
}

// safetyVault is where the safety snapshot goes: to the repository, also when
// the restore reads from a copy. That may be far away, have a retention of its
// own, or be out of reach for writing, and nobody looks for the snapshot there.
func (r *restore) safetyVault(ctx context.Context) (locked context.Context, v *vault, done func() error, err error) {
	if r.vault.target.name == "" {
		return ctx, r.vault, func() error { return nil }, nil
	}
	v, err = r.app.openTarget(ctx, r.app.primary(), r.host.state, false)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("it belongs into the repository, also when a copy is restored from: %w", err)
	}
	err = r.app.lockShared(ctx, v, r.host, r.opt.Wait)
	if err == nil {
		locked = v.lock.Context()
		err = v.repo.LoadIndex(locked)
	}
	if err != nil {
		return nil, nil, nil, errors.Join(err, v.close(ctx))
	}
	return locked, v, func() error { return v.close(ctx) }, nil
}

// onlyPartial reports whether all that is missing is files that could not be
// read: a restore may be the cure for those.
func onlyPartial(report *BackupReport, err error) bool {
	if !errors.Is(err, ErrIncomplete) || report == nil {
		return false
	}
	for _, it := range report.Items {
		if it.State == manifest.Failed {
			return false
		}
	}
	return true
}
