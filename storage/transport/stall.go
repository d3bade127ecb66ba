package transport

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ripplebak/ripplebak/storage"
)

// minProgress is what must move within the stall time, both ways: a server
// that sends a byte each second is as dead as one that sends none.
const minProgress = 16 << 10

// Watched adds to an HTTP transport the stall timer, the limits of the process,
// and what responses tell about the server's clock.
type Watched struct {
	Next http.RoundTripper
	// Stall ends a request that moves less than a few kilobytes in it.
	Stall time.Duration
	// Limits slow transfers down. Nil: nothing does.
	Limits *storage.Limits

	skew atomic.Int64 // nanoseconds that our clock is ahead of the server's
}

// RoundTrip ends a request that makes no progress. The time a request's or a
// response's reader takes between two reads is not counted: a slow consumer
// is no stalled server, and neither is a limit of our own.
func (t *Watched) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(req.Context())
	w := newWatch(t.Stall, cancel)
	req = req.WithContext(ctx)
	if req.Body != nil && req.Body != http.NoBody {
		req.Body = &watchedUpload{ReadCloser: t.Limits.Upload(ctx, req.Body), w: w}
	}
	sent := time.Now()
	w.start()
	resp, err := t.Next.RoundTrip(req)
	w.end()
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		cancel(nil)
		return nil, err
	}
	t.note(resp, sent)
	resp.Body = t.Limits.Download(ctx, &watchedDownload{ReadCloser: resp.Body, w: newWatch(t.Stall, cancel), ctx: ctx})
	return resp, nil
}

// Skew says how far our clock is ahead of the server's, by its last answer.
func (t *Watched) Skew() time.Duration { return time.Duration(t.skew.Load()) }

// note remembers how far the clocks are apart, give or take the round trip.
func (t *Watched) note(resp *http.Response, sent time.Time) {
	if date, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
		t.skew.Store(int64(sent.Sub(date)))
	}
}

// watch cancels a request unless minProgress bytes move in each limit of time
// that is spent waiting for the other side.
type watch struct {
	limit  time.Duration
	cancel context.CancelCauseFunc

	mu      sync.Mutex
	timer   *time.Timer // stopped while nobody waits
	over    bool        // end was called
	started time.Time
	waited  time.Duration // since the last progress
	moved   int           // bytes, likewise
}

func newWatch(limit time.Duration, cancel context.CancelCauseFunc) *watch {
	w := &watch{limit: limit, cancel: cancel}
	w.timer = time.AfterFunc(limit, func() {
		cancel(fmt.Errorf("%w: less than %d bytes in %s", storage.ErrStalled, minProgress, limit))
	})
	w.timer.Stop()
	return w
}

// start begins to wait for the other side.
func (w *watch) start() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.over {
		return
	}
	w.started = time.Now()
	w.timer.Reset(max(w.limit-w.waited, 0))
}

// stop ends the waiting that start began.
func (w *watch) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.halt()
}

// end is stop for good. The connection may still read the request's body
// after the server has answered; that must not start the timer again.
func (w *watch) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.halt()
	w.over = true
}

func (w *watch) halt() {
	w.timer.Stop()
	if !w.started.IsZero() {
		w.waited += time.Since(w.started)
		w.started = time.Time{}
	}
}

// progress counts bytes that moved, while nobody waits; whole says that a part of the exchange is
// complete, so that the next one has all the time.
func (w *watch) progress(n int, whole bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.moved = min(w.moved+n, minProgress)
	if w.moved < minProgress && !whole {
		return
	}
	w.moved, w.waited = 0, 0
}

// watchedUpload sees how fast the connection takes the request's body: what
// lies between two reads is the other side's time. The timer runs on since
// RoundTrip began.
type watchedUpload struct {
	io.ReadCloser
	w *watch
}

func (u *watchedUpload) Read(p []byte) (int, error) {
	u.w.stop()
	n, err := u.ReadCloser.Read(p)
	u.w.progress(n, err != nil)
	u.w.start()
	return n, err
}

// watchedDownload counts only the time inside of Read.
type watchedDownload struct {
	io.ReadCloser
	w   *watch
	ctx context.Context
}

func (d *watchedDownload) Read(p []byte) (int, error) {
	d.w.start()
	n, err := d.ReadCloser.Read(p)
	d.w.stop()
	d.w.progress(n, false)
	if err != nil && err != io.EOF {
		if cause := context.Cause(d.ctx); cause != nil {
			err = cause
		}
	}
	return n, err
}

func (d *watchedDownload) Close() error {
	err := d.ReadCloser.Close()
	d.w.cancel(nil)
	return err
}
