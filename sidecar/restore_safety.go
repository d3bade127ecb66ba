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
		r.report.Safety = report.Snapshot
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
	p := plan.MakeSafety(plan.SafetyInput{Project: r.found.project, Restore: r.plan, Probes: r.probes, Users: users, NoSocket: !r.host.hasSocket(), Engine: dump.Lookup})
	if len(p.Problems) > 0 {
		return nil, &ProblemsError{Problems: p.Problems}
	}
	if len(p.Items) == 0 {
		return nil, nil
	}
	return r.app.carryOut(ctx, r.host, p, r.found, r.vault, newRunID(), true)
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
