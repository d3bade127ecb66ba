package storage

import (
	"context"
	"fmt"
	"io"
)

// New seals a backend: the Store hands out its four sides as values of
// distinct types, each with the methods of its own side only.
func New(b Backend) Store { return sealed{b} }

type sealed struct{ b Backend }

func (s sealed) Reader() Reader                  { return reader(s) }
func (s sealed) Writer() Writer                  { return writer(s) }
func (s sealed) Locker() Locker                  { return locker(s) }
func (s sealed) Remover() Remover                { return remover(s) }
func (s sealed) Probe(ctx context.Context) error { return s.b.Probe(ctx) }
func (s sealed) Close() error                    { return s.b.Close() }

// The four sides hold the backend in an unexported field, not embedded: what
// is not written down here cannot be reached from outside.
type (
	reader  struct{ b Backend }
	writer  struct{ b Backend }
	locker  struct{ b Backend }
	remover struct{ b Backend }
)

func (r reader) Load(ctx context.Context, h Handle, offset, length int64) (io.ReadCloser, error) {
	if err := h.Valid(); err != nil {
		return nil, err
	}
	if offset < 0 {
		return nil, fmt.Errorf("load %s: %w: offset %d", h, ErrInvalid, offset)
	}
	rc, size, err := r.b.Load(ctx, h, offset, length)
	if err != nil {
		return nil, err
	}
	if size < 0 || length > 0 && size < length {
		return nil, CloseAfter(rc, Truncated(h, offset, length, size))
	}
	if length > 0 {
		size = length
	}
	return &exactReader{h: h, rc: rc, left: size, size: size}, nil
}

func (r reader) Stat(ctx context.Context, h Handle) (Info, error) {
	if err := h.Valid(); err != nil {
		return Info{}, err
	}
	return r.b.Stat(ctx, h)
}

func (r reader) List(ctx context.Context, k Kind, fn func(Info) error) error {
	if !k.Valid() {
		return fmt.Errorf("list: %w: %s", ErrInvalid, k)
	}
	var seen nameSet
	return r.b.List(ctx, k, func(i Info) error {
		if (Handle{Kind: k, Name: i.Name}).Valid() != nil || !seen.add(i.Name) {
			return nil
		}
		return fn(i)
	})
}

func (r reader) Location() string { return r.b.Location() }

func (w writer) Save(ctx context.Context, h Handle, p Payload) error {
	if h.Kind == LockFile || h.Kind == ConfigFile {
		return fmt.Errorf("save %s: %w", h, ErrWrongKind)
	}
	return save(ctx, w.b.Save, h, p)
}

func (w writer) Create(ctx context.Context, h Handle, p Payload) error {
	if h.Kind == LockFile {
		return fmt.Errorf("create %s: %w", h, ErrWrongKind)
	}
	return save(ctx, w.b.Create, h, p)
}

func (w writer) CreateKey(ctx context.Context, name string, p Payload) (func(context.Context) error, error) {
	h := Handle{Kind: KeyFile, Name: name}
	if err := save(ctx, w.b.Create, h, p); err != nil {
		return nil, err
	}
	return func(ctx context.Context) error { return w.b.Remove(ctx, h) }, nil
}

func (w writer) Provision(ctx context.Context) error { return w.b.Provision(ctx) }

func (l locker) SaveLock(ctx context.Context, name string, p Payload) error {
	return save(ctx, l.b.Save, Handle{Kind: LockFile, Name: name}, p)
}

func (l locker) RemoveLock(ctx context.Context, name string) error {
	h := Handle{Kind: LockFile, Name: name}
	if err := h.Valid(); err != nil {
		return err
	}
	return l.b.Remove(ctx, h)
}

func (r remover) Remove(ctx context.Context, h Handle) error {
	if err := h.Valid(); err != nil {
		return err
	}
	if h.Kind == LockFile || h.Kind == ConfigFile {
		return fmt.Errorf("remove %s: %w", h, ErrWrongKind)
	}
	return r.b.Remove(ctx, h)
}

// save holds handle and payload to their word before a backend sees them.
func save(ctx context.Context, to func(context.Context, Handle, Payload) error, h Handle, p Payload) error {
	if err := h.Valid(); err != nil {
		return err
	}
	p, err := p.guarded()
	if err != nil {
		return fmt.Errorf("save %s: %w", h, err)
	}
	return to(ctx, h, p)
}
