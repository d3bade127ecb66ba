package sidecar

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/ripplebak/ripplebak/repository"
)

// look opens the repository for a command that only reads, its index loaded.
// The shared lock is held, so that nothing is pruned meanwhile; where locks
// cannot be written it goes on without. The context ends when the lock is lost.
func (a *App) look(ctx context.Context) (context.Context, *vault, error) {
	v, err := a.openVault(ctx, a.stateDir(), false)
	if err != nil {
		return nil, nil, err
	}
	locked, err := a.lockForRestore(ctx, v, nil, 0)
	if err == nil {
		err = v.repo.LoadIndex(locked)
	}
	if err != nil {
		return nil, nil, errors.Join(err, v.close(ctx))
	}
	return locked, v, nil
}

// ended closes what look opened. What failed because the context ended, failed
// for the context's cause.
func (v *vault) ended(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil && !errors.Is(err, context.Cause(ctx)) {
		err = context.Cause(ctx)
	}
	return errors.Join(err, v.close(ctx))
}

// snapshotsOf are the snapshots of the project that the settings name, oldest
// first, or those of every project where they name none or all is set. Damaged
// ones are told, and left out.
func (a *App) snapshotsOf(ctx context.Context, repo *repository.Repository, all bool) ([]repository.StoredSnapshot, error) {
	list, damaged, err := repo.Snapshots(ctx)
	if err != nil {
		return nil, err
	}
	for _, d := range damaged {
		a.Log.Error().Msg(a.Redactor().Redact(d.Error()))
	}
	if all {
		return list, nil
	}
	if names := a.Settings.Projects; len(names) > 0 {
		return slices.DeleteFunc(list, func(s repository.StoredSnapshot) bool {
			return !slices.ContainsFunc(names, func(p string) bool { return ofProject(&s.Snapshot, p) })
		}), nil
	}
	project := a.ownProject(ctx)
	return slices.DeleteFunc(list, func(s repository.StoredSnapshot) bool {
		return project != "" && !ofProject(&s.Snapshot, project)
	}), nil
}

// findSnapshot finds a snapshot by "latest", an ID or a prefix.
func (a *App) findSnapshot(ctx context.Context, repo *repository.Repository, prefix string) (*repository.StoredSnapshot, error) {
	if prefix != "latest" {
		id, err := repo.FindSnapshot(ctx, prefix)
		if err != nil {
			return nil, err
		}
		s, err := repo.LoadSnapshot(ctx, id)
		if err != nil {
			return nil, err
		}
		return &repository.StoredSnapshot{ID: id, Snapshot: *s}, nil
	}
	if err := a.oneProject(ctx); err != nil {
		return nil, err
	}
	list, err := a.snapshotsOf(ctx, repo, false)
	if err != nil {
		return nil, err
	}
	instead := replaced(list)
	for _, s := range slices.Backward(list) {
		if _, damaged := instead[s.ID]; !damaged && !s.HasTag(TagSafety) {
			return &s, nil
		}
	}
	return nil, fmt.Errorf("latest: %w", repository.ErrNoSnapshot)
}
