package sidecar

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/robfig/cron/v3"

	"github.com/ripplebak/ripplebak/sidecar/schedule"
	"github.com/ripplebak/ripplebak/sidecar/state"
)

// recoverEvery is how often serve looks for runs that died.
const recoverEvery = time.Minute

// Serve runs backups on the schedule until the context ends, one at a time. A
// run that was missed while the machine was off is made up at start.
func (a *App) Serve(ctx context.Context) error {
	s, err := schedule.Parse(a.Settings.Schedule, a.Settings.Location)
	if err != nil {
		return fmt.Errorf("RIPPLEBAK_SCHEDULE: %w", err)
	}
	dir, err := state.Open(a.Settings.StateDir)
	if err != nil {
		return err
	}
	if err := a.comeUp(ctx, dir, s); err != nil {
		return err
	}
	// The clock may be set back and forth and the machine may sleep, so the
	// library's timer is asked for the time at which to look, and the job
	// itself takes one run at a time.
	due := make(chan struct{}, 1)
	c := cron.New(cron.WithLocation(a.Settings.Location), cron.WithLogger(cron.DiscardLogger))
	c.Schedule(s, cron.FuncJob(func() {
		select {
		case due <- struct{}{}:
		default: // a run is waiting already
		}
	}))
	c.Start()
	defer func() { <-c.Stop().Done() }()
	if a.missed(dir, s) {
		a.Log.Info().Msg("a run was missed while the sidecar was down: making it up")
		due <- struct{}{}
	}
	a.logNext(s)
	return a.loop(ctx, dir, s, due)
}

// comeUp says that we serve, and clears up after runs that died.
func (a *App) comeUp(ctx context.Context, dir *state.Dir, s *schedule.Schedule) error {
	now := a.Now()
	err := dir.UpdateHistory(func(h *state.History) {
		h.Interval = s.Interval(now)
		if h.ServingSince.IsZero() {
			h.ServingSince = now
		}
	})
	if err != nil {
		return err
	}
	a.Log.Info().Str("version", a.Version).Str("schedule", s.String()).Str("zone", a.Settings.Location.String()).Msg("serving")
	return ctx.Err()
}

// rehearse finds out at start what would make the run of the night fail, and
// says it while somebody is still looking.
func (a *App) rehearse(ctx context.Context, dir *state.Dir) {
	v, err := a.openVault(ctx, dir, true)
	if err == nil {
		err = v.close(ctx)
	}
	if err != nil && ctx.Err() == nil {
		a.Log.Error().Msg("the next run would fail: " + a.Redactor().Redact(err.Error()))
	}
	p, err := a.Plan(ctx, nil)
	if err == nil && len(p.Problems) > 0 {
		err = &ProblemsError{Problems: p.Problems}
	}
	switch {
	case ctx.Err() != nil:
	case err != nil:
		a.Log.Error().Msg("the next run would fail: " + a.Redactor().Redact(err.Error()))
	default:
		for _, it := range p.Items {
			a.Log.Info().Str("item", it.Key).Str("cause", it.Cause).Msg("will be saved")
		}
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
	return s.Missed(last, a.Now())
}

func (a *App) logNext(s *schedule.Schedule) {
	a.Log.Info().Time("next", s.Next(a.Now())).Msg("next run")
}

func (a *App) loop(ctx context.Context, dir *state.Dir, s *schedule.Schedule, due <-chan struct{}) error {
	tick := time.NewTicker(recoverEvery)
	defer tick.Stop()
	a.lookForDead(ctx)
	a.rehearse(ctx, dir)
	for {
		select {
		case <-ctx.Done():
			a.Log.Info().Msg("stopping")
			return nil
		case <-tick.C:
			a.lookForDead(ctx)
		case <-due:
			a.scheduledRun(ctx)
			if ctx.Err() == nil {
				a.logNext(s)
			}
		}
	}
}

// scheduledRun backs up; whatever goes wrong is said, and the next run comes.
func (a *App) scheduledRun(ctx context.Context) {
	a.Log.Info().Msg("run started")
	_, err := a.Backup(ctx, BackupOptions{Wait: a.Settings.LockWait})
	switch {
	case err == nil:
		return
	case ctx.Err() != nil:
		a.Log.Warn().Msg("run interrupted")
	default:
		a.Log.Error().Msg("run failed: " + a.Redactor().Redact(err.Error()))
	}
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

// Health returns nil while backups are as recent as they should be.
// It only looks: a health check must not make what it checks.
func (a *App) Health() error {
	h, err := state.At(a.Settings.StateDir).History()
	if err != nil {
		return err
	}
	return h.Healthy(a.Now())
}
