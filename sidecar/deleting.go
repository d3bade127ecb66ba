package sidecar

import (
	"context"
	"errors"
	"time"

	"github.com/ripplebak/ripplebak/repository"
	"github.com/ripplebak/ripplebak/sidecar/state"
	"github.com/ripplebak/ripplebak/storage"
)

// ErrAppendOnly means that the settings let nothing be deleted.
var ErrAppendOnly = errors.New("nothing can be deleted while RIPPLEBAK_APPEND_ONLY is true")

// deleting is an opened repository from which something may be removed, under
// an exclusive lock. It is made here only, and a test says which files may use
// it: what checks, lists or restores cannot.
type deleting struct {
	*vault
	deleter *repository.Deleter
}

// openDeleting opens the repository, or the copy that From names, for a command
// that deletes. It must exist. It waits for the locks of others at most as long
// as given. The index is not loaded. The caller closes it. The error is
// ErrAppendOnly, before anything is opened or locked, where the settings forbid
// it.
func (a *App) openDeleting(ctx context.Context, h *host, dir *state.Dir, wait time.Duration) (*deleting, error) {
	t, err := a.source()
	if err != nil {
		return nil, err
	}
	return a.openDeletingIn(ctx, t, h, dir, wait)
}

// openDeletingIn is openDeleting for any target.
func (a *App) openDeletingIn(ctx context.Context, t target, h *host, dir *state.Dir, wait time.Duration) (*deleting, error) {
	if a.Settings.AppendOnly {
		return nil, ErrAppendOnly
	}
	v, err := a.openTarget(ctx, t, dir, false)
	if err != nil {
		return nil, err
	}
	d, err := a.lockForDeleting(ctx, v, h, wait)
	if err != nil {
		return nil, errors.Join(err, v.close(ctx))
	}
	return d, nil
}

// lockForDeleting takes an exclusive lock of a vault that holds none. The
// vault's closing releases it.
func (a *App) lockForDeleting(ctx context.Context, v *vault, h *host, wait time.Duration) (*deleting, error) {
	store, ok := v.store.(storage.Store)
	if !ok {
		return nil, ErrAppendOnly
	}
	if err := a.takeLock(ctx, v, h, repository.LockOptions{Exclusive: true, Wait: wait}); err != nil {
		return nil, err
	}
	d, err := repository.NewDeleter(v.repo, store.Remover(), v.lock)
	if err != nil {
		return nil, err
	}
	return &deleting{vault: v, deleter: d}, nil
}
