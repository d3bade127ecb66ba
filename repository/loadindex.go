package repository

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/ripplebak/ripplebak/storage"
)

// indexLoaders is how many index files are under way at once: two are decoded
// while others come in.
const indexLoaders = 4

// LoadIndex brings the index up to date with the storage: files that are new
// are read; where one is gone, as after a prune, everything is read anew, so
// that nothing is taken for stored that is not. Call it after the lock was
// taken, and after the list of snapshots was read: of a snapshot that is
// listed, the index is complete.
//
// An index file that is damaged does not keep the others from being loaded;
// the error then wraps ErrDamaged, once for each. Who restores may go on with
// what there is; who writes may too, and stores again what is not known.
func (r *Repository) LoadIndex(ctx context.Context) error { return r.loadIndexNoting(ctx, nil) }

// noteIndex is told of each index file that is loaded, from several goroutines
// at a time. It must not keep what p points to.
type noteIndex func(id ID, p *parsedIndex)

// loadIndexNoting is LoadIndex, and with a note everything is read anew.
func (r *Repository) loadIndexNoting(ctx context.Context, note noteIndex) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if note != nil {
		r.forgetIndex()
	}
	listed := make(map[ID]int64)
	err := r.store.List(ctx, storage.IndexFile, func(i storage.Info) error {
		if id, err := ParseID(i.Name); err == nil {
			listed[id] = i.Size
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("list indexes: %w", err)
	}
	for id := range r.loaded {
		if _, ok := listed[id]; !ok {
			r.forgetIndex()
			break
		}
	}
	err = r.loadIndexes(ctx, listed, note)
	if err != nil {
		err = fmt.Errorf("load index: %w", err)
	}
	r.cache.retain(storage.IndexFile, func(id ID) bool { _, ok := listed[id]; return ok })
	r.cache.retain(storage.PackFile, r.index.hasPack)
	return err
}

func (r *Repository) forgetIndex() {
	r.index.reset()
	r.loaded = make(map[ID]bool)
}

// loadIndexes takes in the files that are not loaded yet. Where one replaces
// another that is still there, which happens after a prune was killed, the
// index is built anew without those replaced.
func (r *Repository) loadIndexes(ctx context.Context, listed map[ID]int64, note noteIndex) error {
	replaced := make(map[ID]bool)
	for {
		replaces, err := r.mergeIndexes(ctx, listed, replaced, note)
		again := false
		for old := range superseded(replaces) {
			if r.loaded[old] && !replaced[old] {
				replaced[old], again = true, true
			}
		}
		if !again || ctx.Err() != nil {
			return err
		}
		r.forgetIndex()
	}
}

// superseded returns the indexes that others replace. Two that claim to
// replace each other are both kept.
func superseded(replaces map[ID][]ID) map[ID]bool {
	out := make(map[ID]bool)
	for by, olds := range replaces {
		for _, old := range olds {
			if old != by && !slices.Contains(replaces[old], by) {
				out[old] = true
			}
		}
	}
	return out
}

// mergeIndexes loads what is not loaded yet into the index, but for those
// replaced, and returns what each says it replaces. Damage is collected.
func (r *Repository) mergeIndexes(ctx context.Context, listed map[ID]int64, skip map[ID]bool, note noteIndex) (map[ID][]ID, error) {
	g, ctx := errgroup.WithContext(ctx)
	todo := make(chan ID)
	g.Go(func() error {
		defer close(todo)
		for id := range listed {
			if r.loaded[id] {
				continue
			}
			select {
			case todo <- id:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		return nil
	})
	var mu sync.Mutex
	var bad []error
	replaces := make(map[ID][]ID)
	for range min(indexLoaders, len(listed)) {
		g.Go(func() error {
			var p parsedIndex
			for id := range todo {
				err := r.mergeIndex(ctx, &p, id, listed[id], skip[id])
				if err == nil && note != nil {
					note(id, &p)
				}
				mu.Lock()
				switch {
				case err == nil:
					replaces[id] = slices.Clone(p.supersedes)
				case errors.Is(err, ErrDamaged):
					bad = append(bad, err)
				}
				mu.Unlock()
				if err != nil && !errors.Is(err, ErrDamaged) {
					return err
				}
			}
			return nil
		})
	}
	err := g.Wait()
	for id := range replaces {
		r.loaded[id] = true
	}
	if err == nil {
		err = errors.Join(bad...)
	}
	return replaces, err
}

// mergeIndex loads one index file.
func (r *Repository) mergeIndex(ctx context.Context, p *parsedIndex, id ID, size int64, skip bool) error {
	doc, err := r.loadUnpacked(ctx, storage.IndexFile, id, size, maxIndexFile)
	if err != nil {
		return err
	}
	if err := p.parse(doc); err != nil {
		return fmt.Errorf("index %s: %w", id.Short(), err)
	}
	if !skip {
		r.index.add(p.packs)
	}
	return nil
}

// BlobSize returns the plain size of a blob, false where no index names it.
func (r *Repository) BlobSize(h BlobHandle) (uint64, bool) {
	size, ok := r.index.size(h)
	return uint64(size), ok
}
