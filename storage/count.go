package storage

import (
	"context"
	"io"
	"sync/atomic"
)

// Counts is how often a Store was asked, and how much went each way.
type Counts struct {
	Loads, Stats, Lists, Saves, Creates, Removes int64
	BytesRead, BytesWritten                      int64 // bytes of contents read, and of contents saved
}

// Requests is the number of all calls.
func (c Counts) Requests() int64 {
	return c.Loads + c.Stats + c.Lists + c.Saves + c.Creates + c.Removes
}

// Counter counts what goes through a Store made by [Count].
type Counter struct {
	loads, stats, lists, saves, creates, removes, read, written atomic.Int64
}

// Counts returns the counts so far.
func (c *Counter) Counts() Counts {
	return Counts{
		Loads: c.loads.Load(), Stats: c.stats.Load(), Lists: c.lists.Load(), Saves: c.saves.Load(),
		Creates: c.creates.Load(), Removes: c.removes.Load(), BytesRead: c.read.Load(), BytesWritten: c.written.Load(),
	}
}

// Count returns a Store that counts. Around [Retry] it counts calls, inside of
// it tries.
func Count(s Store) (Store, *Counter) {
	c := &Counter{}
	return New(&counting{Backend: Join(s), c: c}), c
}

type counting struct {
	Backend
	c *Counter
}

func (b *counting) Load(ctx context.Context, h Handle, offset, length int64) (io.ReadCloser, int64, error) {
	b.c.loads.Add(1)
	rc, n, err := b.Backend.Load(ctx, h, offset, length)
	if err != nil {
		return nil, 0, err
	}
	return &countingReader{ReadCloser: rc, n: &b.c.read}, n, nil
}

type countingReader struct {
	io.ReadCloser
	n *atomic.Int64
}

func (r *countingReader) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	r.n.Add(int64(n))
	return n, err
}

func (b *counting) Stat(ctx context.Context, h Handle) (Info, error) {
	b.c.stats.Add(1)
	return b.Backend.Stat(ctx, h)
}

func (b *counting) List(ctx context.Context, k Kind, fn func(Info) error) error {
	b.c.lists.Add(1)
	return b.Backend.List(ctx, k, fn)
}

func (b *counting) Save(ctx context.Context, h Handle, p Payload) error {
	b.c.saves.Add(1)
	return b.wrote(p, b.Backend.Save(ctx, h, p))
}

func (b *counting) Create(ctx context.Context, h Handle, p Payload) error {
	b.c.creates.Add(1)
	return b.wrote(p, b.Backend.Create(ctx, h, p))
}

func (b *counting) wrote(p Payload, err error) error {
	if err == nil {
		b.c.written.Add(p.Size)
	}
	return err
}

func (b *counting) Remove(ctx context.Context, h Handle) error {
	b.c.removes.Add(1)
	return b.Backend.Remove(ctx, h)
}
