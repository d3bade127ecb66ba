package sidecar

import (
	"context"
	"errors"
)

// afterBackup does what follows a backup, in this order: the repository is
// released, and old snapshots are removed. The vault stays open.
func (a *App) afterBackup(ctx context.Context, h *host, v *vault, report *BackupReport, backedUp error) error {
	if report == nil || ctx.Err() != nil {
		return nil
	}
	err := v.release(ctx)
	if err != nil {
		return err // what cannot be unlocked cannot be locked
	}
	return errors.Join(err, a.retain(ctx, h, v, report, backedUp))
}

// release gives the vault's lock back.
func (v *vault) release(ctx context.Context) error {
	if v.lock == nil {
		return nil
	}
	err := v.lock.Unlock(context.WithoutCancel(ctx))
	if err == nil {
		v.lock = nil
	}
	return err
}
