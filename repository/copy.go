package repository

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/ripplebak/ripplebak/storage"
)

// ErrCopyStopped: a copy was asked to end before it was done. What it stored is
// in an index, and the next copy goes on from there.
var ErrCopyStopped = errors.New("the copy was stopped before its end")

// CopyOptions tunes a SnapshotCopier. The zero value is right.
type CopyOptions struct {
	Writer WriterOptions
	// Stop ends a copy early when it is closed. Nil: never.
	Stop <-chan struct{}
	// Progress is told how many bytes of a snapshot's new blobs are copied, of
	// how many. It is called from several goroutines. Nil: nobody.
	Progress func(done, total uint64)
}

// CopyStats counts what a SnapshotCopier did. Sizes are in bytes.
type CopyStats struct {
	Blobs       uint64 // copied
	Bytes       uint64 // their plain size
	BytesStored uint64 // size of the stored packs and index files
}

// SnapshotCopier copies snapshots of one repository into another. Each blob is
// authenticated, decompressed and compared with its ID, then sealed anew with
// the other's key; nothing is cut anew, so that both keep the same blobs. Blobs
// that are there are not copied again, whoever stored them: so a copy that was
// killed goes on where the last index file of it ends.
//
// Both repositories must be locked, and their indexes loaded. What it needs of
// memory besides the two indexes is a bit for each blob, and four bytes for
// each that is copied.
type SnapshotCopier struct {
	from, to *Repository
	w        *Writer
	opt      CopyOptions
	// seen marks the source's trees of which everything is in the other, or is
	// about to be.
	seen  bitset
	stats CopyStats
}

// NewSnapshotCopier starts a pipeline that stores into w, which must be the
// storage of the repository to. The caller closes the SnapshotCopier.
func NewSnapshotCopier(ctx context.Context, from, to *Repository, w storage.Writer, opt CopyOptions) (*SnapshotCopier, error) {
	wr, err := to.NewWriter(ctx, w, opt.Writer)
	if err != nil {
		return nil, err
	}
	return &SnapshotCopier{from: from, to: to, w: wr, opt: opt, seen: newBitset(from.index.count)}, nil
}

// Close ends the pipeline and waits for it.
func (c *SnapshotCopier) Close(ctx context.Context) error { return c.w.Close(ctx) }

// Stats returns the counts so far.
func (c *SnapshotCopier) Stats() CopyStats {
	s := c.stats
	s.BytesStored = c.w.Stats().BytesStored
	return s
}

// Copy copies one snapshot, and returns the ID of the copy. It has no parent,
// and names as its original the first of which it is a copy, as stock restic
// does it; nothing else differs. base, where not nil, is a tree of the source
// of which the other has everything: what both have in common is not looked at.
//
// Where it fails with ErrDamaged or ErrNoBlob the fault is in the source, and
// other snapshots can still be copied. ErrCopyStopped says that Stop was closed.
func (c *SnapshotCopier) Copy(ctx context.Context, s *StoredSnapshot, base *ID) (ID, error) {
	id, err := c.copy(ctx, s, base)
	if err != nil {
		clear(c.seen) // of what was seen, not all came over
	}
	return id, err
}

func (c *SnapshotCopier) copy(ctx context.Context, s *StoredSnapshot, base *ID) (ID, error) {
	missing, bytes, err := c.findMissing(ctx, *s.Tree, base)
	if err != nil {
		return ID{}, fmt.Errorf("read snapshot %s: %w", s.ID.Short(), err)
	}
	if err := c.copyBlobs(ctx, missing, bytes); err != nil {
		if errors.Is(err, ErrCopyStopped) {
			err = errors.Join(err, c.w.Flush(ctx))
		}
		return ID{}, err
	}
	out := s.Snapshot
	out.Parent = nil // a snapshot of the source
	if out.Original == nil {
		out.Original = &s.ID
	}
	return c.w.SaveSnapshot(ctx, &out)
}

// copyBlobs copies entries of the source's index, which are in the order of
// packs: each pack is read once, in few requests.
func (c *SnapshotCopier) copyBlobs(ctx context.Context, entries []uint32, total uint64) error {
	if c.stopped() {
		return ErrCopyStopped
	}
	var done, blobs atomic.Uint64
	g, gctx := errgroup.WithContext(ctx)
	todo := make(chan blobRange)
	g.Go(func() error {
		defer close(todo)
		return c.feed(gctx, entries, todo)
	})
	for range c.from.opt.Workers + 1 {
		g.Go(func() error {
			return c.from.loadRanges(gctx, todo, func(h BlobHandle, data []byte) error {
				if err := c.w.saveBlob(h, data); err != nil {
					return err
				}
				blobs.Add(1)
				n := done.Add(uint64(len(data)))
				if c.opt.Progress != nil {
					c.opt.Progress(n, total)
				}
				return nil
			})
		})
	}
	err := g.Wait()
	c.stats.Blobs += blobs.Load()
	c.stats.Bytes += done.Load()
	return err
}

// feed hands out the ranges of one pack after the other.
func (c *SnapshotCopier) feed(ctx context.Context, entries []uint32, todo chan<- blobRange) error {
	x := c.from.index
	for len(entries) > 0 {
		var blobs []packedBlob
		x.mu.RLock()
		pack := x.entry(entries[0]).pack
		for len(entries) > 0 && x.entry(entries[0]).pack == pack {
			blobs = append(blobs, x.entry(entries[0]).packed())
			entries = entries[1:]
		}
		x.mu.RUnlock()
		for _, rg := range appendRanges(nil, x.packID(pack), blobs) {
			if c.stopped() {
				return ErrCopyStopped
			}
			select {
			case todo <- rg:
			case <-c.opt.Stop:
				return ErrCopyStopped
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
	}
	return nil
}

func (c *SnapshotCopier) stopped() bool {
	select {
	case <-c.opt.Stop:
		return true
	default:
		return false
	}
}

// saveBlob queues a blob of another repository, whose content was compared with
// its ID. data is not kept.
func (w *Writer) saveBlob(h BlobHandle, data []byte) error {
	if err := w.failed(); err != nil {
		return err
	}
	if !w.claim(h) {
		w.stats.blobsKnown.Add(1)
		return nil
	}
	buf := w.r.buffers.get(len(data))
	buf.data = append(buf.data, data...)
	return w.submit(job{buf: buf, end: len(data), handle: h, claimed: true})
}
