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
// restore ends here, with nothing touched.
func (r *restore) safety(ctx context.Context, _ plan.RestoreOperation) error {
	users := map[string]string{}
	for service := range r.probes {
		users[service] = r.userOf(service)
	}
	p := plan.MakeSafety(plan.SafetyInput{Project: r.found.project, Restore: r.plan, Probes: r.probes, Users: users, NoSocket: !r.host.hasSocket(), Engine: dump.Lookup})
	if len(p.Problems) > 0 {
		return &ProblemsError{Problems: p.Problems}
	}
	if len(p.Items) == 0 {
		return nil
	}
	report, err := r.app.carryOut(ctx, r.host, p, r.found, r.vault, newRunID(), true)
	if cause := context.Cause(ctx); err != nil && cause != nil {
		return cause
	}
	if err != nil && !onlyPartial(report, err) {
		return fmt.Errorf("%w: %w", errNoSafety, err)
	}
	r.report.Safety = report.Snapshot
	return nil
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
