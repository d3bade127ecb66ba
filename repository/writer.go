package repository

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/ripplebak/ripplebak/storage"
)

// WriterOptions tunes a Writer. The zero value is right.
type WriterOptions struct {
	Workers int // goroutines that hash, compress and seal; 0: as the Repository
	Uploads int // packs under way to the storage at a time, 8 MiB each; 0 means 2
	// Level is zstd's for file content. 0 means the fastest, or the default
	// where that makes the data markedly smaller; levels above the default are
	// not taken.
	Level zstd.EncoderLevel
	// CrashPoint is called at the named points after-packs, after-index and
	// after-snapshot. Nil in production.
	CrashPoint func(name string)
}

// Stats counts what a Writer did so far. Sizes are in bytes.
type Stats struct {
	BlobsNew, BlobsKnown uint64 // chunks and trees that were new, and that were there already
	TreesNew             uint64 // of BlobsNew
	BytesRead            uint64 // content taken, holes included
	BytesNew             uint64 // plain size of the new blobs
	BytesStored          uint64 // size of the stored packs and index files
	Packs, Indexes       uint64 // files stored
}

type counters struct {
	blobsNew, blobsKnown, treesNew, bytesRead, bytesNew, bytesStored, packs, indexes atomic.Uint64
}

const (
	defaultUploads = 2
	// Blobs and time after which an index file is due for the packs stored
	// since the last, so that a run that is killed goes on where it was.
	indexBlobs    = 50_000
	indexInterval = 10 * time.Minute
	// queuedBytes is what may wait or be worked on for each worker, by the
	// capacity of the buffers; the least is for two.
	queuedBytes = 3 << 20
	queuedJobs  = 256
)

// Writer adds blobs, trees and snapshots to a repository. It owns its
// goroutines; Close ends them. The first failure anywhere fails everything
// that follows: what was not referenced by a snapshot until then is nothing.
type Writer struct {
	r       *Repository
	store   storage.Writer
	opt     WriterOptions
	chunker *chunker
	ctx     context.Context
	cancel  context.CancelCauseFunc
	workers sync.WaitGroup
	uploads sync.WaitGroup

	jobs    chan job
	queue   *byteBudget
	packers [2]*packer // by blob type
	upload  chan *pack
	stats   counters

	zeroID   ID
	zeroDone atomic.Bool

	mu        sync.Mutex
	changed   *sync.Cond
	pending   map[BlobHandle]pendingBlob
	active    int     // jobs that are not done
	packsLive int     // packs begun and not stored
	unindexed []*pack // stored, in no stored index
	closed    bool

	indexing  sync.Mutex // one index file at a time
	lastIndex time.Time  // guarded by mu
}

// job is a piece of plaintext on its way to a pack.
type job struct {
	buf        *buffer
	start, end int
	content    *Content // told the ID; nil for trees and zeros
	slot       int
	handle     BlobHandle // set where claimed
	claimed    bool       // the ID is known and is ours to store
	shared     bool       // the buffer holds other jobs' pieces too
}

// weight is what the job counts against the queue.
func (j *job) weight() int64 {
	if j.shared {
		return int64(j.end - j.start)
	}
	return int64(cap(j.buf.data))
}

func (j *job) data() []byte { return j.buf.data[j.start:j.end] }

// NewWriter starts a pipeline that stores into w, which must be the storage
// that the Repository reads. The index must be loaded. The Writer fails when
// ctx ends.
func (r *Repository) NewWriter(ctx context.Context, w storage.Writer, opt WriterOptions) (*Writer, error) {
	if opt.Workers <= 0 {
		opt.Workers = r.opt.Workers
	}
	if opt.Uploads <= 0 {
		opt.Uploads = defaultUploads
	}
	opt.Level = min(max(opt.Level, 0), zstd.SpeedDefault)
	poly, err := parsePolynomial(r.config.ChunkerPolynomial)
	if err != nil {
		return nil, err
	}
	c, err := newChunker(poly)
	if err != nil {
		return nil, err
	}
	wr := &Writer{
		r: r, store: w, opt: opt, chunker: c,
		jobs:      make(chan job, queuedJobs),
		queue:     newByteBudget(int64(max(opt.Workers, 2)) * queuedBytes),
		upload:    make(chan *pack, 2*(opt.Uploads+2)),
		pending:   make(map[BlobHandle]pendingBlob),
		zeroID:    sha256.Sum256(make([]byte, zeroRun)),
		lastIndex: r.opt.Now(),
	}
	wr.changed = sync.NewCond(&wr.mu)
	wr.ctx, wr.cancel = context.WithCancelCause(ctx)
	wr.packers = [2]*packer{newPacker(wr, DataBlob, opt.Uploads+1), newPacker(wr, TreeBlob, 2)}
	if err := wr.start(); err != nil {
		wr.cancel(err)
		wr.workers.Wait()
		return nil, err
	}
	return wr, nil
}

func (w *Writer) start() error {
	for range w.opt.Workers {
		p, err := newWorker(w)
		if err != nil {
			return err
		}
		w.workers.Go(p.run)
	}
	for range w.opt.Uploads {
		w.uploads.Go(w.uploader)
	}
	// Whoever waits for a change must see the end of the context too.
	context.AfterFunc(w.ctx, w.wake)
	w.r.mu.Lock()
	defer w.r.mu.Unlock()
	w.r.writers[w] = struct{}{}
	return nil
}

func (w *Writer) wake() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.changed.Broadcast()
	w.queue.wake()
}

// fail ends everything with the first error.
func (w *Writer) fail(err error) { w.cancel(err) }

// failed returns the first error.
func (w *Writer) failed() error {
	if w.ctx.Err() == nil {
		return nil
	}
	return context.Cause(w.ctx)
}

// submit queues a job, waiting while too much is queued.
func (w *Writer) submit(j job) error {
	if err := w.queue.acquire(w.ctx, j.weight()); err != nil {
		w.r.buffers.put(j.buf)
		return w.failed()
	}
	if j.content != nil {
		w.stats.bytesRead.Add(uint64(j.end - j.start))
	}
	w.mu.Lock()
	w.active++
	w.mu.Unlock()
	select {
	case w.jobs <- j:
		return nil
	case <-w.ctx.Done():
		w.r.buffers.put(j.buf)
		return w.failed()
	}
}

// jobDone gives back what a job held.
func (w *Writer) jobDone(j *job) {
	w.queue.release(j.weight())
	w.r.buffers.put(j.buf)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.active--; w.active == 0 {
		w.changed.Broadcast()
	}
}

// SaveTree queues a directory and returns its ID. Names must ascend strictly
// by their bytes (ErrOrder).
func (w *Writer) SaveTree(ctx context.Context, t *Tree) (ID, error) {
	if err := errors.Join(ctx.Err(), w.failed()); err != nil {
		return ID{}, err
	}
	buf := w.r.buffers.get(treeBuffer)
	doc, err := appendTree(buf.data, t)
	buf.data = doc
	if err != nil {
		w.r.buffers.put(buf)
		return ID{}, err
	}
	h := BlobHandle{Type: TreeBlob, ID: sha256.Sum256(doc)}
	if !w.claim(h) {
		w.stats.blobsKnown.Add(1)
		w.r.buffers.put(buf)
		return h.ID, nil
	}
	return h.ID, w.submit(job{buf: buf, end: len(doc), handle: h, claimed: true})
}

// Flush returns when every blob taken so far is in a stored pack that a stored
// index names. Nothing may be written meanwhile.
func (w *Writer) Flush(ctx context.Context) error {
	if err := w.wait(ctx, func() bool { return w.active == 0 }); err != nil {
		return err
	}
	for _, p := range w.packers {
		p.closePack()
	}
	if err := w.wait(ctx, func() bool { return w.packsLive == 0 }); err != nil {
		return err
	}
	w.crashPoint("after-packs")
	if err := w.saveIndex(); err != nil {
		w.fail(err)
		return err
	}
	w.crashPoint("after-index")
	return w.failed()
}

// wait waits until a condition on what mu guards holds.
func (w *Writer) wait(ctx context.Context, until func() bool) error {
	stop := context.AfterFunc(ctx, w.wake)
	defer stop()
	w.mu.Lock()
	defer w.mu.Unlock()
	for {
		switch {
		case w.ctx.Err() != nil:
			return context.Cause(w.ctx)
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case until():
			return nil
		}
		w.changed.Wait()
	}
}

func (w *Writer) crashPoint(name string) {
	if w.opt.CrashPoint != nil {
		w.opt.CrashPoint(name)
	}
}

// SaveSnapshot flushes, makes sure that the snapshot's tree is in the index,
// and stores the snapshot by one PUT: from then on, and not before, the backup
// exists. A zero time becomes now.
func (w *Writer) SaveSnapshot(ctx context.Context, s *Snapshot) (ID, error) {
	if err := w.Flush(ctx); err != nil {
		return ID{}, err
	}
	if s.Tree == nil || !w.r.index.has(BlobHandle{Type: TreeBlob, ID: *s.Tree}) {
		return ID{}, fmt.Errorf("save snapshot: its tree is not in the repository: %w", ErrNoBlob)
	}
	if s.Time.IsZero() {
		s.Time = w.r.opt.Now()
	}
	doc, err := json.Marshal(s)
	if err != nil {
		return ID{}, fmt.Errorf("encode snapshot: %w", err)
	}
	id, err := w.r.saveUnpacked(ctx, w.store, storage.SnapshotFile, doc)
	if err != nil {
		return ID{}, fmt.Errorf("save snapshot: %w", err)
	}
	w.crashPoint("after-snapshot")
	return id, nil
}

// Close ends the goroutines and waits for them. What was not flushed is lost.
// It returns the error that the Writer failed with, if any.
func (w *Writer) Close(_ context.Context) error {
	err := w.failed()
	w.mu.Lock()
	closed := w.closed
	w.closed = true
	w.mu.Unlock()
	if closed {
		return nil
	}
	w.cancel(ErrClosed)
	w.workers.Wait()
	w.uploads.Wait()
	w.r.mu.Lock()
	defer w.r.mu.Unlock()
	delete(w.r.writers, w)
	if len(w.r.writers) == 0 {
		w.r.buffers.drop()
	}
	return err
}

// Stats returns the counts so far.
func (w *Writer) Stats() Stats {
	s := &w.stats
	return Stats{
		BlobsNew: s.blobsNew.Load(), BlobsKnown: s.blobsKnown.Load(), TreesNew: s.treesNew.Load(),
		BytesRead: s.bytesRead.Load(), BytesNew: s.bytesNew.Load(), BytesStored: s.bytesStored.Load(),
		Packs: s.packs.Load(), Indexes: s.indexes.Load(),
	}
}
