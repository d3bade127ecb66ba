package repository

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/ripplebak/ripplebak/storage"
)

// TagRepaired marks snapshots that a repair has written, as restic does. Their
// Original is the snapshot that they stand for.
const TagRepaired = "repaired"

// SnapshotRepair is what a repair of snapshots will do. It is made by
// [Deleter.PlanSnapshotRepair] and does nothing by itself.
type SnapshotRepair struct {
	Steps []RepairStep
	// Lost is what the snapshots that are written anew will lack.
	Lost []Loss

	c       *checker
	restate []StoredSnapshot
	forget  []ID // those that are removed without being written anew
	drop    bool // old ones are removed once written anew
}

// PlanSnapshotRepair finds the snapshots of which something is lost: in no
// index, in a pack that is gone or cut, or a directory that cannot be read.
// What is damaged inside of packs is for [Deleter.PlanPackRepair] to find
// before. With forget, old snapshots are removed, and so are those of which
// nothing can be read. Snapshots that were repaired before are not again.
func (d *Deleter) PlanSnapshotRepair(ctx context.Context, forget bool) (*SnapshotRepair, error) {
	if err := d.mayDelete(); err != nil {
		return nil, err
	}
	list, _, err := d.r.Snapshots(ctx)
	if err != nil {
		return nil, err
	}
	p := &SnapshotRepair{c: d.r.newChecker(CheckOptions{}), drop: forget}
	if err := p.c.checkBlobs(ctx); err != nil {
		return nil, err
	}
	if err := p.c.checkSnapshots(ctx, list); err != nil {
		return nil, err
	}
	p.Lost = p.c.report.Lost
	whole := make(map[ID]ID) // the repaired by the original
	lost := make(map[ID]bool)
	for i := range p.Lost {
		lost[p.Lost[i].Snapshot.ID] = true
	}
	for i := range list {
		if s := &list[i]; s.Original != nil && s.HasTag(TagRepaired) && !lost[s.ID] {
			whole[*s.Original] = s.ID
		}
	}
	for i := range p.Lost {
		p.decide(&p.Lost[i], whole)
	}
	return p, p.unreadable(ctx, d.r, list)
}

// decide says what becomes of one snapshot.
func (p *SnapshotRepair) decide(l *Loss, whole map[ID]ID) {
	s := l.Snapshot
	step := RepairStep{Do: RepairRestate, File: s.ID, Cause: "some of its files are lost"}
	by, repaired := whole[s.ID]
	switch {
	case repaired:
		step.Do, step.Cause = RepairKeep, "it was written anew before, as "+by.Short()
	case l.root.unreadable:
		step.Do, step.Cause = RepairKeep, "nothing of it can be read"
	default:
		p.restate = append(p.restate, s)
	}
	if step.Do == RepairKeep && p.drop {
		step.Do = RepairForget
		p.forget = append(p.forget, s.ID)
	}
	p.Steps = append(p.Steps, step)
}

// unreadable looks for snapshot files that cannot be read, twice.
func (p *SnapshotRepair) unreadable(ctx context.Context, r *Repository, list []StoredSnapshot) error {
	infos, err := r.listSnapshots(ctx)
	if err != nil {
		return err
	}
	for i := range list {
		delete(infos, list[i].ID)
	}
	for id, size := range infos {
		_, err := r.loadSnapshot(ctx, id, size)
		switch {
		case err == nil || errors.Is(err, ErrNoSnapshot):
			continue // new, or gone since
		case ctx.Err() != nil || !isDamage(err):
			return err
		}
		step := RepairStep{Do: RepairKeep, File: id, Cause: err.Error()}
		if p.drop {
			step.Do = RepairForget
			p.forget = append(p.forget, id)
		}
		p.Steps = append(p.Steps, step)
	}
	return nil
}

// AdaptSnapshot changes a snapshot before it is written anew: s has its new
// tree, which w may hold still, and l is what it lacks.
type AdaptSnapshot func(ctx context.Context, w *Writer, s *Snapshot, l *Loss) error

// RepairSnapshots carries a plan out and returns the new snapshots by the old.
// Each is written before its old one is removed. Files of which a part is lost
// are left out; a directory that cannot be read becomes an empty one. adapt may
// be nil. The index in memory has to be loaded again.
func (d *Deleter) RepairSnapshots(ctx context.Context, store storage.Writer, p *SnapshotRepair, adapt AdaptSnapshot, opt RepairOptions) (_ map[ID]ID, err error) {
	if err := d.mayDelete(); err != nil {
		return nil, err
	}
	ctx, done := d.underLock(ctx)
	defer done()
	defer d.dropIndex()
	// What is lost must be stored again where it is written again, such as an
	// empty directory.
	for h := range p.c.lost {
		d.r.index.disown(h)
	}
	w, err := d.r.NewWriter(ctx, store, WriterOptions{Workers: 1})
	if err != nil {
		return nil, err
	}
	defer func() {
		if cerr := w.Close(context.WithoutCancel(ctx)); err == nil {
			err = cerr
		}
	}()
	t := restating{c: p.c, w: w, done: make(map[ID]ID)}
	made := make(map[ID]ID)
	for i := range p.Lost {
		l := &p.Lost[i]
		if !slices.ContainsFunc(p.restate, func(s StoredSnapshot) bool { return s.ID == l.Snapshot.ID }) {
			continue
		}
		id, err := t.snapshot(ctx, l, adapt)
		if err != nil {
			return made, fmt.Errorf("snapshot %s: %w", l.Snapshot.ID.Short(), err)
		}
		made[l.Snapshot.ID] = id
		opt.crash()
		if p.drop {
			if err := d.RemoveSnapshot(ctx, l.Snapshot.ID); err != nil {
				return made, err
			}
			opt.crash()
		}
	}
	for _, id := range p.forget {
		if err := d.RemoveSnapshot(ctx, id); err != nil {
			return made, err
		}
		opt.crash()
	}
	return made, nil
}

// disown makes a blob unknown.
func (x *index) disown(h BlobHandle) {
	x.mu.Lock()
	defer x.mu.Unlock()
	var places []*indexEntry
	x.find(h, func(e *indexEntry) bool {
		places = append(places, e)
		return true
	})
	for _, e := range places {
		e.id = ID{}
	}
}

// restating writes trees without what is lost.
type restating struct {
	c    *checker
	w    *Writer
	done map[ID]ID // the new tree by the old
}

func (t *restating) snapshot(ctx context.Context, l *Loss, adapt AdaptSnapshot) (ID, error) {
	tree, err := t.tree(ctx, *l.Snapshot.Tree)
	if err != nil {
		return ID{}, err
	}
	s := l.Snapshot.Snapshot
	original := l.Snapshot.ID
	s.Tree, s.Original = &tree, &original
	s.Tags = slices.Clone(s.Tags)
	if !s.HasTag(TagRepaired) {
		s.Tags = append(s.Tags, TagRepaired)
	}
	if adapt != nil {
		if err := adapt(ctx, t.w, &s, l); err != nil {
			return ID{}, err
		}
	}
	return t.w.SaveSnapshot(ctx, &s)
}

// tree returns a tree without what is lost of it and below.
func (t *restating) tree(ctx context.Context, id ID) (ID, error) {
	lost := t.c.seen[id]
	if lost == nil {
		return id, nil
	}
	if id, ok := t.done[id]; ok {
		return id, nil
	}
	var left Tree
	if !lost.unreadable {
		tree, err := t.c.r.LoadTree(ctx, id)
		if err != nil {
			return ID{}, err
		}
		for _, n := range tree.Nodes {
			keep, err := t.node(ctx, n)
			if err != nil {
				return ID{}, err
			}
			if keep != nil {
				left.Nodes = append(left.Nodes, keep)
			}
		}
	}
	made, err := t.w.SaveTree(ctx, &left)
	if err == nil {
		t.done[id] = made
	}
	return made, err
}

// node returns what is left of a node, nil for nothing.
func (t *restating) node(ctx context.Context, n *Node) (*Node, error) {
	switch n.Type {
	case NodeFile:
		for _, id := range n.Content {
			if _, _, ok := t.c.readable(BlobHandle{Type: DataBlob, ID: id}); !ok {
				return nil, nil
			}
		}
	case NodeDir:
		var sub ID
		var err error
		if n.Subtree == nil {
			sub, err = t.w.SaveTree(ctx, &Tree{})
		} else {
			sub, err = t.tree(ctx, *n.Subtree)
		}
		if err != nil {
			return nil, err
		}
		kept := *n
		kept.Subtree = &sub
		return &kept, nil
	}
	return n, nil
}
