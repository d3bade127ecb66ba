package volume

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
)

// Walk is a walk at the sidecar's end. One goroutine may use it. The caller must
// Close it.
type Walk struct {
	call *call
	rx   *receiver

	sending sync.WaitGroup // what is known
	unsend  context.CancelFunc
	sendErr error // set when sending is done

	spool   *spool // nil: none
	ahead   *ahead // nil: with a spool, which is that and more
	pumping sync.WaitGroup

	drained   chan struct{}
	drainOnce sync.Once
	closeOnce sync.Once
	ended     bool
	err       error
}

// Walk begins to walk a volume. known is what the parent snapshot holds, nil for
// nothing; it is asked for by another goroutine, until the walk ends or fails.
// With a spool, the helper can finish before its data is consumed: see Drained.
// When ctx ends, the walk fails.
func (p *Peer) Walk(ctx context.Context, req WalkRequest, known KnownSource, spooling *Spool) (*Walk, error) {
	if _, err := newExcluder(req.Exclude); err != nil {
		return nil, err
	}
	var sp *spool
	if spooling != nil {
		var err error
		if sp, err = newSpool(*spooling); err != nil {
			return nil, err
		}
	}
	c, err := p.start(ctx, walkHeader{Job: jobWalk, WalkRequest: req})
	if err != nil {
		if sp != nil {
			sp.close()
		}
		return nil, err
	}
	if err := c.conn.patient(req.Stall); err != nil {
		c.done()
		if sp != nil {
			sp.close()
		}
		return nil, fmt.Errorf("walk the volume: %w", err)
	}
	w := &Walk{call: c, spool: sp, drained: make(chan struct{})}
	sendCtx, cancel := context.WithCancel(ctx)
	w.unsend = cancel
	w.sending.Go(func() { w.send(sendCtx, known) })
	if sp == nil {
		w.ahead = newAhead(c.stream)
		w.rx = newReceiver(w.ahead)
		w.pumping.Go(w.ahead.fill)
		return w, nil
	}
	w.rx = newReceiver(sp)
	w.pumping.Go(w.pump)
	return w, nil
}

// send tells the helper what is known.
func (w *Walk) send(ctx context.Context, known KnownSource) {
	k := knownSender{s: w.call.stream}
	var broken error
	if known != nil {
		w.sendErr = known(func(e Known) error {
			if err := ctx.Err(); err != nil {
				return err
			}
			broken = k.add(e)
			return broken
		})
	}
	switch {
	case w.sendErr == nil && broken == nil:
		if k.flush() == nil {
			w.call.CloseWrite() // if it fails, so does the reading side
		}
		return
	case broken != nil && !errors.Is(broken, errKnownOrder), ctx.Err() != nil:
		w.sendErr = nil // the connection broke or the walk ended: the reading side says why
		w.call.Fail(errStopped)
	default:
		w.call.Fail(fmt.Errorf("the sidecar could not read what the parent snapshot holds: %w", w.sendErr))
	}
}

// pump moves the stream into the spool as fast as it comes.
func (w *Walk) pump() {
	_, err := io.CopyBuffer(w.spool, readerOnly{w.call.stream}, make([]byte, spoolChunk))
	if errors.Is(err, ErrSpool) {
		// The helper must not wait for room: whoever is stopped for this walk
		// has waited long enough.
		w.call.conn.conn.Close()
	} else {
		err = w.call.explain(err)
	}
	w.spool.finish(err)
	w.isDrained()
}

func (w *Walk) isDrained() { w.drainOnce.Do(func() { close(w.drained) }) }

// Drained is closed when the helper has read all that it will read, be it that
// the walk is complete or that it failed: a service that was stopped for the
// walk may start. Without a spool that is when Next has returned an error,
// io.EOF being one, or the walk is closed.
func (w *Walk) Drained() <-chan struct{} { return w.drained }

// Next gives the next event. It returns io.EOF only when the helper's end record
// was seen and is right in every count; any other error means that the walk has
// failed and nothing of it may be used. What is left of the current file is
// skipped.
func (w *Walk) Next() (Event, error) {
	if w.ended {
		return Event{}, w.err
	}
	ev, err := w.rx.next()
	if err != nil {
		return Event{}, w.end(err)
	}
	return ev, nil
}

// NextSegment gives the next part of the content of the file that the last
// FileStart began, in order and without gaps, and io.EOF behind the last one.
// r gives the part's bytes, none for a hole, and is good until the next call of
// NextSegment or Next. A part that is cut short is an error of r.
func (w *Walk) NextSegment() (seg Segment, r io.Reader, err error) {
	if w.ended {
		return Segment{}, nil, w.err
	}
	seg, r, err = w.rx.segment()
	if err != nil && !errors.Is(err, io.EOF) {
		return Segment{}, nil, w.end(err)
	}
	return seg, r, err
}

// Result is what the helper counted; it is good once Next has returned io.EOF.
func (w *Walk) Result() WalkResult { return w.rx.res }

// end ends the walk with its proof, or with the error that came first.
func (w *Walk) end(err error) error {
	w.ended = true
	explained := w.call.explain(err)
	w.release(errors.Is(err, io.EOF))
	switch {
	case errors.Is(err, io.EOF):
		w.err = io.EOF
	case w.sendErr != nil:
		w.err = fmt.Errorf("read what the parent snapshot holds: %w", w.sendErr)
	default:
		w.err = fmt.Errorf("walk the volume: %w", explained)
	}
	return w.err
}

// Close ends the walk, also before its end, and waits for everything that works
// for it.
func (w *Walk) Close() error {
	if !w.ended {
		w.ended, w.err = true, errors.New("the walk was closed")
		w.release(false)
	}
	return nil
}

// release gives the connection back, if the walk came to an end that both sides
// know of, and breaks it off otherwise.
func (w *Walk) release(whole bool) {
	w.closeOnce.Do(func() {
		w.unsend()
		var remote *RemoteError
		if !whole && !errors.As(w.rx.err, &remote) {
			w.call.conn.conn.Close()
		}
		if w.ahead != nil {
			w.ahead.stop()
		}
		w.sending.Wait()
		w.pumping.Wait()
		w.call.done()
		if w.spool != nil {
			w.spool.close()
		}
		w.isDrained()
	})
}
