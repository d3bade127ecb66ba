package storage

import (
	"context"
	"io"
)

// Join is the reverse of [New]: it sees a Store as one Backend, so that a
// decorator is written once for all four sides. Whoever holds a Store has all
// of them anyway.
func Join(s Store) Backend {
	return joined{store: s, r: s.Reader(), w: s.Writer(), l: s.Locker(), d: s.Remover()}
}

type joined struct {
	store Store
	r     Reader
	w     Writer
	l     Locker
	d     Remover
}

// Load reports what was asked for as what will come: the store below has
// checked that. For "to the end" the size is asked for first.
func (j joined) Load(ctx context.Context, h Handle, offset, length int64) (io.ReadCloser, int64, error) {
	rc, err := j.r.Load(ctx, h, offset, length)
	if err != nil {
		return nil, 0, err
	}
	if s, ok := rc.(interface{ promised() int64 }); ok {
		return rc, s.promised(), nil
	}
	if length <= 0 {
		info, err := j.r.Stat(ctx, h)
		if err != nil {
			return nil, 0, CloseAfter(rc, err)
		}
		length = info.Size - offset
	}
	return rc, length, nil
}

func (r *exactReader) promised() int64 { return r.left }

func (j joined) Stat(ctx context.Context, h Handle) (Info, error) { return j.r.Stat(ctx, h) }

func (j joined) List(ctx context.Context, k Kind, fn func(Info) error) error {
	return j.r.List(ctx, k, fn)
}

func (j joined) Location() string { return j.r.Location() }

func (j joined) Save(ctx context.Context, h Handle, p Payload) error {
	if h.Kind == LockFile {
		return j.l.SaveLock(ctx, h.Name, p)
	}
	return j.w.Save(ctx, h, p)
}

func (j joined) Create(ctx context.Context, h Handle, p Payload) error { return j.w.Create(ctx, h, p) }

func (j joined) Provision(ctx context.Context) error { return j.w.Provision(ctx) }

func (j joined) Remove(ctx context.Context, h Handle) error {
	if h.Kind == LockFile {
		return j.l.RemoveLock(ctx, h.Name)
	}
	return j.d.Remove(ctx, h)
}

func (j joined) Probe(ctx context.Context) error { return j.store.Probe(ctx) }

func (j joined) Close() error { return j.store.Close() }
