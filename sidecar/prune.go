package sidecar

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/docker/go-units"

	"github.com/ripplebak/ripplebak/repository"
	"github.com/ripplebak/ripplebak/sidecar/state"
)

// PruneOptions say what a prune is to do.
type PruneOptions struct {
	// DryRun makes the plan, and changes nothing.
	DryRun bool
	// MaxUnused is what may stay unused: a part of the repository such as 5%, a
	// size, or "unlimited". Empty: 5%.
	MaxUnused string
	// MaxRepackSize bounds the packs that are repacked, such as 10G. Empty: no
	// bound.
	MaxRepackSize string
	// Wait is how long to wait for another run, and for the locks of others,
	// together.
	Wait time.Duration

	// turn is serve's; nil by hand.
	turn *turn
}

// PruneReport says what a prune did, or would do.
type PruneReport struct {
	Repository string `json:"repository"`
	// Copy is what the settings call it where it is a copy.
	Copy      string      `json:"copy,omitempty"`
	DryRun    bool        `json:"dry_run"`
	Steps     []PruneStep `json:"steps"`
	Snapshots int         `json:"snapshots"`
	// Packs, Bytes and so on are those of before, as far as plans tell.
	Packs  int   `json:"packs"`
	Bytes  int64 `json:"bytes"`
	Needed int64 `json:"needed"`
	Unused int64 `json:"unused"`
	Stays  int64 `json:"stays_unused"`
	Young  int64 `json:"young"`
	Freed  int64 `json:"freed"`
	// What was done: zero in a dry run.
	PacksNew     int   `json:"packs_new"`
	PacksRemoved int   `json:"packs_removed"`
	BytesStored  int64 `json:"bytes_stored"`
	BytesRemoved int64 `json:"bytes_removed"`
	PacksLocked  int   `json:"packs_locked"`
	BytesLocked  int64 `json:"bytes_locked"`
	// Removed packs that the storage keeps, hidden and locked, for now.
	PacksHidden int     `json:"packs_hidden"`
	BytesHidden int64   `json:"bytes_hidden"`
	Seconds     float64 `json:"seconds"`

	// Plan is what Print shows of it.
	Plan *repository.PrunePlan `json:"-"`
}

// PruneStep is what happens to one file of the repository.
type PruneStep struct {
	Do     string `json:"do"`
	File   string `json:"file"`
	Cause  string `json:"cause"`
	Size   int64  `json:"size"`
	Needed int64  `json:"needed"`
}

// Print writes the report for people.
func (r *PruneReport) Print(w io.Writer) error {
	if r.Plan != nil {
		if err := r.Plan.Print(w); err != nil {
			return err
		}
	}
	if r.DryRun {
		_, err := fmt.Fprintln(w, "nothing was changed")
		return err
	}
	size := func(n int64) string { return units.BytesSize(float64(n)) }
	if r.PacksLocked > 0 {
		if _, err := fmt.Fprintf(w, "%d packs of %s are still locked against removal: a later prune removes them\n", r.PacksLocked, size(r.BytesLocked)); err != nil {
			return err
		}
	}
	if r.PacksHidden > 0 {
		if _, err := fmt.Fprintf(w, "%d of the removed packs, of %s, are hidden and still locked: the bucket's lifecycle rule removes them in their time\n", r.PacksHidden, size(r.BytesHidden)); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(w, "%s: %d packs of %s removed, %d of %s written\n",
		r.Repository, r.PacksRemoved, size(r.BytesRemoved), r.PacksNew, size(r.BytesStored))
	return err
}

// Prune removes data that no snapshot refers to, from the repository or from the
// copy that From names. It asks nobody, for nothing that a snapshot needs can be
// among it. It needs no Docker. The caller holds neither the run lock nor a lock
// of the repository. Errors: repository.ErrPruneRefused where something needed
// is missing, ErrLocked with who holds the lock, state.ErrBusy.
func (a *App) Prune(ctx context.Context, opt PruneOptions) (*PruneReport, error) {
	t, err := a.source()
	if err != nil {
		return nil, err
	}
	return a.pruneTarget(ctx, t, opt)
}

func (a *App) pruneTarget(ctx context.Context, t target, opt PruneOptions) (report *PruneReport, err error) {
	how, err := opt.parse()
	if err != nil {
		return nil, err
	}
	h, dir, err := a.aroundIfAny(ctx)
	if err != nil {
		return nil, err
	}
	if h != nil {
		defer func() { err = errors.Join(err, h.engine.Close()) }()
	}
	asked := a.Now()
	if t.name == "" { // no backup waits for a copy
		release, err := a.lockRun(ctx, h, dir, newRunID(), max(opt.Wait, lockPatience))
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, release()) }()
	}
	d, err := a.openDeletingIn(ctx, t, h, dir, max(opt.Wait-a.Now().Sub(asked), 0))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, d.close(ctx)) }()
	if opt.turn != nil {
		how.Stop = opt.turn.stop
		how.KeepYoung, how.KeepUndated = a.youngPacks(dir, t)
		if opt.turn.again { // the last turn did not come so far
			if err := a.prolongLocks(d.lock.Context(), d.vault); err != nil {
				return nil, err
			}
		}
	}
	report, err = a.prune(d.lock.Context(), d, opt.DryRun, how)
	if !opt.DryRun && !errors.Is(err, repository.ErrPruneStopped) {
		// Also after a prune that failed: what somebody damaged to make it fail
		// must not lose its locks for that.
		err = errors.Join(err, a.prolongLocks(d.lock.Context(), d.vault))
	}
	return report, err
}

// parse reads what was given as text.
func (o PruneOptions) parse() (how repository.PruneOptions, err error) {
	if o.MaxUnused != "" {
		if how.MaxUnused, err = repository.ParseUnusedLimit(o.MaxUnused); err != nil {
			return how, fmt.Errorf("--max-unused: %w", err)
		}
	}
	if o.MaxRepackSize != "" {
		if how.MaxRepack, err = repository.ParseSize(o.MaxRepackSize); err != nil {
			return how, fmt.Errorf("--max-repack-size: %w", err)
		}
	}
	return how, nil
}

// prune plans and, unless told otherwise, does it.
func (a *App) prune(ctx context.Context, d *deleting, dry bool, how repository.PruneOptions) (*PruneReport, error) {
	started := a.Now()
	how.CrashPoint, how.Progress = a.crash, a.pruneProgress()
	plan, err := d.deleter.PlanPrune(ctx, how)
	if err != nil {
		return nil, err
	}
	report := reportOfPrune(plan)
	report.Repository, report.Copy, report.DryRun = d.store.Reader().Location(), d.target.name, dry
	if !dry {
		a.Log.Info().Str("of", d.target.label()).Int("repack", plan.Count(repository.PruneRepack)).Int("remove", plan.Count(repository.PruneRemove)).
			Int64("frees", plan.Freed).Msg("prune begins")
		// What is removed while it is locked is only hidden: counted before it
		// is out of sight.
		hidden, herr := a.lockedAmong(ctx, d.vault, plan)
		if herr != nil {
			return nil, herr
		}
		var done repository.PruneResult
		done, err = d.deleter.Prune(ctx, d.store.Writer(), plan, how)
		report.PacksNew, report.PacksRemoved = done.PacksNew, done.PacksRemoved
		report.BytesStored, report.BytesRemoved = done.BytesStored, done.BytesRemoved
		report.PacksLocked, report.BytesLocked = done.PacksLocked, done.BytesLocked
		if done.PacksLocked == 0 && done.IndexesLocked == 0 {
			report.PacksHidden, report.BytesHidden = hidden.files, hidden.bytes
		}
	}
	report.Seconds = a.Now().Sub(started).Seconds()
	if err != nil && !errors.Is(err, repository.ErrPruneStopped) {
		return nil, err
	}
	return report, err
}

func reportOfPrune(p *repository.PrunePlan) *PruneReport {
	r := &PruneReport{
		Steps: []PruneStep{}, Snapshots: p.Snapshots, Packs: p.Packs, Bytes: p.Bytes,
		Needed: p.Needed, Unused: p.Unused, Stays: p.Stays, Young: p.Young, Freed: p.Freed, Plan: p,
	}
	for _, s := range p.Steps {
		r.Steps = append(r.Steps, PruneStep{Do: string(s.Do), File: s.File.String(), Cause: s.Cause, Size: s.Size, Needed: s.Needed})
	}
	return r
}

// pruneProgress shows the bytes of the packs that are repacked.
func (a *App) pruneProgress() func(repository.PruneProgress) {
	const name = "prune"
	begun := false
	return func(p repository.PruneProgress) {
		if p.TotalRepack == 0 {
			return
		}
		if !begun {
			begun = true
			a.progress().Begin(name, p.TotalRepack)
		}
		a.progress().Advance(name, int64(p.Removed), p.Repacked)
		if p.Repacked == p.TotalRepack && p.Removed == p.TotalToRemove {
			a.progress().End(name, "done")
		}
	}
}

// scheduledPrune is serve's.
func (a *App) scheduledPrune(ctx context.Context, now turn) error {
	if a.Settings.AppendOnly {
		a.Log.Info().Msg("no prune: RIPPLEBAK_APPEND_ONLY is true")
		return a.prolongOnly(ctx, a.primary())
	}
	return a.pruneAndSay(ctx, a.primary(), now)
}

// copyPrunes are serve's, one for each copy with a retention of its own, for
// nothing is forgotten in others; of those that are locked, the locks are made
// longer all the same. Each is a job by itself: one that fails says so and stops
// nothing, and is noted as its own failure; a backup that is due comes before
// the next.
func (a *App) copyPrunes() (jobs []*job) {
	for _, c := range a.Settings.Copies {
		t := a.copyTarget(c)
		run := func(ctx context.Context, now turn) error { return a.pruneAndSay(ctx, t, now) }
		if t.keep.Empty() || a.Settings.AppendOnly {
			if t.lock == nil {
				continue
			}
			run = func(ctx context.Context, _ turn) error { return a.prolongOnly(ctx, t) }
		}
		jobs = append(jobs, &job{name: "prune of " + t.name, variable: pruneSchedule, cron: a.Settings.PruneSchedule, run: run})
	}
	return jobs
}

// pruneAndSay prunes, with a line in the log.
func (a *App) pruneAndSay(ctx context.Context, t target, now turn) error {
	report, err := a.pruneTarget(ctx, t, PruneOptions{Wait: now.wait, turn: &now})
	if report == nil {
		return err
	}
	a.Log.Info().Str("of", t.label()).Int("removed", report.PacksRemoved).Int("written", report.PacksNew).
		Int64("freed", report.BytesRemoved-report.BytesStored).Int64("stays_unused", report.Stays).Int64("young", report.Young).Int("locked", report.PacksLocked).Int("hidden", report.PacksHidden).Msg("pruned")
	return err
}

// aroundIfAny looks for an Engine, which tells whose locks are dead, and for
// the state directory; either is nil where there is none.
func (a *App) aroundIfAny(ctx context.Context) (*host, *state.Dir, error) {
	h, err := a.lookAround(ctx)
	if err == nil {
		return h, h.state, nil
	}
	if ctx.Err() != nil {
		return nil, nil, context.Cause(ctx)
	}
	a.Log.Debug().Msg("going on without Docker: " + a.Redactor().Redact(err.Error()))
	return nil, a.stateDir(), nil
}

// lockRun takes the run lock where there is a state directory, so that no
// backup of this host begins that would have to wait for us.
func (a *App) lockRun(ctx context.Context, h *host, dir *state.Dir, id string, wait time.Duration) (release func() error, err error) {
	if dir == nil {
		return func() error { return nil }, nil
	}
	owner := state.Owner{Run: id, Command: a.Command, Since: a.Now()}
	if h != nil {
		owner.Container = h.selfID()
	}
	lock, err := dir.Lock(ctx, owner, wait)
	if err != nil {
		return nil, err
	}
	if lock.Unnamed != nil {
		a.Log.Warn().Msg("the state volume cannot be written: " + a.Redactor().Redact(lock.Unnamed.Error()))
	}
	return lock.Release, nil
}
