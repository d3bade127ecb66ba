package repository

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/ripplebak/ripplebak/storage"
)

// IndexRepair is what a repair of the index will do. It is made by
// [Deleter.PlanIndexRepair] and does nothing by itself.
type IndexRepair struct {
	Steps []RepairStep

	add     []indexedPack
	rewrite *indexRewrite
}

// PlanIndexRepair compares the index with the packs, of which it reads the
// headers of those that no index names and of those whose size is not what the
// index implies, or with readAll of all. A pack that is damaged so that its
// header cannot be read stays in the index, if it is there, because what is
// whole in it can be found by the index only.
func (d *Deleter) PlanIndexRepair(ctx context.Context, readAll bool) (*IndexRepair, error) {
	if err := d.mayDelete(); err != nil {
		return nil, err
	}
	r := d.r
	if err := r.LoadIndex(ctx); err != nil && (ctx.Err() != nil || !isDamage(err)) {
		return nil, err
	}
	stored := make(map[ID]int64)
	err := r.store.List(ctx, storage.PackFile, func(i storage.Info) error {
		if id, err := ParseID(i.Name); err == nil {
			stored[id] = i.Size
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list packs: %w", err)
	}
	p := &indexPlanning{d: d, readAll: readAll, stored: stored, without: make(map[ID]bool)}
	if err := p.indexed(ctx); err != nil {
		return nil, err
	}
	if err := p.unindexed(ctx); err != nil {
		return nil, err
	}
	if p.plan.rewrite, err = r.planRewrite(ctx, p.without, true); err != nil {
		return nil, err
	}
	p.plan.Steps = append(p.plan.Steps, p.plan.rewrite.steps...)
	slices.SortStableFunc(p.plan.Steps, func(a, b RepairStep) int {
		if c := strings.Compare(string(a.Do), string(b.Do)); c != 0 {
			return c
		}
		return strings.Compare(a.File.String(), b.File.String())
	})
	return &p.plan, nil
}

// indexPlanning is a plan in the making.
type indexPlanning struct {
	d       *Deleter
	readAll bool
	stored  map[ID]int64
	without map[ID]bool // packs of which what the index says goes
	plan    IndexRepair
}

func (p *indexPlanning) step(do RepairAction, id ID, cause string) {
	p.plan.Steps = append(p.plan.Steps, RepairStep{Do: do, File: id, Cause: cause})
}

// indexed looks at the packs that the index names.
func (p *indexPlanning) indexed(ctx context.Context) error {
	x := p.d.r.index
	count := x.packCount()
	blobsOf := x.byPack(count)
	for n := range count {
		id, blobs := x.packID(uint32(n)), blobsOf(n)
		size, ok := p.stored[id]
		if !ok {
			if err := p.gone(ctx, id, len(blobs)); err != nil {
				return err
			}
			continue
		}
		implied := headerSize(blobs)
		for i := range blobs {
			implied += int64(blobs[i].length)
		}
		if size == implied && !p.readAll {
			continue
		}
		header, err := p.d.r.loadHeader(ctx, id, size)
		if err == nil && compareHeader(header, blobs) == nil {
			continue
		}
		switch {
		case err == nil:
			p.step(RepairReread, id, "its header says otherwise than the index")
			p.without[id] = true
			p.plan.add = append(p.plan.add, indexedPack{id: id, blobs: header})
		case ctx.Err() != nil || !isDamage(err):
			return fmt.Errorf("pack %s: %w", id.Short(), err)
		default:
			p.step(RepairKeep, id, fmt.Sprintf("the pack is damaged (%v): \"repair packs\" saves what can be read of it", err))
		}
	}
	return nil
}

// gone drops a pack that the listing lacks, after asking for it by its name.
func (p *indexPlanning) gone(ctx context.Context, id ID, blobs int) error {
	_, err := p.d.r.store.Stat(ctx, storage.Handle{Kind: storage.PackFile, Name: id.String()})
	switch {
	case err == nil:
		return fmt.Errorf("pack %s is there and the listing of packs lacks it: the storage cannot be relied upon, nothing was changed", id.Short())
	case !errors.Is(err, storage.ErrNotExist):
		return fmt.Errorf("look for pack %s: %w", id.Short(), err)
	}
	p.step(RepairDrop, id, fmt.Sprintf("the pack is gone, with %d blobs", blobs))
	p.without[id] = true
	return nil
}

// unindexed looks at the packs that no index names.
func (p *indexPlanning) unindexed(ctx context.Context) error {
	for id, size := range p.stored {
		if p.d.r.index.hasPack(id) {
			continue
		}
		header, err := p.d.r.loadHeader(ctx, id, size)
		switch {
		case err == nil:
			p.step(RepairAdd, id, fmt.Sprintf("no index names the pack; it has %d blobs", len(header)))
			p.plan.add = append(p.plan.add, indexedPack{id: id, blobs: header})
		case errors.Is(err, storage.ErrNotExist):
		case ctx.Err() != nil || !isDamage(err):
			return fmt.Errorf("pack %s: %w", id.Short(), err)
		default:
			p.step(RepairKeep, id, fmt.Sprintf("no index names the pack, and its own header cannot be read (%v): what it holds is not known", err))
		}
	}
	return nil
}

// RepairIndex carries a plan out: new index files are stored, then old ones
// removed, so that it can be killed anywhere. The index in memory has to be
// loaded again.
func (d *Deleter) RepairIndex(ctx context.Context, w storage.Writer, p *IndexRepair, opt RepairOptions) error {
	if err := d.mayDelete(); err != nil {
		return err
	}
	ctx, done := d.underLock(ctx)
	defer done()
	defer d.dropIndex()
	for packs := range slices.Chunk(p.add, maxIndexedPacks) {
		if err := d.saveIndexFile(ctx, w, nil, packs); err != nil {
			return err
		}
		opt.crash()
	}
	if err := d.saveRewritten(ctx, w, p.rewrite, &opt); err != nil {
		return err
	}
	return d.removeRewritten(ctx, p.rewrite, &opt)
}

// maxIndexedPacks is how many packs a new index file names.
const maxIndexedPacks = 2000
