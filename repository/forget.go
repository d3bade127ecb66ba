package repository

import (
	"context"
	"errors"
	"fmt"

	"github.com/ripplebak/ripplebak/storage"
)

// ErrNotExclusive: what deletes needs an exclusive lock that is held.
var ErrNotExclusive = errors.New("the repository is not locked exclusively")

// Deleter removes what a repository no longer needs. Nothing else in this
// package can: whoever restores, checks or lists has no Deleter, and no way to
// make one, for that takes a storage.Remover.
type Deleter struct {
	r    *Repository
	rm   storage.Remover
	lock *Lock
}

// NewDeleter makes a Deleter. The lock must be exclusive, of this repository,
// and held as long as the Deleter is used; otherwise the error, here or later,
// is [ErrNotExclusive].
func NewDeleter(r *Repository, rm storage.Remover, lock *Lock) (*Deleter, error) {
	d := &Deleter{r: r, rm: rm, lock: lock}
	return d, d.mayDelete()
}

// mayDelete is asked before each removal: a lock that was lost in the meantime
// lets others write again.
func (d *Deleter) mayDelete() error {
	switch {
	case d.lock == nil || d.lock.r != d.r || !d.lock.opt.Exclusive:
		return ErrNotExclusive
	case d.lock.Context().Err() != nil:
		return fmt.Errorf("%w: %w", ErrNotExclusive, context.Cause(d.lock.Context()))
	}
	return nil
}

// RemoveSnapshot removes a snapshot; one that is gone already is no error. The
// data that only it refers to stays until it is pruned.
func (d *Deleter) RemoveSnapshot(ctx context.Context, id ID) error {
	if err := d.mayDelete(); err != nil {
		return err
	}
	if err := d.rm.Remove(ctx, storage.Handle{Kind: storage.SnapshotFile, Name: id.String()}); err != nil {
		return fmt.Errorf("remove snapshot %s: %w", id.Short(), err)
	}
	return nil
}
