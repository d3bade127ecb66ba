package sidecar

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ripplebak/ripplebak/repository"
	"github.com/ripplebak/ripplebak/sidecar/schedule"
	"github.com/ripplebak/ripplebak/sidecar/settings"
	"github.com/ripplebak/ripplebak/sidecar/state"
)

// job is what serve does beside backups, on a schedule of its own.
type job struct {
	name     string // in the log, and in the history
	variable string // the setting that its schedule comes from
	cron     string // the setting's value
	// run does it, or as much of it as the turn allows.
	run func(ctx context.Context, t turn) error

	schedule *schedule.Schedule
	last     time.Time // when it was last begun, or first scheduled
	begun    time.Time // where it was cut short: when it was begun at first
	ran      time.Time // when it last had a turn, in this process
}

// allJobs are the jobs that there are, in the order in which they run where
// several are due.
func (a *App) allJobs() []*job {
	jobs := []*job{{name: "prune", variable: pruneSchedule, cron: a.Settings.PruneSchedule, run: a.scheduledPrune}}
	jobs = append(jobs, a.copyPrunes()...)
	return append(jobs, &job{name: jobCheck, variable: "RIPPLEBAK_CHECK_SCHEDULE", cron: a.Settings.CheckSchedule, run: a.scheduledCheck})
}

// jobCheck is the name of the job that checks the repository.
const jobCheck = "check"

// pruneSchedule is the setting of when the repository and its copies are pruned.
const pruneSchedule = "RIPPLEBAK_PRUNE_SCHEDULE"

// scheduledJobs returns the jobs that are not switched off.
func (a *App) scheduledJobs() (jobs []*job, err error) {
	for _, j := range a.allJobs() {
		if j.cron == settings.Off {
			continue
		}
		if j.schedule, err = schedule.Parse(j.cron, a.Settings.Location); err != nil {
			return nil, fmt.Errorf("%s: %w", j.variable, err)
		}
		jobs = append(jobs, j)
	}
	return jobs, nil
}

// takeUp finds out when each job last ran, so that neither a restart nor a
// night without power forgets one. A job that is new is due from now on.
func (a *App) takeUp(dir *state.Dir, jobs []*job) {
	now := a.Now()
	err := dir.UpdateHistory(func(h *state.History) {
		for _, j := range jobs {
			r := h.Job(j.name)
			if r.Since.IsZero() {
				r.Since = now
				h.SetJob(j.name, r)
			}
			if j.last = r.Since; r.LastAttempt.After(j.last) {
				j.last = r.LastAttempt
			}
			j.begun = r.Begun
		}
	})
	if err != nil {
		a.Log.Error().Msg("the state volume cannot be written, so that a restart forgets when jobs last ran: " + a.Redactor().Redact(err.Error()))
	}
	for _, j := range jobs {
		if j.last.IsZero() {
			j.last = now
		}
		a.Log.Info().Str("job", j.name).Str("schedule", j.schedule.String()).Time("next", j.schedule.Next(j.last)).Msg("job scheduled")
	}
}

// due reports whether a job is to run by now. A clock that was set back puts
// it off by one turn at most.
func (j *job) due(now time.Time) bool {
	if j.last.After(now) {
		j.last = now
	}
	return j.schedule.Missed(j.last, now)
}

// runDue runs the job that is due and had no turn for the longest time; of those
// that had none the first. Whatever becomes of it, the next backup, which is due
// at next, comes first again.
func (a *App) runDue(ctx context.Context, dir *state.Dir, jobs []*job, next time.Time) {
	now := a.Now()
	if ctx.Err() != nil || !now.Before(next) {
		return
	}
	var due *job
	for _, j := range jobs {
		if j.due(now) && (due == nil || j.ran.Before(due.ran)) {
			due = j
		}
	}
	if due != nil {
		due.ran = now
		a.runJob(ctx, dir, due, next)
	}
}

// runJob runs a job until the next backup. That it was begun is noted before:
// one that kills the program must not do so again each time that it is started
// anew. One that is cut short by the next backup goes on after it, and one that
// is interrupted by our end at the next start.
func (a *App) runJob(ctx context.Context, dir *state.Dir, j *job, next time.Time) {
	before := j.last
	own, t, end := a.beginTurn(ctx, next)
	j.last = t.began
	if t.again = !j.begun.IsZero() && !j.begun.After(t.began); t.again {
		t.began = j.begun
		a.Log.Info().Str("job", j.name).Time("begun", t.began).Msg("job goes on")
	} else {
		a.Log.Info().Str("job", j.name).Msg("job started")
	}
	a.noteJob(dir, j, func(r *state.Job) { r.LastAttempt, r.Begun = j.last, t.began })
	err := j.run(own, t)
	short := errors.Is(err, repository.ErrPruneStopped) || own.Err() != nil && !errors.Is(err, ErrDamaged)
	end()
	j.begun = time.Time{}
	switch {
	case err == nil:
		a.noteJob(dir, j, func(r *state.Job) { r.LastGood, r.LastError, r.Begun = a.Now(), "", j.begun })
		a.Log.Info().Str("job", j.name).Time("next", j.schedule.Next(a.Now())).Msg("job done")
	case short:
		j.last, j.begun = before, t.began
		a.noteJob(dir, j, func(r *state.Job) { r.LastAttempt = before })
		if ctx.Err() != nil {
			a.Log.Warn().Str("job", j.name).Msg("job interrupted: the next start makes it up")
		} else {
			a.Log.Info().Str("job", j.name).Time("begun", t.began).Msg("job stopped for the next backup, and goes on after it")
		}
	default:
		text := a.Redactor().Redact(err.Error())
		a.noteJob(dir, j, func(r *state.Job) { r.LastError, r.Begun = text, j.begun })
		a.Log.Error().Str("job", j.name).Time("next", j.schedule.Next(a.Now())).Msg("job failed: " + text)
	}
}

// noteJob records what became of a job.
func (a *App) noteJob(dir *state.Dir, j *job, change func(*state.Job)) {
	err := dir.UpdateHistory(func(h *state.History) {
		r := h.Job(j.name)
		change(&r)
		h.SetJob(j.name, r)
	})
	if err != nil {
		a.Log.Error().Str("job", j.name).Msg("what became of the job cannot be noted: " + a.Redactor().Redact(err.Error()))
	}
}
