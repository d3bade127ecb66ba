package repository

import (
	"cmp"
	"context"
	"fmt"
	"slices"
)

// copyFolder is a directory to look at, with the same one of the base.
type copyFolder struct {
	path string
	tree ID
	base *ID
}

// findMissing walks a tree of the source, and returns the entries of its index
// with the blobs that the other does not have, in the order of packs, and their
// plain size. What was walked before for another snapshot is not walked again.
func (c *SnapshotCopier) findMissing(ctx context.Context, root ID, base *ID) (entries []uint32, bytes uint64, err error) {
	take := func(h BlobHandle) error {
		if c.w.Known(h) {
			return nil
		}
		n, e, ok := c.from.index.first(h)
		if !ok {
			return fmt.Errorf("%s: %w", h, ErrNoBlob)
		}
		if h.Type == TreeBlob || c.seen.mark(n) {
			entries = append(entries, n)
			bytes += uint64(e.size())
		}
		return nil
	}
	todo := []copyFolder{{tree: root, base: base}}
	for len(todo) > 0 {
		if ctx.Err() != nil {
			return nil, 0, context.Cause(ctx)
		}
		f := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if f.base != nil && *f.base == f.tree {
			continue
		}
		h := BlobHandle{Type: TreeBlob, ID: f.tree}
		if n, _, ok := c.from.index.first(h); ok && !c.seen.mark(n) {
			continue
		}
		if err := take(h); err != nil {
			return nil, 0, fmt.Errorf("folder %q: %w", "/"+f.path, err)
		}
		below, err := c.lookInto(ctx, f, take)
		if err != nil {
			return nil, 0, err
		}
		todo = append(todo, below...)
	}
	x := c.from.index
	x.mu.RLock()
	defer x.mu.RUnlock()
	slices.SortFunc(entries, func(a, b uint32) int {
		return cmp.Or(cmp.Compare(x.entry(a).pack, x.entry(b).pack), cmp.Compare(x.entry(a).offset, x.entry(b).offset))
	})
	return entries, bytes, nil
}

// lookInto takes the content of a directory's files, and returns the directories
// in it.
func (c *SnapshotCopier) lookInto(ctx context.Context, f copyFolder, take func(BlobHandle) error) (below []copyFolder, err error) {
	tree, err := c.from.LoadTree(ctx, f.tree)
	if err != nil {
		return nil, fmt.Errorf("folder %q: %w", "/"+f.path, err)
	}
	before := &Tree{}
	if f.base != nil {
		if before, err = c.from.LoadTree(ctx, *f.base); err != nil {
			return nil, fmt.Errorf("folder %q as it was: %w", "/"+f.path, err)
		}
	}
	for _, n := range tree.Nodes {
		path := f.path + n.Name
		for _, id := range n.Content {
			if err := take(BlobHandle{Type: DataBlob, ID: id}); err != nil {
				return nil, fmt.Errorf("file %q: %w", "/"+path, err)
			}
		}
		if n.Type != NodeDir {
			continue
		}
		if n.Subtree == nil {
			return nil, fmt.Errorf("folder %q: %w", "/"+path, damaged("it has no tree"))
		}
		d := copyFolder{path: path + "/", tree: *n.Subtree}
		if old := before.Find(n.Name); old != nil && old.Type == NodeDir {
			d.base = old.Subtree
		}
		below = append(below, d)
	}
	return below, nil
}
