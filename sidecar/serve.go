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
	a.comeUp(dir, s)
	a.takeUp(dir, jobs)
	missed := a.missed(dir, s)
	if missed {
		a.Log.Info().Msg("a run was missed while the sidecar was down: making it up")
	}
	next := s.Next(a.Now()) // may fall due while we look around
	a.logNext(s)
	a.lookForDead(ctx)
	a.rehearse(ctx, dir)
	if missed && ctx.Err() == nil {
		a.scheduledRun(ctx, s)
		next = s.Next(a.Now())
	}
	return a.loop(ctx, s, next, func(next time.Time) { a.runDue(ctx, dir, jobs, next) })
}

// comeUp says that we serve. A state volume that cannot be written must not
// keep backups from being made.
func (a *App) comeUp(dir *state.Dir, s *schedule.Schedule) {
	now := a.Now()
	err := a.updateHistory(dir, func(h *state.History) {
		h.Interval = s.Interval(now)
		if h.ServingSince.IsZero() {
			h.ServingSince = now
		}
	})
	if err != nil {
		a.Log.Error().Msg("the state volume cannot be written, so that health and missed runs are not known: " + a.Redactor().Redact(err.Error()))
	}
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

// missed reports whether a run was due since the last one that was tried.
func (a *App) missed(dir *state.Dir, s *schedule.Schedule) bool {
	h, err := dir.History()
	if err != nil {
		return false
	}
	last := h.LastAttempt
	if last.IsZero() {
		last = h.ServingSince
	}
	if !s.Missed(last, a.Now()) {
		return false
	}
	if !h.MayMakeUp() {
		a.Log.Error().Int("runs", h.Unfinished).Msg("the last runs died without an end: a missed one is not made up, look at the logs and at the memory that the sidecar may use")
		return false
	}
	return true
}

func (a *App) logNext(s *schedule.Schedule) {
	a.Log.Info().Time("next", s.Next(a.Now())).Msg("next run")
}

// loop runs what is due, one run at a time, and in between looks for dead runs
// and does what others have to do until the next.
// It goes by the clock on the wall and looks at it every minute, for a timer
// stands still while the machine sleeps and knows nothing of a clock that is
// set. What falls due during a run is not run once more behind it.
func (a *App) loop(ctx context.Context, s *schedule.Schedule, next time.Time, between func(next time.Time)) error {
	for {
		if delay.For(ctx, min(recoverEvery, next.Sub(a.Now()))) != nil {
			a.Log.Info().Msg("stopping")
			return nil
		}
		if now := a.Now(); now.Before(next) {
			a.lookForDead(ctx)
			if again := s.Next(now); again.Before(next) {
				next = again // the clock was set back
				a.logNext(s)
			}
		} else {
			a.scheduledRun(ctx, s)
			next = s.Next(a.Now())
		}
		between(next)
	}
}

// scheduledRun backs up; whatever goes wrong is said, and the next run comes.
func (a *App) scheduledRun(ctx context.Context, s *schedule.Schedule) {
	a.Log.Info().Msg("run started")
	// What a run took is given back: until the next one there is nothing to do.
	defer debug.FreeOSMemory()
	_, err := a.Backup(ctx, BackupOptions{Wait: a.Settings.LockWait, CopyUntil: s.Next(a.Now())})
	switch {
	case err == nil:
	case ctx.Err() != nil:
		a.Log.Warn().Msg("run interrupted")
		return
	default:
		a.Log.Error().Msg("run failed: " + a.Redactor().Redact(err.Error()))
	}
	a.logNext(s)
}

// lookForDead recovers what runs left that died, when no run is under way.
func (a *App) lookForDead(ctx context.Context) {
	err := a.recoverNow(ctx)
	if err != nil && !errors.Is(err, state.ErrBusy) && ctx.Err() == nil {
		a.Log.Error().Msg("recovery failed, it is tried again: " + a.Redactor().Redact(err.Error()))
	}
}

func (a *App) recoverNow(ctx context.Context) (err error) {
	h, err := a.lookAround(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.engine.Close()) }()
	release, err := a.begin(ctx, h, newRunID(), 0)
	if err != nil {
		return err
	}
	return release()
}
