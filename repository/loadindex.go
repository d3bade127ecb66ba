package repository

import (
	"context"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/ripplebak/ripplebak/storage"
)

// indexLoaders is how many index files are under way at once: two are decoded
// while others come in.
const indexLoaders = 4

// LoadIndex reads the index files that were not read yet. Read the list of
// snapshots before: of a snapshot that is listed, the index is complete.
func (r *Repository) LoadIndex(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	var files []storage.Info
	listed := make(map[ID]bool)
	err := r.store.List(ctx, storage.IndexFile, func(i storage.Info) error {
		id, err := ParseID(i.Name)
		if err != nil {
			return nil
		}
		listed[id] = true
		if !r.loaded[id] {
			files = append(files, i)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("list indexes: %w", err)
	}
	if err := r.loadIndexes(ctx, files); err != nil {
		return fmt.Errorf("load index: %w", err)
	}
	r.cache.retain(storage.IndexFile, func(id ID) bool { return listed[id] })
	r.cache.retain(storage.PackFile, r.index.hasPack)
	return nil
}

// loadIndexes takes files in. Where one replaces another that is still there,
// which happens after a prune was killed, the index is built anew without the
// replaced ones.
func (r *Repository) loadIndexes(ctx context.Context, files []storage.Info) error {
	replaced := make(map[ID]bool)
	for {
		replaces, err := r.mergeIndexes(ctx, files, replaced)
		if err != nil {
			return err
		}
		again := false
		for old := range superseded(replaces) {
			if r.loaded[old] && !replaced[old] {
				replaced[old], again = true, true
			}
		}
		if !again {
			return nil
		}
		for id := range r.loaded {
			if !slices.ContainsFunc(files, func(i storage.Info) bool { return i.Name == id.String() }) {
				files = append(files, storage.Info{Name: id.String()})
			}
		}
		r.index.reset()
		r.loaded = make(map[ID]bool)
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

// mergeIndexes loads files into the index, but for those replaced, and returns
// what each says it replaces.
func (r *Repository) mergeIndexes(ctx context.Context, files []storage.Info, skip map[ID]bool) (map[ID][]ID, error) {
	g, ctx := errgroup.WithContext(ctx)
	todo := make(chan storage.Info)
	type result struct {
		id       ID
		replaces []ID
	}
	results := make(chan result, len(files))
	g.Go(func() error {
		defer close(todo)
		for _, f := range files {
			select {
			case todo <- f:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	})
	for range min(indexLoaders, len(files)) {
		g.Go(func() error {
			var p parsedIndex
			for f := range todo {
				id, err := ParseID(f.Name)
				if err != nil {
					return err
				}
				doc, err := r.loadUnpacked(ctx, storage.IndexFile, id, f.Size, maxIndexFile)
				if err != nil {
					return err
				}
				if err := p.parse(doc); err != nil {
					return fmt.Errorf("index %s: %w", id.Short(), err)
				}
				results <- result{id, slices.Clone(p.supersedes)}
				if !skip[id] {
					r.index.add(p.packs)
				}
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	close(results)
	replaces := make(map[ID][]ID)
	for res := range results {
		replaces[res.id] = res.replaces
		r.loaded[res.id] = true
	}
	return replaces, nil
}

// BlobSize returns the plain size of a blob, false where no index names it.
func (r *Repository) BlobSize(h BlobHandle) (uint64, bool) {
	size, ok := r.index.size(h)
	return uint64(size), ok
}
