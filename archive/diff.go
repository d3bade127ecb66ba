package archive

import (
	"context"
	"fmt"
	"slices"

	"github.com/ripplebak/ripplebak/repository"
)

// ChangeKind says how a path differs.
type ChangeKind string

// The kinds of changes.
const (
	Added    ChangeKind = "added"
	Removed  ChangeKind = "removed"
	Content  ChangeKind = "changed"  // the content, a link's target, or a device's number
	Metadata ChangeKind = "metadata" // and the content is as it was
)

// Change is a path that differs. Before is nil where it was added, After where
// it was removed. A path whose type is another one was removed and added.
type Change struct {
	Path          string // "/" first
	Kind          ChangeKind
	Before, After *repository.Node
}

// Diff calls fn for every path that differs between two trees, in the order of
// a walk. Directories that are stored once are not looked into, so that it costs
// what the differences cost.
//
// What a restore does not bring back as it was, such as inode numbers and
// ctimes, is no difference, and neither is the mtime of a directory, which moves
// with what is in it. Content counts as changed when it is stored as other
// blobs.
func Diff(ctx context.Context, repo *repository.Repository, before, after repository.ID, fn func(Change) error) error {
	d := differ{ctx: ctx, repo: repo, fn: fn}
	return d.trees(before, after, "")
}

type differ struct {
	ctx  context.Context
	repo *repository.Repository
	fn   func(Change) error
}

func (d *differ) load(id repository.ID, at string) ([]*repository.Node, error) {
	t, err := d.repo.LoadTree(d.ctx, id)
	if err != nil {
		return nil, fmt.Errorf("directory %q: %w", at, err)
	}
	return t.Nodes, nil
}

func (d *differ) trees(before, after repository.ID, at string) error {
	if before == after {
		return nil
	}
	old, err := d.load(before, at)
	if err != nil {
		return err
	}
	now, err := d.load(after, at)
	if err != nil {
		return err
	}
	for len(old)+len(now) > 0 {
		switch {
		case len(now) == 0 || len(old) > 0 && old[0].Name < now[0].Name:
			err, old = d.whole(Removed, old[0], at), old[1:]
		case len(old) == 0 || now[0].Name < old[0].Name:
			err, now = d.whole(Added, now[0], at), now[1:]
		default:
			err, old, now = d.nodes(old[0], now[0], at), old[1:], now[1:]
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// nodes compares what has one path in both.
func (d *differ) nodes(before, after *repository.Node, at string) error {
	if before.Type != after.Type {
		if err := d.whole(Removed, before, at); err != nil {
			return err
		}
		return d.whole(Added, after, at)
	}
	at += "/" + after.Name
	if kind := kindOfChange(before, after); kind != "" {
		if err := d.fn(Change{Path: at, Kind: kind, Before: before, After: after}); err != nil {
			return err
		}
	}
	if before.Subtree == nil || after.Subtree == nil {
		return nil
	}
	return d.trees(*before.Subtree, *after.Subtree, at)
}

// whole reports a node, and all below it.
func (d *differ) whole(kind ChangeKind, n *repository.Node, at string) error {
	at += "/" + n.Name
	c := Change{Path: at, Kind: kind, After: n}
	if kind == Removed {
		c.Before, c.After = n, nil
	}
	if err := d.fn(c); err != nil || n.Subtree == nil {
		return err
	}
	nodes, err := d.load(*n.Subtree, at)
	if err != nil {
		return err
	}
	for _, sub := range nodes {
		if err := d.whole(kind, sub, at); err != nil {
			return err
		}
	}
	return nil
}

// kindOfChange compares two nodes of one type; "" where they are the same.
func kindOfChange(a, b *repository.Node) ChangeKind {
	switch {
	case a.Size != b.Size || a.LinkTarget != b.LinkTarget || a.Device != b.Device || !slices.Equal(a.Content, b.Content):
		return Content
	case a.Mode != b.Mode || a.UID != b.UID || a.GID != b.GID || !sameAttributes(a, b):
		return Metadata
	case a.Type != repository.NodeDir && !a.ModTime.Equal(b.ModTime):
		return Metadata
	}
	return ""
}

// NewBytes is how much of a change's content was not there before, in bytes:
// blobs that the file did not have. It says how much of a large file really
// changed.
func (c *Change) NewBytes(repo *repository.Repository) uint64 {
	if c.After == nil {
		return 0
	}
	if c.Before == nil {
		return c.After.Size
	}
	had := make(map[repository.ID]bool, len(c.Before.Content))
	for _, id := range c.Before.Content {
		had[id] = true
	}
	var sum uint64
	for _, id := range c.After.Content {
		if had[id] {
			continue
		}
		if size, ok := repo.BlobSize(repository.BlobHandle{Type: repository.DataBlob, ID: id}); ok {
			sum += uint64(size)
		}
	}
	return sum
}
