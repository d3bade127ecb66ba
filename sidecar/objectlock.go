package sidecar

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/ripplebak/ripplebak/repository"
	"github.com/ripplebak/ripplebak/storage"
	"github.com/ripplebak/ripplebak/storage/s3"
)

// retainersAtOnce is how many locks are looked at, at the same time.
const retainersAtOnce = 16

// objectLock is how what is stored in S3 is locked; nil where no mode is set.
// The setting is the one that asks for it.
func objectLock(mode string, days int, setting string) *s3.ObjectLock {
	if mode == "" {
		return nil
	}
	return &s3.ObjectLock{Mode: s3.LockMode(mode), Days: days, Setting: setting}
}

// canLock proves, where what is stored shall be locked, that the storage does
// that. Opening a repository only reads, and a restore must not depend on it.
func canLock(ctx context.Context, v *vault) error {
	if v.target.lock == nil {
		return nil
	}
	if err := lockHasMeaning(v); err != nil {
		return err
	}
	return v.store.Probe(ctx)
}

// lockHasMeaning refuses a lock that somebody relies on where there is none.
func lockHasMeaning(v *vault) error {
	if v.target.lock == nil || v.store.Retainer() != nil {
		return nil
	}
	return fmt.Errorf("%w: %s is set, and %s is not in S3, where alone it locks: remove it, or choose another place",
		storage.ErrRefused, v.target.lock.Setting, v.store.Reader().Location())
}

// extension is what became of the locks of a repository's files.
type extension struct {
	Files    int // that were looked at
	Extended int // whose lock was made longer
	Until    time.Time
}

// extendLocks sees to it that what the repository still holds stays locked:
// every lock that ends before half of its time is left is made as long as a new
// one. It is nothing where the storage locks no files. What was removed from
// the repository is not listed any more, so that its lock runs out.
func (a *App) extendLocks(ctx context.Context, v *vault) (done extension, err error) {
	r := v.store.Retainer()
	if r == nil {
		return done, nil
	}
	days := time.Duration(r.Days()) * 24 * time.Hour
	now := a.Now()
	done.Until = now.Add(days)
	var mu sync.Mutex
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(retainersAtOnce)
	for _, k := range storage.Kinds() {
		if k == storage.LockFile {
			continue
		}
		err := v.store.Reader().List(ctx, k, func(i storage.Info) error {
			group.Go(func() error {
				extended, err := r.Extend(ctx, storage.Handle{Kind: k, Name: i.Name}, now.Add(days/2), done.Until)
				if errors.Is(err, storage.ErrNotExist) {
					return nil // removed meanwhile
				}
				mu.Lock()
				defer mu.Unlock()
				done.Files++
				if extended {
					done.Extended++
				}
				return err
			})
			return ctx.Err()
		})
		if err != nil {
			return done, errors.Join(group.Wait(), err)
		}
	}
	if err := group.Wait(); err != nil {
		return done, fmt.Errorf("%d files of the repository have been locked for longer, then: %w", done.Extended, err)
	}
	return done, nil
}

// prolongLocks is extendLocks with a line in the log.
func (a *App) prolongLocks(ctx context.Context, v *vault) error {
	done, err := a.extendLocks(ctx, v)
	if err != nil || done.Files == 0 {
		return err
	}
	a.Log.Info().Str("of", v.target.label()).Int("files", done.Files).Int("extended", done.Extended).Time("until", done.Until).Msg("locks of the storage looked after")
	return nil
}

// prolongOnly is what is left of a scheduled prune where nothing may, or need,
// be deleted.
func (a *App) prolongOnly(ctx context.Context, t target) (err error) {
	v, err := a.openTarget(ctx, t, a.stateDir(), false)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, v.close(ctx)) }()
	return a.prolongLocks(ctx, v)
}

// hidden is what a prune removes and the storage keeps, because it is locked.
type hidden struct {
	files int
	bytes int64
	until time.Time
}

// lockedAmong says what of the packs that a plan removes is still locked.
func (a *App) lockedAmong(ctx context.Context, v *vault, plan *repository.PrunePlan) (hidden, error) {
	r := v.store.Retainer()
	if r == nil {
		return hidden{}, nil
	}
	files := map[storage.Handle]int64{}
	for _, s := range plan.Steps {
		if s.Do == repository.PruneRemove || s.Do == repository.PruneRepack {
			files[storage.Handle{Kind: storage.PackFile, Name: s.File.String()}] = s.Size
		}
	}
	return stillLocked(ctx, r, a.Now(), files)
}

// stillLocked says how many of the files are locked, how many bytes those have,
// and until when the last of them is. Files that are gone are not counted.
func stillLocked(ctx context.Context, r storage.Retainer, now time.Time, files map[storage.Handle]int64) (found hidden, err error) {
	var mu sync.Mutex
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(retainersAtOnce)
	for h, size := range files {
		group.Go(func() error {
			end, err := r.Retained(ctx, h)
			if err != nil || !end.After(now) {
				if errors.Is(err, storage.ErrNotExist) {
					return nil
				}
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			found.files++
			found.bytes += size
			if end.After(found.until) {
				found.until = end
			}
			return nil
		})
	}
	return found, group.Wait()
}
