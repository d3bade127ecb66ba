package sidecar

import (
	"context"
	"errors"
	"time"
)

// UnlockOptions say which locks to remove.
type UnlockOptions struct {
	// All removes locks too whose owners may live.
	All bool
	// DryRun removes none.
	DryRun bool
	// Confirm is asked before the lock of somebody who may live is removed.
	// Nil: nobody.
	Confirm func(*UnlockReport) error
}

// UnlockReport lists the locks that there were, the oldest first.
type UnlockReport struct {
	Repository string       `json:"repository"`
	DryRun     bool         `json:"dry_run"`
	Locks      []LockStatus `json:"locks"`
}

// LockStatus is a lock, and what became of it.
type LockStatus struct {
	ID        string    `json:"id"`
	Host      string    `json:"host,omitempty"`
	User      string    `json:"user,omitempty"`
	PID       int       `json:"pid,omitempty"`
	Since     time.Time `json:"since,omitzero"`
	Exclusive bool      `json:"exclusive"`
	Stale     string    `json:"stale,omitempty"`
	Damage    string    `json:"damage,omitempty"`
	Remove    bool      `json:"remove"`
	Removed   bool      `json:"removed"`
}

// Unlock removes the locks whose owners are gone: by restic's rule, and of our
// Engine's containers those that do not run any more. It needs no Docker.
func (a *App) Unlock(ctx context.Context, opt UnlockOptions) (report *UnlockReport, err error) {
	v, err := a.openVault(ctx, nil, false)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, v.close(ctx)) }()
	alive, done := a.knownAlive(ctx)
	defer done()
	locks, err := v.repo.Locks(ctx, alive)
	if err != nil {
		return nil, err
	}
	report = &UnlockReport{Repository: v.store.Reader().Location(), DryRun: opt.DryRun, Locks: []LockStatus{}}
	living := false
	for _, l := range locks {
		s := LockStatus{ID: l.ID.String(), Host: l.Host, User: l.User, PID: l.PID, Since: l.Since, Exclusive: l.Exclusive, Stale: l.Stale}
		if l.Unreadable != nil {
			s.Damage = l.Unreadable.Error()
		}
		s.Remove = s.Stale != "" || opt.All
		living = living || s.Remove && s.Stale == ""
		report.Locks = append(report.Locks, s)
	}
	if opt.DryRun {
		return report, nil
	}
	if living && opt.Confirm != nil {
		if err := opt.Confirm(report); err != nil {
			return nil, err
		}
	}
	for i, l := range locks {
		s := &report.Locks[i]
		if !s.Remove {
			continue
		}
		if err := v.repo.RemoveLock(ctx, v.store.Locker(), l.ID); err != nil {
			return report, err
		}
		s.Removed = true
		a.Log.Info().Str("lock", l.ID.Short()).Str("host", l.Host).Int("pid", l.PID).Str("stale", l.Stale).Msg("lock removed")
	}
	return report, nil
}

// knownAlive asks our Engine about the owners of locks, where there is one. It
// is looked for only once there is a lock to ask about. Not for several
// goroutines.
func (a *App) knownAlive(ctx context.Context) (alive func(string) (bool, bool), done func()) {
	var h *host
	looked := false
	alive = func(holder string) (bool, bool) {
		if !looked {
			looked = true
			var err error
			if h, err = a.lookAround(ctx); err != nil {
				a.Log.Debug().Msg(a.Redactor().Redact(err.Error()))
			}
		}
		if h == nil {
			return false, false
		}
		return a.lockAlive(ctx, h)(holder)
	}
	return alive, func() {
		if h == nil {
			return
		}
		if err := h.engine.Close(); err != nil {
			a.Log.Debug().Msg(err.Error())
		}
	}
}
