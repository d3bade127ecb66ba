package repository

import (
	"context"
	"fmt"
)

// HasAll proves that a tree can be restored as far as the index can tell:
// every directory below it loads, and every blob of every file is in the
// index. The first that is missing is an ErrNoBlob that names its file.
func (r *Repository) HasAll(ctx context.Context, tree ID) error {
	return r.hasAll(ctx, tree, "", map[ID]bool{})
}

func (r *Repository) hasAll(ctx context.Context, tree ID, at string, seen map[ID]bool) error {
	if seen[tree] {
		return nil
	}
	seen[tree] = true
	t, err := r.LoadTree(ctx, tree)
	if err != nil {
		return fmt.Errorf("folder %q: %w", at, err)
	}
	for _, n := range t.Nodes {
		path := at + "/" + n.Name
		for _, id := range n.Content {
			if _, ok := r.BlobSize(BlobHandle{Type: DataBlob, ID: id}); !ok {
				return fmt.Errorf("file %q: data %s: %w", path, id.Short(), ErrNoBlob)
			}
		}
		if n.Type != NodeDir {
			continue
		}
		if n.Subtree == nil {
			return fmt.Errorf("folder %q: %w", path, damaged("it has no tree"))
		}
		if err := r.hasAll(ctx, *n.Subtree, path, seen); err != nil {
			return err
		}
	}
	return nil
}
