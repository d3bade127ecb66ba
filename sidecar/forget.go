package sidecar

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ripplebak/ripplebak/repository"
	"github.com/ripplebak/ripplebak/retention"
	"github.com/ripplebak/ripplebak/sidecar/state"
	"github.com/ripplebak/ripplebak/storage"
)

// ForgetOptions say which snapshots are to be forgotten.
type ForgetOptions struct {
	// Snapshots are those to forget, whatever the policy says; none: those that
	// no policy keeps.
	Snapshots []string
	// Keep is the policy in place of RIPPLEBAK_KEEP; empty: that.
	Keep string
	// DropItems are the keys of items that are not kept for their own sake.
	DropItems []string
	// DryRun decides, and removes nothing.
	DryRun bool
	// Wait is how long to wait for the repository's lock.
	Wait time.Duration
	// Confirm is shown what will be removed, and asked, before it is.
	Confirm func([]ForgetGroup) error
}

var (
	// ErrChanged means that others changed the repository between a decision
	// and its lock.
	ErrChanged = errors.New("the repository was changed meanwhile, so that other snapshots would be removed than were shown: nothing was removed; run it again")
	// errNoOwnProject says how to name the project where Docker cannot.
	errNoOwnProject = errors.New("no project is known: set RIPPLEBAK_PROJECT to the name of the Compose project")
)

// Forget removes the project's snapshots that no policy keeps, or those that
// are named. Their data stays until it is pruned. The decision is returned also
// where it was not carried out. Errors: ErrChanged, ErrDeclined,
// repository.ErrLocked, repository.ErrNoSnapshot. It needs no Docker where
// RIPPLEBAK_PROJECT is set.
func (a *App) Forget(ctx context.Context, opt ForgetOptions) (groups []ForgetGroup, err error) {
	f, err := a.forgetter(opt)
	if err != nil {
		return nil, err
	}
	h, project, err := a.aroundProject(ctx)
	if err != nil {
		return nil, err
	}
	if h != nil {
		defer func() { err = errors.Join(err, h.engine.Close()) }()
	}
	f.project = project
	dir := a.stateDir()
	v, err := a.openVault(ctx, dir, false)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, v.close(ctx)) }()
	if groups, err = f.decide(ctx, v.repo); err != nil || opt.DryRun {
		return groups, err
	}
	ids := removals(groups)
	if len(ids) > 0 {
		if opt.Confirm != nil {
			if err := opt.Confirm(groups); err != nil {
				return groups, err
			}
		}
		if err := a.forget(ctx, v, h, f, groups, opt.Wait); err != nil {
			return groups, err
		}
	}
	if len(opt.Snapshots) == 0 {
		a.noteReview(dir, groups)
	}
	return groups, nil
}

// forget carries out what was confirmed, under an exclusive lock, if that is
// still what would be decided.
func (a *App) forget(ctx context.Context, v *vault, h *host, f *forgetter, groups []ForgetGroup, wait time.Duration) error {
	d, err := a.lockForDeleting(ctx, v, h, wait)
	if err != nil {
		return err
	}
	ctx = d.lock.Context()
	again, err := f.decide(ctx, v.repo)
	if err != nil {
		return err
	}
	ids := removals(again)
	if !slices.Equal(ids, removals(groups)) {
		return ErrChanged
	}
	_, err = a.removeSnapshots(ctx, d, ids)
	return err
}

// removeSnapshots removes the snapshots in this order, and says so. Those that
// the storage still locks stay until a later forget: that is what the lock is
// for, and no failure.
func (a *App) removeSnapshots(ctx context.Context, d *deleting, ids []repository.ID) (removed int, err error) {
	var locked []string
	for _, id := range ids {
		err := d.deleter.RemoveSnapshot(ctx, id)
		switch {
		case errors.Is(err, storage.ErrRetained):
			locked = append(locked, id.Short())
			continue
		case err != nil:
			return removed, fmt.Errorf("%d of %d snapshots were forgotten: %w", removed, len(ids), err)
		}
		removed++
		a.Log.Info().Str("snapshot", id.Short()).Msg("snapshot forgotten")
	}
	if len(locked) > 0 {
		a.Log.Warn().Strs("snapshots", locked).Msg("the storage still locks snapshots against removal: a forget after their locks have ended removes them")
	}
	return removed, nil
}

// forgetter makes what decides, out of options that make sense.
func (a *App) forgetter(opt ForgetOptions) (*forgetter, error) {
	f := &forgetter{app: a, opt: opt, policy: a.Settings.Keep, known: map[repository.ID]retention.Snapshot{}}
	if opt.Keep != "" {
		if len(opt.Snapshots) > 0 {
			return nil, errors.New("snapshots are named, and a policy is given: only one of them can say what is forgotten")
		}
		p, err := retention.Parse(opt.Keep)
		if err != nil {
			return nil, fmt.Errorf("--keep: %w", err)
		}
		f.policy = p
	}
	return f, nil
}

// aroundProject says which project is ours. Without Docker there is no host,
// and the settings must say.
func (a *App) aroundProject(ctx context.Context) (*host, string, error) {
	if err := a.oneProject(ctx); err != nil {
		return nil, "", err
	}
	h, err := a.lookAround(ctx)
	switch {
	case err == nil:
		return h, h.project, nil
	case ctx.Err() != nil:
		return nil, "", context.Cause(ctx)
	case a.Settings.Project == "":
		return nil, "", errors.Join(errNoOwnProject, err)
	}
	a.Log.Debug().Msg(a.Redactor().Redact(err.Error()))
	return nil, a.Settings.Project, nil
}

// noteReview records that somebody has looked at what there is, so that a
// sudden change that was seen holds retention back no longer.
func (a *App) noteReview(dir *state.Dir, groups []ForgetGroup) {
	var newest time.Time
	for _, g := range groups {
		for _, s := range g.Keep {
			if s.Time.After(newest) && !s.Time.After(a.Now()) {
				newest = s.Time
			}
		}
	}
	if dir == nil || newest.IsZero() {
		return
	}
	if err := dir.UpdateHistory(func(h *state.History) { h.Reviewed, h.Changed = newest, nil }); err != nil {
		a.Log.Warn().Msg(a.Redactor().Redact(err.Error()))
	}
}
