package storage

import (
	"context"
	"errors"
	"fmt"
	"io"
)

func (r *retrying) Load(ctx context.Context, h Handle, offset, length int64) (io.ReadCloser, int64, error) {
	l := &resuming{r: r, ctx: ctx, h: h, pos: offset, a: r.attempts("load", h.String())}
	err := r.do(ctx, l.a, func() (err error) {
		l.cur, l.left, err = r.Backend.Load(ctx, h, offset, length)
		return err
	})
	if err != nil {
		return nil, 0, err
	}
	return l, l.left, nil
}

// resuming reads on behind the place where a transfer broke.
type resuming struct {
	r         *retrying
	ctx       context.Context
	h         Handle
	a         *attempts
	cur       io.ReadCloser // nil after it broke
	pos, left int64
	err       error // final
}

func (l *resuming) Read(p []byte) (int, error) {
	if l.err != nil {
		return 0, l.err
	}
	if l.left == 0 {
		return 0, io.EOF
	}
	for {
		if l.cur == nil {
			if l.err = l.reopen(); l.err != nil {
				return 0, l.err
			}
		}
		n, err := l.cur.Read(p)
		l.pos += int64(n)
		l.left -= int64(n)
		if err == nil || l.left <= 0 {
			return n, nil
		}
		if l.err = l.broken(err); l.err != nil || n > 0 {
			return n, l.err
		}
	}
}

// broken drops the broken transfer and waits, or says that this was the end.
func (l *resuming) broken(err error) error {
	if errors.Is(err, io.EOF) {
		err = fmt.Errorf("load %s: %w: %d more", l.h, ErrShort, l.left)
	}
	cur := l.cur
	l.cur = nil
	return l.a.again(l.ctx, CloseAfter(cur, err))
}

func (l *resuming) reopen() error {
	return l.r.do(l.ctx, l.a, func() error {
		cur, n, err := l.r.Backend.Load(l.ctx, l.h, l.pos, l.left)
		if err != nil {
			return err
		}
		if n < l.left {
			return CloseAfter(cur, Truncated(l.h, l.pos, l.left, n))
		}
		l.cur = cur
		return nil
	})
}

func (l *resuming) Close() error {
	if l.cur == nil {
		return nil
	}
	return l.cur.Close()
}
