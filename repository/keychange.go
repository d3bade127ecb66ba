package repository

import (
	"context"
	"fmt"

	"github.com/ripplebak/ripplebak/storage"
)

// RemoveKey removes a key file, so that its password stops working. Before, it
// proves that another one opens the repository with the password given, else
// it removes nothing and returns [ErrNoKeyLeft]: neither the last key can go,
// nor the only one whose password is known. A key that is not there is
// [ErrNoKey].
//
// Whoever knew the password may have kept the master key, which stays the same:
// against them only a new repository helps.
func (d *Deleter) RemoveKey(ctx context.Context, id ID, password string) error {
	if err := d.mayDelete(); err != nil {
		return err
	}
	if err := d.r.ProveOtherKey(ctx, id, password); err != nil {
		return fmt.Errorf("remove key %s: %w", id.Short(), err)
	}
	if err := d.mayDelete(); err != nil {
		return err
	}
	if err := d.rm.Remove(ctx, storage.Handle{Kind: storage.KeyFile, Name: id.String()}); err != nil {
		return fmt.Errorf("remove key %s: %w", id.Short(), err)
	}
	return nil
}
