package repository

import (
	"context"
	"fmt"
)

// Extent is what a tree holds, all of it below, each name counted.
type Extent struct {
	Bytes int64 // content of files, holes and what is held twice included
	Files int64 // everything that is no directory
	Dirs  int64 // without the tree's own
}

// most is what an extent counts to: a small tree that holds itself many times
// over can be beyond all numbers.
const most = 1 << 60

// Plus adds what two places hold.
func (e Extent) Plus(o Extent) Extent {
	return Extent{Bytes: min(e.Bytes+o.Bytes, most), Files: min(e.Files+o.Files, most), Dirs: min(e.Dirs+o.Dirs, most)}
}

// HasAll proves that a tree can be restored as far as the index can tell, and
// says how much it holds: every directory below it loads, and every blob of
// every file is in the index. The first that is missing is an ErrNoBlob that
// names its file.
func (r *Repository) HasAll(ctx context.Context, tree ID) (Extent, error) {
	return r.hasAll(ctx, tree, "", map[ID]Extent{})
}

func (r *Repository) hasAll(ctx context.Context, tree ID, at string, seen map[ID]Extent) (Extent, error) {
	if all, ok := seen[tree]; ok {
		return all, nil
	}
	t, err := r.LoadTree(ctx, tree)
	if err != nil {
		return Extent{}, fmt.Errorf("folder %q: %w", at, err)
	}
	var all Extent
	for _, n := range t.Nodes {
		one, err := r.hasNode(ctx, n, at, seen)
		if err != nil {
			return Extent{}, err
		}
		all = all.Plus(one)
	}
	seen[tree] = all
	return all, nil
}

// HasNode is HasAll of one file, or of one directory and what is below it. Names
// in errors begin at the node.
func (r *Repository) HasNode(ctx context.Context, node *Node) (Extent, error) {
	return r.hasNode(ctx, node, "", map[ID]Extent{})
}

func (r *Repository) hasNode(ctx context.Context, n *Node, at string, seen map[ID]Extent) (Extent, error) {
	path := at + "/" + n.Name
	var size int64
	for _, id := range n.Content {
		length, ok := r.BlobSize(BlobHandle{Type: DataBlob, ID: id})
		if !ok {
			return Extent{}, fmt.Errorf("file %q: data %s: %w", path, id.Short(), ErrNoBlob)
		}
		size += int64(length)
	}
	if n.Type != NodeDir {
		return Extent{Bytes: size, Files: 1}, nil
	}
	if n.Subtree == nil {
		return Extent{}, fmt.Errorf("folder %q: %w", path, damaged("it has no tree"))
	}
	below, err := r.hasAll(ctx, *n.Subtree, path, seen)
	return below.Plus(Extent{Dirs: 1}), err
}
