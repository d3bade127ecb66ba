package repository

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/ripplebak/ripplebak/storage"
)

// LockInfo is a lock that somebody holds, or held.
type LockInfo struct {
	ID        ID
	Host      string // empty where the lock cannot be read
	User      string
	PID       int
	Since     time.Time // when it was last refreshed
	Exclusive bool
	// Unreadable is why the lock cannot be read; nil where it can.
	Unreadable error
	// Stale is why its owner must be gone; empty where it may live.
	Stale string
}

// Locks lists the locks, the oldest first. A lock is stale by restic's rule: it
// was not refreshed for half an hour, or its process ran on this machine and is
// gone; and by alive, as in LockOptions, which may be nil.
func (r *Repository) Locks(ctx context.Context, alive func(host string) (alive, known bool)) ([]LockInfo, error) {
	sizes := make(map[ID]int64)
	err := r.store.List(ctx, storage.LockFile, func(i storage.Info) error {
		if id, err := ParseID(i.Name); err == nil {
			sizes[id] = i.Size
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list locks: %w", err)
	}
	var out []LockInfo
	for id, size := range sizes {
		f, err := r.loadLock(ctx, id, size)
		switch {
		case err == nil:
			l := LockInfo{ID: id, Host: f.Hostname, User: f.Username, PID: f.PID, Since: f.Time, Exclusive: f.Exclusive}
			l.Stale = r.stale(&l, alive)
			out = append(out, l)
		case errors.Is(err, storage.ErrNotExist): // released meanwhile
		case errors.Is(err, ErrDamaged):
			out = append(out, LockInfo{ID: id, Unreadable: err})
		default:
			return nil, fmt.Errorf("load lock %s: %w", id.Short(), err)
		}
	}
	slices.SortFunc(out, func(a, b LockInfo) int {
		if c := a.Since.Compare(b.Since); c != 0 {
			return c
		}
		return strings.Compare(a.ID.String(), b.ID.String())
	})
	return out, nil
}

// stale says why the owner of a lock must be gone.
func (r *Repository) stale(l *LockInfo, alive func(string) (bool, bool)) string {
	if age := r.opt.Now().Sub(l.Since); age > lockStale {
		return fmt.Sprintf("it was not refreshed for %s", age.Round(time.Second))
	}
	if alive != nil {
		if lives, known := alive(l.Host); known && !lives {
			return "its container does not run any more"
		}
	}
	host, err := os.Hostname()
	if err == nil && (l.Host == host || l.Host == host+"/bare") && l.PID > 0 && errors.Is(syscall.Kill(l.PID, 0), syscall.ESRCH) {
		return fmt.Sprintf("process %d of this machine is gone", l.PID)
	}
	return ""
}

// RemoveLock removes a lock of somebody else. Who loses it while alive notices,
// and gives up.
func (r *Repository) RemoveLock(ctx context.Context, locker storage.Locker, id ID) error {
	if err := locker.RemoveLock(ctx, id.String()); err != nil {
		return fmt.Errorf("remove lock %s: %w", id.Short(), err)
	}
	return nil
}
