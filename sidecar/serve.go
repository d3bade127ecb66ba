package sidecar

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/ripplebak/ripplebak/delay"
	"github.com/ripplebak/ripplebak/repository"
	"github.com/ripplebak/ripplebak/sidecar/schedule"
	"github.com/ripplebak/ripplebak/sidecar/state"
)

// recoverEvery is how often serve looks for runs that died.
const recoverEvery = time.Minute

// Serve runs backups on the schedule until the context ends, one at a time,
// and between them what else has a schedule. A run that was missed while the
// machine was off is made up at start.
func (a *App) Serve(ctx context.Context) error {
	s, err := schedule.Parse(a.Settings.Schedule, a.Settings.Location)
	if err != nil {
		return fmt.Errorf("RIPPLEBAK_SCHEDULE: %w", err)
	}
	jobs, err := a.scheduledJobs()
	if err != nil {
		return err
	}
	dir, err := state.Open(a.Settings.StateDir)
	if err != nil {
		return err
	}
	a.comeUp(s)
	a.takeUp(dir, jobs)
	t := a.newTimetable(dir, s) // what falls due while we look around is run
	a.watch(ctx, t)
	for _, p := range t.projects() {
		a.of(p).rehearse(ctx, dir.Of(p))
	}
	a.logNext(t)
	return a.loop(ctx, t, func(next time.Time) { a.runDue(ctx, dir, jobs, next) })
}

// comeUp says that we serve.
func (a *App) comeUp(s *schedule.Schedule) {
	a.sayPolicy()
	for _, w := range a.standing(nil) {
		a.Log.Warn().Msg(w)
	}
	a.Log.Info().Str("version", a.Version).Str("schedule", s.String()).Str("zone", a.Settings.Location.String()).Msg("serving")
}

// rehearse finds out at start what would make the run of the night fail, and
// says it while somebody is still looking. As a run does, it makes a repository
// only for a plan that is sound.
func (a *App) rehearse(ctx context.Context, dir *state.Dir) {
	p, err := a.Plan(ctx, nil)
	if err == nil && len(p.Problems) > 0 {
		err = &ProblemsError{Problems: p.Problems}
	}
	sound := err == nil
	v, verr := a.openVault(ctx, dir, sound)
	if verr == nil {
		verr = v.close(ctx)
	} else if !sound && errors.Is(verr, repository.ErrNoRepository) {
		verr = nil // the first run makes it
	}
	if ctx.Err() != nil {
		return
	}
	for _, err := range []error{err, verr} {
		if err != nil {
			a.Log.Error().Msg("the next run would fail: " + a.Redactor().Redact(err.Error()))
		}
	}
	if !sound {
		return
	}
	for _, it := range p.Items {
		a.Log.Info().Str("item", it.Key).Str("cause", it.Cause).Msg("will be saved")
	}
}

func (a *App) logNext(t *timetable) {
	a.Log.Info().Time("next", t.next()).Msg("next run")
}

// loop runs what is due, one run at a time, and in between looks for dead runs
// and does what others have to do until the next.
// It goes by the clock on the wall and looks at it every minute, for a timer
// stands still while the machine sleeps and knows nothing of a clock that is
// set. What falls due during a run is not run once more behind it.
func (a *App) loop(ctx context.Context, t *timetable, between func(next time.Time)) error {
	for {
		if delay.For(ctx, min(recoverEvery, t.next().Sub(a.Now()))) != nil {
			a.Log.Info().Msg("stopping")
			return nil
		}
		if now := a.Now(); now.Before(t.next()) {
			a.watch(ctx, t)
			if t.setBack(now) {
				a.logNext(t)
			}
		} else {
			if a.Settings.AllProjects { // they come and go
				a.watch(ctx, t)
			}
			a.runAllDue(ctx, t)
			if ctx.Err() == nil {
				a.logNext(t)
			}
		}
		between(t.next())
	}
}

// runAllDue backs up each project of which a run is due, one after the other. One
// that fails keeps no other from its own.
func (a *App) runAllDue(ctx context.Context, t *timetable) {
	var copies []copyUntil
	for _, project := range t.projects() {
		due := t.due(project, a.Now())
		if len(due) == 0 || ctx.Err() != nil {
			continue
		}
		a.of(project).scheduledRun(ctx, due, func(c copyUntil) { copies = append(copies, c) })
		t.done(project, due)
	}
	// No project waits for the copying of another, and no run that falls due
	// meanwhile counts as done. Each has its share of the time that there is.
	for i, c := range copies {
		if ctx.Err() != nil {
			return
		}
		now := a.Now()
		c(ctx, now.Add(t.next().Sub(now)/time.Duration(len(copies)-i)))
	}
}

// scheduledRun backs up what follows the schedules that are due; whatever goes
// wrong is said, and the next run comes. later gets what is to be copied.
func (a *App) scheduledRun(ctx context.Context, due []string, later func(copyUntil)) {
	a.Log.Info().Msg("run started")
	// What a run took is given back: until the next one there is nothing to do.
	defer debug.FreeOSMemory()
	_, err := a.Backup(ctx, BackupOptions{Wait: a.Settings.LockWait, later: later, due: due})
	switch {
	case err == nil:
	case ctx.Err() != nil:
		a.Log.Warn().Msg("run interrupted")
	default:
		a.Log.Error().Msg("run failed: " + a.Redactor().Redact(err.Error()))
	}
}

// watch recovers what runs left that died, when no run is under way, and looks
// which containers there are.
func (a *App) watch(ctx context.Context, t *timetable) {
	err := a.watchNow(ctx, t)
	if err != nil && !errors.Is(err, state.ErrBusy) && ctx.Err() == nil {
		a.Log.Error().Msg("recovery failed, it is tried again: " + a.Redactor().Redact(err.Error()))
	}
}

func (a *App) watchNow(ctx context.Context, t *timetable) (err error) {
	h, err := a.lookAround(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.engine.Close()) }()
	return errors.Join(t.survey(ctx, h), a.recoverHere(ctx, h, t.projects()))
}

func (a *App) recoverHere(ctx context.Context, h *host, projects []string) error {
	release, err := a.beginTo(ctx, h, newRunID(), 0, func(ctx context.Context, h *host) error {
		return a.recoverAll(ctx, h, projects)
	})
	if err != nil {
		return err
	}
	return release()
}
