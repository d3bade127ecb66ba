package repository

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"

	"github.com/ripplebak/ripplebak/storage"
)

// isMissing says whether a storage has less than the index promises.
func isMissing(err error) bool {
	return errors.Is(err, storage.ErrNotExist) || errors.Is(err, storage.ErrTruncated)
}

// LoadBlobs loads many blobs: packs in the order of their first use, each pack
// in few requests, each blob once however often it is named. fn is called once
// for each blob, from several goroutines at a time; data is valid during the
// call only. The first error, also of fn, ends the load.
func (r *Repository) LoadBlobs(ctx context.Context, handles []BlobHandle, fn func(h BlobHandle, data []byte) error) error {
	ranges, pending := r.planRanges(handles)
	g, ctx := errgroup.WithContext(ctx)
	todo := make(chan blobRange)
	g.Go(func() error {
		defer close(todo)
		for _, rg := range ranges {
			select {
			case todo <- rg:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	})
	for range min(r.opt.Workers+2, len(ranges)) {
		g.Go(func() error { return r.loadRanges(ctx, todo, fn) })
	}
	g.Go(func() error {
		seen := make(map[BlobHandle]bool, len(pending))
		for _, h := range pending {
			if seen[h] {
				continue
			}
			seen[h] = true
			data, err := r.LoadBlob(ctx, h, nil)
			if err != nil {
				return err
			}
			if err := fn(h, data); err != nil {
				return err
			}
		}
		return nil
	})
	return g.Wait()
}

// loadRanges is one of LoadBlobs' workers; it keeps its buffers throughout.
func (r *Repository) loadRanges(ctx context.Context, todo <-chan blobRange, fn func(BlobHandle, []byte) error) error {
	var plain []byte
	raw := r.buffers.get(maxRange)
	defer func() { r.buffers.put(raw) }()
	for rg := range todo {
		size := int(rg.end - rg.offset)
		if cap(raw.data) < size {
			r.buffers.put(raw)
			raw = r.buffers.get(size)
		}
		h := storage.Handle{Kind: storage.PackFile, Name: rg.pack.String()}
		data, err := readRange(ctx, r.store, h, int64(rg.offset), raw.data[:size])
		if err != nil {
			if ctx.Err() != nil || !isMissing(err) {
				return fmt.Errorf("load %s: %w", h, err)
			}
			data = nil // each blob may still have another place
		}
		for i := range rg.blobs {
			if plain, err = r.openFromRange(ctx, &rg, &rg.blobs[i], data, plain); err != nil {
				return err
			}
			if err := fn(rg.blobs[i].BlobHandle, plain); err != nil {
				return err
			}
		}
	}
	return ctx.Err()
}

// openFromRange takes one blob out of a loaded range, or where it is damaged
// there, from any other place.
func (r *Repository) openFromRange(ctx context.Context, rg *blobRange, b *packedBlob, data, buf []byte) ([]byte, error) {
	if data != nil {
		start := b.offset - rg.offset
		plain, err := r.openBlob(b, data[start:start+b.length], buf)
		if err == nil {
			return plain, nil
		}
	}
	return r.LoadBlob(ctx, b.BlobHandle, buf)
}
