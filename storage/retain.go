package storage

import (
	"context"
	"fmt"
	"time"
)

// Retainer knows how long files are locked against their removal, and prolongs
// that. It never shortens it. A storage that has one locks files as they are
// saved, all but those below locks/.
type Retainer interface {
	// Days is how long a file is locked when it is saved.
	Days() int
	// Retained returns until when a file is locked; the zero time where it is
	// not.
	Retained(ctx context.Context, h Handle) (time.Time, error)
	// Extend locks a file until the given time where its lock ends before
	// least, and says whether it did.
	Extend(ctx context.Context, h Handle, least, until time.Time) (bool, error)
}

// retaining is what a backend implements besides where it has a Retainer, and
// each decorator of backends.
type retaining interface{ Retainer() Retainer }

func retainerOf(b Backend) Retainer {
	if r, ok := b.(retaining); ok {
		return r.Retainer()
	}
	return nil
}

func (s sealed) Retainer() Retainer {
	if r := retainerOf(s.b); r != nil {
		return retainer{r}
	}
	return nil
}

// retainer is sealed as the other sides are.
type retainer struct{ r Retainer }

func (r retainer) Days() int { return r.r.Days() }

func (r retainer) Retained(ctx context.Context, h Handle) (time.Time, error) {
	if err := h.Valid(); err != nil {
		return time.Time{}, err
	}
	return r.r.Retained(ctx, h)
}

func (r retainer) Extend(ctx context.Context, h Handle, least, until time.Time) (bool, error) {
	if err := h.Valid(); err != nil {
		return false, err
	}
	if h.Kind == LockFile {
		return false, fmt.Errorf("extend the lock of %s: %w", h, ErrWrongKind)
	}
	return r.r.Extend(ctx, h, least, until)
}

func (j joined) Retainer() Retainer { return j.store.Retainer() }

func (b *counting) Retainer() Retainer { return retainerOf(b.Backend) }

func (b *requesting) Retainer() Retainer { return retainerOf(b.Backend) }

func (r *retrying) Retainer() Retainer {
	inner := retainerOf(r.Backend)
	if inner == nil {
		return nil
	}
	return retryingRetainer{Retainer: inner, r: r}
}

type retryingRetainer struct {
	Retainer
	r *retrying
}

func (t retryingRetainer) Retained(ctx context.Context, h Handle) (until time.Time, err error) {
	err = t.r.do(ctx, t.r.attempts("look at the lock of", h.String()), func() error {
		until, err = t.Retainer.Retained(ctx, h)
		return err
	})
	return until, err
}

func (t retryingRetainer) Extend(ctx context.Context, h Handle, least, until time.Time) (done bool, err error) {
	err = t.r.do(ctx, t.r.attempts("extend the lock of", h.String()), func() error {
		done, err = t.Retainer.Extend(ctx, h, least, until)
		return err
	})
	return done, err
}
