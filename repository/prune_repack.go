package repository

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/ripplebak/ripplebak/storage"
)

// copier copies needed blobs from packs that go to new ones: as they are
// compressed, sealed anew. Of a blob with several places, of which one only
// will be left, it reads that one: who knows whether another was the good one.
type copier struct {
	r    *Repository
	w    *Writer
	work *pruneWork
	stop <-chan struct{}  // ends it between two packs
	done func(size int64) // told of each pack that is copied

	copied map[uint32][]uint32 // entries to copy, by pack
	proved map[uint32][]uint32 // entries that stay where they are, by pack
}

// sortBlobs finds what is to be read of which pack.
func (c *copier) sortBlobs() (packs []uint32) {
	c.copied = make(map[uint32][]uint32, len(c.work.repack))
	c.proved = make(map[uint32][]uint32)
	for _, n := range c.work.repack {
		c.copied[n] = nil
	}
	packs = slices.Clone(c.work.repack)
	x, f := c.r.index, c.work.facts
	for i := range uint32(f.entries) {
		pack := x.entry(i).pack
		if list, ok := c.copied[pack]; ok && f.kept.has(i) {
			c.copied[pack] = append(list, i)
		}
	}
	for _, i := range f.twice {
		pack := x.entry(i).pack
		if _, ok := c.copied[pack]; ok {
			continue // it is proved as it is copied
		}
		if _, ok := c.proved[pack]; !ok {
			packs = append(packs, pack)
		}
		c.proved[pack] = append(c.proved[pack], i)
	}
	return packs
}

// copyAll reads all that is to be copied or proved, several packs at a time.
func (c *copier) copyAll(ctx context.Context) error {
	packs := c.sortBlobs()
	g, ctx := errgroup.WithContext(ctx)
	workers := min(c.r.opt.Workers+1, len(packs))
	for w := range workers {
		g.Go(func() error {
			l := &rangeLoader{r: c.r, in: bufio.NewReaderSize(nil, rangeBuffer), sealed: c.r.buffers.get(pageBuffer), plain: c.r.buffers.get(pageBuffer)}
			defer func() {
				c.r.buffers.put(l.sealed)
				c.r.buffers.put(l.plain)
			}()
			for i := w; i < len(packs); i += workers {
				if stopped(c.stop) {
					return ErrPruneStopped
				}
				if err := c.copyPack(ctx, l, packs[i]); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return g.Wait()
}

// copyPack copies or proves what is needed of one pack.
func (c *copier) copyPack(ctx context.Context, l *rangeLoader, pack uint32) error {
	x := c.r.index
	id := x.packID(pack)
	list, goes := c.copied[pack]
	do := c.copyBlob
	if !goes {
		list, do = c.proved[pack], c.proveBlob
	}
	blobs := make([]packedBlob, 0, len(list))
	x.mu.RLock()
	for _, i := range list {
		blobs = append(blobs, x.entry(i).packed())
	}
	x.mu.RUnlock()
	for _, rg := range appendRanges(nil, id, blobs) {
		if err := c.readRange(ctx, l, &rg, do); err != nil {
			return err
		}
	}
	if goes {
		c.done(c.work.facts.packs[pack].stored)
	}
	return nil
}

// takeBlob is given a blob as it is sealed in a pack; nil where the pack ends
// before.
type takeBlob func(ctx context.Context, l *rangeLoader, pack ID, b *packedBlob, sealed []byte) error

func (c *copier) readRange(ctx context.Context, l *rangeLoader, rg *blobRange, do takeBlob) (err error) {
	h := storage.Handle{Kind: storage.PackFile, Name: rg.pack.String()}
	rc, err := c.r.store.Load(ctx, h, int64(rg.offset), int64(rg.end-rg.offset))
	if err != nil && !isMissing(err) {
		return fmt.Errorf("load %s: %w", h, err)
	}
	cut := err // why nothing more comes
	if err == nil {
		defer func() { err = closeRange(rc, h, err) }()
		l.in.Reset(rc)
	}
	at := rg.offset
	for i := range rg.blobs {
		b := &rg.blobs[i]
		var sealed []byte
		if cut == nil {
			if sealed, cut = l.read(at, b); cut == nil {
				at = max(at, b.offset+b.length)
			} else if !isMissing(cut) {
				return fmt.Errorf("load %s: %w", h, cut)
			}
		}
		if cut != nil {
			sealed = nil
		}
		if err := do(ctx, l, rg.pack, b, sealed); err != nil {
			return err
		}
	}
	return nil
}

func closeRange(rc io.Closer, h storage.Handle, err error) error {
	if cerr := rc.Close(); cerr != nil && err == nil {
		return fmt.Errorf("close %s: %w", h, cerr)
	}
	return err
}

// copyBlob authenticates a blob, compares it with its ID, and puts it into a
// new pack. Where it is damaged or missing in its pack another place will do.
func (c *copier) copyBlob(ctx context.Context, l *rangeLoader, pack ID, b *packedBlob, sealed []byte) error {
	why := packError(storage.ErrTruncated)
	if sealed != nil {
		if why = c.put(l, b, sealed); why == nil || !isDamage(why) {
			return why
		}
	}
	for _, other := range c.r.index.places(b.BlobHandle) {
		if other.pack == pack && other.offset == b.offset {
			continue
		}
		l.sealed = c.r.buffers.roomy(l.sealed, int(other.length))
		h := storage.Handle{Kind: storage.PackFile, Name: other.pack.String()}
		sealed, err := readRange(ctx, c.r.store, h, int64(other.offset), l.sealed.data[:other.length])
		if err == nil {
			err = c.put(l, &other.packedBlob, sealed)
		}
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil || !isDamage(packError(err)):
			return fmt.Errorf("load %s: %w", h, err)
		}
	}
	return refuse(fmt.Errorf("%s is needed, and is damaged in its pack %s: %w", b.BlobHandle, pack, why))
}

// proveBlob demands that a blob can be read from the place that will be its
// only one.
func (c *copier) proveBlob(_ context.Context, l *rangeLoader, pack ID, b *packedBlob, sealed []byte) error {
	err := packError(storage.ErrTruncated)
	if sealed != nil {
		l.plain = c.r.buffers.roomy(l.plain, int(b.size()))
		_, err = c.r.openBlob(b, sealed, l.plain.data)
	}
	if err != nil && isDamage(err) {
		return refuse(fmt.Errorf("%s has several places, and is damaged in pack %s: %w", b.BlobHandle, pack, err))
	}
	return err
}

// put opens a sealed blob, which proves it, and seals it into a new pack. The
// body is what was sealed, compressed or not: openBlob decrypts in place.
func (c *copier) put(l *rangeLoader, b *packedBlob, sealed []byte) error {
	l.plain = c.r.buffers.roomy(l.plain, int(b.size()))
	if _, err := c.r.openBlob(b, sealed, l.plain.data); err != nil {
		return err
	}
	body := sealed[nonceSize : len(sealed)-macSize]
	return c.w.packers[b.Type].put(packedBlob{BlobHandle: b.BlobHandle, length: b.length, plain: b.plain}, body)
}

// proveAll demands that the index has each blob in a pack that is new, before
// its old pack may go.
func (c *copier) proveAll() error {
	x := c.r.index
	x.mu.RLock()
	defer x.mu.RUnlock()
	for _, list := range c.copied {
		for _, i := range list {
			found := false
			x.find(x.entry(i).packed().BlobHandle, func(e *indexEntry) bool {
				found = int(e.pack) >= c.work.untilNow
				return !found
			})
			if !found {
				return fmt.Errorf("%s: %w", x.entry(i).packed().BlobHandle, errNotCopied)
			}
		}
	}
	return nil
}
