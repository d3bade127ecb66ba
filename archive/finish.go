package archive

import (
	"context"
	"fmt"

	"github.com/ripplebak/ripplebak/repository"
)

// finisher turns directories that are closed into trees, in the order in which
// they were closed, so that each comes after all that are in it. It waits for
// content to be hashed while the saver goes on reading.
type finisher struct {
	ctx    context.Context
	w      *repository.Writer
	res    *Result
	closed chan *dir
	root   *repository.Node
}

// run ends with the queue, which it empties also after an error.
func (f *finisher) run() error {
	var err error
	for d := range f.closed {
		if err == nil {
			err = f.finish(d)
		}
	}
	return err
}

func (f *finisher) finish(d *dir) error {
	for _, file := range d.files[d.resolved:] {
		if err := file.resolve(f.ctx); err != nil {
			return err
		}
	}
	for _, n := range d.nodes {
		f.res.BytesAll += fileSize(n)
	}
	id, err := f.tree(d)
	if err != nil {
		return err
	}
	d.node.Subtree = &id
	if d.above == nil {
		f.root = d.node
		return nil
	}
	if d.parent != nil && same(d.node, d.parent) {
		d.above.sameDirs++
	}
	return nil
}

// tree gives a directory's tree: the parent's where nothing changed.
func (f *finisher) tree(d *dir) (repository.ID, error) {
	if d.before != nil && len(d.nodes) == len(d.before.Nodes) && d.reused+d.sameDirs == len(d.nodes) {
		f.res.TreesReused++
		return *d.parent.Subtree, nil
	}
	id, err := f.w.SaveTree(f.ctx, &repository.Tree{Nodes: d.nodes})
	if err != nil {
		return id, fmt.Errorf("save directory %q: %w", d.node.Name, err)
	}
	return id, nil
}

func fileSize(n *repository.Node) uint64 {
	if n.Type == repository.NodeFile {
		return n.Size
	}
	return 0
}

// resolve waits for a file's content and completes its node.
func (c file) resolve(ctx context.Context) error {
	ids, size, err := c.Wait(ctx)
	if err != nil {
		return fmt.Errorf("save %q: %w", c.node.Name, err)
	}
	c.node.Content, c.node.Size = ids, size
	return nil
}
