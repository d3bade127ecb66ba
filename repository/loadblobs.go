package repository

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"

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
	for range min(r.opt.Workers+1, len(ranges)) {
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
	l := rangeLoader{r: r, fn: fn, in: bufio.NewReaderSize(nil, rangeBuffer), sealed: r.buffers.get(pageBuffer), plain: r.buffers.get(pageBuffer)}
	defer func() {
		r.buffers.put(l.sealed)
		r.buffers.put(l.plain)
	}()
	for rg := range todo {
		if err := l.load(ctx, &rg); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// rangeBuffer is what is read ahead of the blobs of a range, in bytes.
const rangeBuffer = 128 << 10

// rangeLoader takes ranges apart as they come: it holds one blob at a time,
// however long a range is. A transfer that breaks is taken up again by the
// storage.
type rangeLoader struct {
	r             *Repository
	fn            func(BlobHandle, []byte) error
	in            *bufio.Reader
	sealed, plain *buffer
}

// load hands out the blobs of one range. What the pack lacks, or has damaged,
// may still have another place.
func (l *rangeLoader) load(ctx context.Context, rg *blobRange) (err error) {
	h := storage.Handle{Kind: storage.PackFile, Name: rg.pack.String()}
	rc, err := l.r.store.Load(ctx, h, int64(rg.offset), int64(rg.end-rg.offset))
	missing := err != nil
	if err == nil {
		defer func() {
			if cerr := rc.Close(); cerr != nil && err == nil {
				err = fmt.Errorf("close %s: %w", h, cerr)
			}
		}()
		l.in.Reset(rc)
	}
	at := rg.offset // in the pack, where the transfer is
	for i := range rg.blobs {
		b := &rg.blobs[i]
		var sealed []byte
		if !missing {
			if sealed, err = l.read(at, b); err == nil {
				at = max(at, b.offset+b.length)
			}
			missing = err != nil
		}
		if err != nil && (ctx.Err() != nil || !isMissing(err)) {
			return fmt.Errorf("load %s: %w", h, err)
		}
		if err = l.open(ctx, b, sealed); err != nil {
			return err
		}
	}
	return nil
}

// read reads a blob from the transfer, which is at at; nil for one that begins
// before that, as no pack has it that we know of.
func (l *rangeLoader) read(at uint32, b *packedBlob) ([]byte, error) {
	if b.offset < at {
		return nil, nil
	}
	if _, err := l.in.Discard(int(b.offset - at)); err != nil {
		return nil, err
	}
	l.sealed = l.r.buffers.roomy(l.sealed, int(b.length))
	sealed := l.sealed.data[:b.length]
	_, err := io.ReadFull(l.in, sealed)
	return sealed, err
}

// open hands out one blob, sealed or, where that is nil or damaged, from any
// other place.
func (l *rangeLoader) open(ctx context.Context, b *packedBlob, sealed []byte) (err error) {
	l.plain = l.r.buffers.roomy(l.plain, int(b.size()))
	var plain []byte
	if sealed != nil {
		plain, err = l.r.openBlob(b, sealed, l.plain.data)
	}
	if sealed == nil || err != nil {
		if plain, err = l.r.LoadBlob(ctx, b.BlobHandle, l.plain.data); err != nil {
			return err
		}
	}
	return l.fn(b.BlobHandle, plain)
}
