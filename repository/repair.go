package repository

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/ripplebak/ripplebak/storage"
)

// RepairAction is what a repair does with one file of the repository.
type RepairAction string

// The actions.
const (
	RepairAdd     RepairAction = "add"     // a pack that no index names is indexed from its header
	RepairReread  RepairAction = "reread"  // what the index says of a pack is replaced by what its header says
	RepairDrop    RepairAction = "drop"    // a pack that is gone leaves the index
	RepairRewrite RepairAction = "rewrite" // an index file is replaced by one without those packs
	RepairDiscard RepairAction = "discard" // an index file that nobody can use is removed
	RepairSalvage RepairAction = "salvage" // what can be read of a pack goes to new packs, then the pack is removed
	RepairKeep    RepairAction = "keep"    // nothing can be done for it here, and nothing is
	RepairRestate RepairAction = "restate" // a snapshot is written anew without what is lost
	RepairForget  RepairAction = "forget"  // a snapshot is removed
)

// RepairStep is what a repair does with one file, and why.
type RepairStep struct {
	Do    RepairAction
	File  ID
	Cause string
	// Of RepairSalvage: the blobs that can be read, and those that cannot,
	// at any place.
	Blobs, Lost int
}

// RepairOptions are common to all repairs.
type RepairOptions struct {
	// CrashPoint is called between any two steps that change something. Nil
	// in production.
	CrashPoint func()
}

func (o *RepairOptions) crash() {
	if o.CrashPoint != nil {
		o.CrashPoint()
	}
}

// errPlanOld: the repository is not what it was when the repair was planned.
var errPlanOld = errors.New("the repository has changed since the repair was planned: nothing more was touched, run it again")

// indexRewrite replaces the index files that name certain packs.
type indexRewrite struct {
	without map[ID]bool // packs that the new files do not name
	rewrite []ID        // files to replace
	discard []ID        // files to remove only
	steps   []RepairStep
}

// step adds a step for an index file.
func (x *indexRewrite) step(do RepairAction, id ID, cause string) {
	x.steps = append(x.steps, RepairStep{Do: do, File: id, Cause: cause})
	if do == RepairDiscard {
		x.discard = append(x.discard, id)
	} else {
		x.rewrite = append(x.rewrite, id)
	}
}

// planRewrite finds the index files that name one of the packs, and with
// discard those that cannot be used. It reads what is stored, never the cache.
func (r *Repository) planRewrite(ctx context.Context, without map[ID]bool, discard bool) (*indexRewrite, error) {
	x := &indexRewrite{without: without}
	var files []storage.Info
	err := r.store.List(ctx, storage.IndexFile, func(i storage.Info) error {
		files = append(files, i)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list indexes: %w", err)
	}
	replaces := make(map[ID][]ID)
	naming := make(map[ID]int)
	for _, i := range files {
		id, err := ParseID(i.Name)
		if err != nil {
			continue
		}
		p, err := r.parseStored(ctx, id, i.Size)
		switch {
		case err == nil:
		case ctx.Err() != nil || !isDamage(err):
			return nil, err
		case discard:
			x.step(RepairDiscard, id, err.Error())
			continue
		default:
			continue
		}
		replaces[id] = p.supersedes
		for i := range p.packs {
			if without[p.packs[i].id] {
				naming[id]++
			}
		}
	}
	old := superseded(replaces)
	for id := range replaces {
		switch {
		case old[id] && discard:
			x.step(RepairDiscard, id, "another index file replaces it")
		case old[id]:
		case naming[id] > 0:
			x.step(RepairRewrite, id, fmt.Sprintf("it names %d of those packs", naming[id]))
		}
	}
	return x, nil
}

// parseStored reads an index file from the storage, again where it comes
// damaged.
func (r *Repository) parseStored(ctx context.Context, id ID, size int64) (*parsedIndex, error) {
	h := storage.Handle{Kind: storage.IndexFile, Name: id.String()}
	var p parsedIndex
	var err error
	for range 2 {
		var file, doc []byte
		if file, err = readSized(ctx, r.store, h, size, maxIndexFile); err != nil {
			return nil, packError(err)
		}
		if doc, err = openUnpacked(r.sealer, id, file); err == nil {
			err = p.parse(doc)
		}
		if err == nil {
			return &p, nil
		}
	}
	return nil, fmt.Errorf("%s: %w", h, err)
}

// saveRewritten stores what replaces index files. Those stay.
func (d *Deleter) saveRewritten(ctx context.Context, w storage.Writer, x *indexRewrite, opt *RepairOptions) error {
	for _, id := range x.rewrite {
		info, err := d.r.store.Stat(ctx, storage.Handle{Kind: storage.IndexFile, Name: id.String()})
		if err != nil {
			return fmt.Errorf("%w: %w", errPlanOld, err)
		}
		p, err := d.r.parseStored(ctx, id, info.Size)
		if err != nil {
			return fmt.Errorf("%w: %w", errPlanOld, err)
		}
		p.packs = slices.DeleteFunc(p.packs, func(p indexedPack) bool { return x.without[p.id] })
		if err := d.saveIndexFile(ctx, w, p.supersedes, p.packs); err != nil {
			return err
		}
		opt.crash()
	}
	return nil
}

// saveIndexFile stores an index of packs, unless it would say nothing.
func (d *Deleter) saveIndexFile(ctx context.Context, w storage.Writer, supersedes []ID, packs []indexedPack) error {
	if len(packs)+len(supersedes) == 0 {
		return nil
	}
	doc := appendIndexFile(nil, packs)
	if len(supersedes) > 0 {
		list, err := json.Marshal(supersedes)
		if err != nil {
			return fmt.Errorf("encode index: %w", err)
		}
		doc = slices.Concat([]byte(`{"supersedes":`), list, []byte{','}, doc[1:])
	}
	if _, err := d.r.saveUnpacked(ctx, w, storage.IndexFile, doc); err != nil {
		return fmt.Errorf("store index: %w", err)
	}
	return nil
}

// removeRewritten removes the index files that were replaced.
func (d *Deleter) removeRewritten(ctx context.Context, x *indexRewrite, opt *RepairOptions) error {
	for _, id := range slices.Concat(x.discard, x.rewrite) {
		if err := d.repairRemove(ctx, storage.Handle{Kind: storage.IndexFile, Name: id.String()}); err != nil {
			return err
		}
		opt.crash()
	}
	return nil
}

// repairRemove removes a file that something else stands in for, or that is of
// no use.
func (d *Deleter) repairRemove(ctx context.Context, h storage.Handle) error {
	if err := d.mayDelete(); err != nil {
		return err
	}
	if err := d.rm.Remove(ctx, h); err != nil {
		return fmt.Errorf("remove %s: %w", h, err)
	}
	d.r.cache.drop(h)
	return nil
}

// underLock ends a context when the lock is lost.
func (d *Deleter) underLock(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	lock := d.lock.Context()
	stop := context.AfterFunc(lock, func() { cancel(context.Cause(lock)) })
	return ctx, func() {
		stop()
		cancel(context.Canceled)
	}
}

// dropIndex forgets the index in memory, which no longer is what is stored.
func (d *Deleter) dropIndex() {
	d.r.mu.Lock()
	defer d.r.mu.Unlock()
	d.r.forgetIndex()
}
