package sidecar

import (
	"fmt"
	"slices"
	"time"

	"github.com/ripplebak/ripplebak/plan"
	"github.com/ripplebak/ripplebak/sidecar/schedule"
	"github.com/ripplebak/ripplebak/sidecar/settings"
)

// standing are warnings that settings deserve by themselves. They are true until
// somebody changes a setting, so serve says them once, when it comes up, and
// plan does; runs do not. p is nil where there is no plan.
func (a *App) standing(p *plan.Plan) (warnings []string) {
	if a.Settings.AppendOnly && a.anyPolicy(p) {
		warnings = append(warnings, "no old snapshot is removed, though there is a policy, because RIPPLEBAK_APPEND_ONLY is true: run forget and prune from elsewhere, with credentials that may delete")
	}
	return append(warnings, a.locksThatRunOut()...)
}

// anyPolicy says whether anything says which snapshots are kept.
func (a *App) anyPolicy(p *plan.Plan) bool {
	return !a.Settings.Keep.Empty() ||
		slices.ContainsFunc(a.Settings.Copies, func(c settings.Copy) bool { return !c.Keep.Empty() }) ||
		p != nil && slices.ContainsFunc(p.Items, func(i plan.Item) bool { return len(i.Keep) > 0 })
}

// locksThatRunOut compares for how long S3 locks what is stored with how far
// apart the prunes are that make the locks longer. A prune leaves a lock alone
// of which half is left, so half must last until the next prune; and until the
// one after it, if one may fail.
func (a *App) locksThatRunOut() (warnings []string) {
	off := a.Settings.PruneSchedule == settings.Off
	var apart int // days, rounded up
	if !off {
		s, err := schedule.Parse(a.Settings.PruneSchedule, a.Settings.Location)
		if err != nil {
			return nil // which is an error by itself
		}
		const day = 24 * time.Hour
		apart = int((s.Interval(a.Now()) + day - 1) / day)
	}
	say := func(variable string, days int) {
		left := "what is locked is no longer protected after that"
		switch {
		case off:
			warnings = append(warnings, fmt.Sprintf("locks end %d days (%s) after a file was stored, for no prune makes them longer (RIPPLEBAK_PRUNE_SCHEDULE is off): %s; set a schedule, or prune from elsewhere every %d days at least",
				days, variable, left, max(days/4, 1)))
		case 2*apart > days:
			warnings = append(warnings, fmt.Sprintf("locks end before a prune makes them longer: they last %d days (%s), and prunes are up to %d days apart (RIPPLEBAK_PRUNE_SCHEDULE), which needs %d: %s; set %s to %d, or prune more often",
				days, variable, apart, 2*apart, left, variable, 4*apart))
		case 4*apart > days:
			warnings = append(warnings, fmt.Sprintf("locks end if one prune fails: they last %d days (%s), and prunes are up to %d days apart (RIPPLEBAK_PRUNE_SCHEDULE): set %s to %d, or prune more often",
				days, variable, apart, variable, 4*apart))
		}
	}
	if a.Settings.S3Lock != "" {
		say("RIPPLEBAK_S3_LOCK_DAYS", a.Settings.S3LockDays)
	}
	for _, c := range a.Settings.Copies {
		if c.S3Lock != "" {
			say(c.Variable("S3_LOCK_DAYS"), c.S3LockDays)
		}
	}
	return warnings
}
