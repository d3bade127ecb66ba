package repository

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

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
	case d.lock.age() >= lockLost:
		// The machine slept: who refreshes the lock has not woken up yet.
		return fmt.Errorf("%w: %w: it is %s old", ErrNotExclusive, ErrLockLost, d.lock.age().Round(time.Second))
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

// Retag stores a snapshot anew with other tags, as restic's tag command does:
// the ID that it had at first is noted in it as its original. The old file
// stays; whoever calls removes it, for until then nothing is lost. Fields that
// this version does not know are kept. It returns the new ID.
func (d *Deleter) Retag(ctx context.Context, w storage.Writer, id ID, tags []string) (ID, error) {
	if err := d.mayDelete(); err != nil {
		return ID{}, err
	}
	doc, err := d.r.loadUnpacked(ctx, storage.SnapshotFile, id, 0, maxSnapshotFile)
	if errors.Is(err, storage.ErrNotExist) {
		return ID{}, fmt.Errorf("%s: %w", id.Short(), ErrNoSnapshot)
	}
	if err != nil {
		return ID{}, err
	}
	doc, err = retagged(doc, id, tags)
	if err != nil {
		return ID{}, fmt.Errorf("snapshot %s: %w", id.Short(), err)
	}
	again, err := d.r.saveUnpacked(ctx, w, storage.SnapshotFile, doc)
	if err != nil {
		return ID{}, fmt.Errorf("store snapshot %s with other tags: %w", id.Short(), err)
	}
	return again, nil
}

// retagged is a snapshot's document with other tags, and the ID that it had
// before any change.
func retagged(doc []byte, id ID, tags []string) ([]byte, error) {
	if _, err := decodeSnapshot(doc); err != nil {
		return nil, err
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(doc, &fields); err != nil {
		return nil, damaged("not a snapshot: %w", err)
	}
	set := func(name string, value any) error {
		b, err := json.Marshal(value)
		fields[name] = b
		return err
	}
	err := set("tags", tags)
	if was := string(fields["original"]); was == "" || was == "null" {
		err = errors.Join(err, set("original", id))
	}
	if err != nil {
		return nil, fmt.Errorf("encode snapshot: %w", err)
	}
	return json.Marshal(fields)
}
