package storage

import (
	"context"
	"io"
	"sync"
	"time"

	"github.com/ripplebak/ripplebak/delay"
)

// limitStep is how much is let through at once, in bytes, so that transfers
// that share a limit take turns; slow limits take less.
const limitStep = 16 << 10

// Limits bound how fast the process sends and receives, over all of its
// storages and connections. A nil *Limits bounds nothing.
//
// They work on bytes as they go over the wire, below whatever reads a file
// twice, hashes it or sends it again; so a storage that is reached by network
// takes them among its options, and a directory has none.
type Limits struct{ up, down *pace }

// NewLimits takes bytes per second; 0 means no limit in that direction.
func NewLimits(upload, download int64) *Limits {
	return &Limits{up: newPace(upload), down: newPace(download)}
}

// Upload returns r, no faster than the limit. Waiting ends with ctx.
func (l *Limits) Upload(ctx context.Context, r io.ReadCloser) io.ReadCloser {
	if l == nil || l.up == nil {
		return r
	}
	return &paced{ReadCloser: r, ctx: ctx, p: l.up}
}

// Download returns r, no faster than the limit. Waiting ends with ctx.
func (l *Limits) Download(ctx context.Context, r io.ReadCloser) io.ReadCloser {
	if l == nil || l.down == nil {
		return r
	}
	return &paced{ReadCloser: r, ctx: ctx, p: l.down}
}

// pace hands out the times at which bytes may go.
type pace struct {
	rate int64 // bytes per second
	step int   // bytes that go at once

	mu   sync.Mutex
	free time.Time // when all that was let through so far has had its time
}

func newPace(rate int64) *pace {
	if rate <= 0 {
		return nil
	}
	return &pace{rate: rate, step: int(min(limitStep, max(rate/4, 1)))}
}

// take books n bytes and waits until those booked before have had their time.
// Unused time is not saved up: after a pause nothing goes faster than the rate.
func (p *pace) take(ctx context.Context, n int) error {
	now := time.Now()
	p.mu.Lock()
	if p.free.Before(now) {
		p.free = now
	}
	wait := p.free.Sub(now)
	p.free = p.free.Add(time.Duration(float64(n) / float64(p.rate) * float64(time.Second)))
	p.mu.Unlock()
	if wait <= 0 {
		return nil
	}
	return delay.For(ctx, wait)
}

// paced reads in steps.
type paced struct {
	io.ReadCloser
	ctx context.Context
	p   *pace
}

func (r *paced) Read(b []byte) (int, error) {
	if len(b) > r.p.step {
		b = b[:r.p.step]
	}
	n, err := r.ReadCloser.Read(b)
	if n > 0 {
		if werr := r.p.take(r.ctx, n); werr != nil {
			return 0, werr
		}
	}
	return n, err
}
