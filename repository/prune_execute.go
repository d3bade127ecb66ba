package repository

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/ripplebak/ripplebak/storage"
)

// crashPrune is the name of the crash point.
const crashPrune = "mid-prune"

// removals is how many files are removed at a time.
const removals = 8

// PruneResult is what a prune did.
type PruneResult struct {
	PacksNew     int   // packs written
	PacksRemoved int   // packs removed
	BytesStored  int64 // size of the new packs
	BytesRemoved int64 // size of the packs that were removed
	// Files that the storage keeps locked against removal (Object Lock), for
	// now: they stay, harmless, and the next prune tries again.
	PacksLocked   int
	BytesLocked   int64
	IndexesLocked int
}

// Prune carries a plan out, which must be of this repository as it is now. w
// must be the storage that the Repository reads.
//
// The order makes it safe to be killed anywhere: needed blobs are copied to new
// packs, each authenticated and compared with its ID before; index files for
// those packs are stored, then new ones for the packs that stay; only then old
// index files are removed, and after all of them the packs that none names any
// more. What a killed prune leaves is a blob or a pack too many, which the next
// one removes; what it has copied counts.
//
// ErrPruneStopped says that Stop was closed. A blob that turns out to be damaged ends it with ErrPruneRefused, before
// anything is removed. After Prune, whatever it returns, the index has to be
// loaded again.
func (d *Deleter) Prune(ctx context.Context, w storage.Writer, p *PrunePlan, opt PruneOptions) (PruneResult, error) {
	if err := d.mayDelete(); err != nil {
		return PruneResult{}, err
	}
	if len(p.Steps) == 0 {
		return PruneResult{}, nil
	}
	if f := p.work.facts; d.r.index.count != f.entries || d.r.index.packCount() != p.work.untilNow {
		return PruneResult{}, errPlanStale
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(context.Canceled)
	lock := d.lock.Context()
	defer context.AfterFunc(lock, func() { cancel(context.Cause(lock)) })()
	x := &pruning{d: d, w: w, work: p.work, opt: opt}
	x.progress.TotalRepack, _ = p.Repacked()
	x.progress.TotalToRemove = len(p.work.remove)
	err := x.run(ctx)
	d.r.mu.Lock()
	defer d.r.mu.Unlock()
	d.r.forgetIndex()
	return x.result, err
}

// pruning is a plan that is being carried out.
type pruning struct {
	d    *Deleter
	w    storage.Writer
	work *pruneWork
	opt  PruneOptions

	mu       sync.Mutex
	progress PruneProgress
	result   PruneResult
	held     map[ID]bool // packs that an index names which is still there
}

func (x *pruning) run(ctx context.Context) error {
	for _, step := range []func(context.Context) error{x.repack, x.storeIndexes, x.removeIndexes} {
		if err := step(ctx); err != nil {
			return err
		}
		x.crashPoint()
	}
	return x.removePacks(ctx)
}

// stopped says whether a channel is closed; nil never is.
func stopped(stop <-chan struct{}) bool {
	select {
	case <-stop:
		return true
	default:
		return false
	}
}

func (x *pruning) crashPoint() {
	if x.opt.CrashPoint != nil {
		x.opt.CrashPoint(crashPrune)
	}
}

func (x *pruning) tell(step func(*PruneProgress)) {
	x.mu.Lock()
	defer x.mu.Unlock()
	step(&x.progress)
	if x.opt.Progress != nil {
		x.opt.Progress(x.progress)
	}
}

// storeIndexes names the packs that stay, and were named by index files that
// go, in new ones.
func (x *pruning) storeIndexes(ctx context.Context) error {
	r := x.d.r
	blobsOf := r.index.byPack(x.work.untilNow)
	var list []indexedPack
	blobs := 0
	save := func() error {
		if len(list) == 0 {
			return nil
		}
		doc := appendIndexFile(nil, list)
		list, blobs = list[:0], 0
		if _, err := r.saveUnpacked(ctx, x.w, storage.IndexFile, doc); err != nil {
			return fmt.Errorf("store index: %w", err)
		}
		return nil
	}
	for _, n := range x.work.reindex {
		pack := indexedPack{id: r.index.packID(n), blobs: blobsOf(int(n))}
		if len(pack.blobs)+blobs > indexBlobs {
			if err := save(); err != nil {
				return err
			}
		}
		list = append(list, pack)
		blobs += len(pack.blobs)
	}
	return save()
}

// removeIndexes removes all old index files, or fails: as long as one is there,
// the packs that it names must be too. One that is locked holds its packs.
func (x *pruning) removeIndexes(ctx context.Context) error {
	x.held = make(map[ID]bool)
	return x.removeAll(ctx, len(x.work.indexes), func(ctx context.Context, i int) error {
		old := &x.work.indexes[i]
		err := x.remove(ctx, storage.Handle{Kind: storage.IndexFile, Name: old.id.String()})
		if !errors.Is(err, storage.ErrRetained) {
			return err
		}
		x.mu.Lock()
		defer x.mu.Unlock()
		x.result.IndexesLocked++
		for _, n := range old.packs {
			x.held[x.work.facts.packs[n].id] = true
		}
		return nil
	})
}

// removePacks removes what no index names any more.
func (x *pruning) removePacks(ctx context.Context) error {
	return x.removeAll(ctx, len(x.work.remove), func(ctx context.Context, i int) error {
		p := &x.work.remove[i]
		h := storage.Handle{Kind: storage.PackFile, Name: p.id.String()}
		err := storage.ErrRetained
		if !x.held[p.id] { // nothing is added any more
			err = x.remove(ctx, h)
		}
		if errors.Is(err, storage.ErrRetained) {
			x.mu.Lock()
			defer x.mu.Unlock()
			x.result.PacksLocked++
			x.result.BytesLocked += p.size
			return nil
		}
		if err != nil {
			return err
		}
		x.d.r.cache.drop(h)
		x.tell(func(g *PruneProgress) {
			g.Removed++
			x.result.PacksRemoved++
			x.result.BytesRemoved += p.size
		})
		x.crashPoint()
		return nil
	})
}

// removeAll removes n files, several at a time. The first failure ends it.
func (x *pruning) removeAll(ctx context.Context, n int, do func(ctx context.Context, i int) error) error {
	g, ctx := errgroup.WithContext(ctx)
	workers := min(removals, n)
	for w := range workers {
		g.Go(func() error {
			for i := w; i < n; i += workers {
				if err := ctx.Err(); err != nil {
					return context.Cause(ctx)
				}
				if stopped(x.opt.Stop) {
					return ErrPruneStopped
				}
				if err := do(ctx, i); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return g.Wait()
}

func (x *pruning) remove(ctx context.Context, h storage.Handle) error {
	if err := x.d.mayDelete(); err != nil {
		return err
	}
	if err := x.d.rm.Remove(ctx, h); err != nil {
		return fmt.Errorf("remove %s: %w", h, err)
	}
	return nil
}

// repack copies what is needed of the packs that are repacked, and proves that
// the index has all of it in new packs.
func (x *pruning) repack(ctx context.Context) (err error) {
	if len(x.work.repack) == 0 && len(x.work.facts.twice) == 0 {
		return nil
	}
	r := x.d.r
	w, err := r.NewWriter(ctx, x.w, WriterOptions{Workers: 1})
	if err != nil {
		return err
	}
	defer func() {
		if cerr := w.Close(context.WithoutCancel(ctx)); err == nil {
			err = cerr
		}
	}()
	c := &copier{r: r, w: w, work: x.work, stop: x.opt.Stop, done: func(size int64) {
		x.tell(func(g *PruneProgress) { g.Repacked += size })
	}}
	err = c.copyAll(ctx)
	if err != nil && !errors.Is(err, ErrPruneStopped) {
		return err
	}
	// Also where it was stopped: what is in an index need not be copied again.
	if ferr := w.Flush(ctx); ferr != nil {
		return errors.Join(err, ferr)
	}
	stats := w.Stats()
	x.result.PacksNew, x.result.BytesStored = int(stats.Packs), int64(stats.BytesStored)
	if err != nil {
		return err
	}
	return c.proveAll()
}

var errNotCopied = errors.New("a blob was not copied: nothing was removed; this is a bug")
