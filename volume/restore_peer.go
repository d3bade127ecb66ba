package volume

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
)

// Restore makes the directory tree at req.Root what src holds. The report says
// what was done, also, as far as it came, with an error. After an error the old
// data is in place; if the helper, or the connection to it, dies meanwhile, it
// is the old or the new, and Recover settles which.
func (p *Peer) Restore(ctx context.Context, req RestoreRequest, src RestoreSource) (*RestoreReport, error) {
	if err := checkRestoreID(req.ID); err != nil {
		return nil, err
	}
	if _, err := newProtector(req); err != nil {
		return nil, err
	}
	if _, err := newScope(req.Only); err != nil {
		return nil, err
	}
	c, err := p.start(ctx, newRestoreHeader(req))
	if err != nil {
		return nil, err
	}
	defer c.done()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	r := &restoring{call: c, src: src, tell: req.Progress}
	r.sending.Go(func() { r.sent(r.list(ctx)) })
	result, err := r.follow(ctx)
	cancel(errRestoreEnded)
	if err != nil {
		c.conn.conn.Close() // whoever still writes must not wait for a reader
	}
	r.sending.Wait()
	if err == nil && c.CloseWrite() == nil {
		c.finish()
	}
	switch {
	case r.failed != nil && strings.HasSuffix(result.Error, r.failed.Error()):
		return result.Report, r.failed // which the helper only repeats
	case r.failed != nil:
		return result.Report, errors.Join(r.failed, result.err())
	case err != nil:
		return result.Report, c.explain(err)
	}
	return result.Report, result.err()
}

// errRestoreEnded stops what is still being sent to a helper that has ended the
// restore.
var errRestoreEnded = errors.New("the helper has ended the restore")

// brokenError is an error of the connection, which its reader sees too.
type brokenError struct{ error }

func (e brokenError) Unwrap() error { return e.error }

func broken(err error) error {
	if err == nil {
		return nil
	}
	return brokenError{err}
}

// restoring is the sidecar's end of a restore.
type restoring struct {
	*call
	src     RestoreSource
	tell    func(RestoreProgress)
	sending sync.WaitGroup

	mu       sync.Mutex // one message at a time, and what follows
	failed   error      // of the source; the helper was told
	progress RestoreProgress
}

// sent takes how sending ended. If the source failed, it tells the helper.
func (r *restoring) sent(err error) {
	var conn brokenError
	if err == nil || errors.Is(err, errRestoreEnded) || errors.As(err, &conn) {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.failed == nil {
		r.failed = err
	}
	// If even this cannot be sent the connection is broken: its reader sees it.
	_ = r.Fail(err)
}

// list sends the listing.
func (r *restoring) list(ctx context.Context) error {
	var enc encoder
	err := r.src.Entries(ctx, func(e Entry, blobs []Blob) error {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		enc.buf = enc.buf[:0]
		enc.entry(&e)
		enc.int(int64(len(blobs)))
		if err := writeMsg(r, msgEntry, len(enc.buf), enc.buf); err != nil {
			return broken(err)
		}
		r.update(func(p *RestoreProgress) { p.Listed++ })
		return broken(writeBlobs(r, msgBlobs, blobs))
	})
	if err != nil {
		return fmt.Errorf("list the snapshot: %w", err)
	}
	if err := writeMsg(r, msgListed, 0); err != nil {
		return broken(err)
	}
	return broken(r.Flush())
}

func (r *restoring) update(change func(*RestoreProgress)) {
	if r.tell == nil {
		return
	}
	r.mu.Lock()
	change(&r.progress)
	now := r.progress
	r.mu.Unlock()
	r.tell(now)
}

// follow reads what the helper says, to its report.
func (r *restoring) follow(ctx context.Context) (restoreResult, error) {
	var result restoreResult
	var want []Blob
	var buf []byte
	for {
		kind, length, err := readMsgHead(r)
		if err != nil {
			return result, cut(err)
		}
		if buf, err = readBody(r, length, buf); err != nil {
			return result, err
		}
		switch kind {
		case msgPlanned:
			err = r.planned(buf, &result)
		case msgWant:
			var more []Blob
			more, err = parseBlobs(buf)
			want = append(want, more...)
			if len(want) > maxWanted {
				err = fmt.Errorf("%w: too many blobs wanted", ErrProtocol)
			}
		case msgWanted:
			batch := want
			want = nil
			r.sending.Go(func() { r.sent(r.fetch(ctx, batch)) })
		case msgReport:
			if err := json.Unmarshal(buf, &result); err != nil {
				return result, fmt.Errorf("%w: %w", ErrProtocol, err)
			}
			return result, nil
		default:
			err = unexpected(kind)
		}
		if err != nil {
			return result, err
		}
	}
}

func (r *restoring) planned(text []byte, result *restoreResult) error {
	if err := json.Unmarshal(text, &result.Report); err != nil {
		return fmt.Errorf("%w: %w", ErrProtocol, err)
	}
	r.update(func(p *RestoreProgress) { p.ToFetch = result.Report.BytesFetched })
	return nil
}

// fetch sends a batch of blobs.
func (r *restoring) fetch(ctx context.Context, want []Blob) error {
	index := make(map[[32]byte]uint32, len(want))
	for i, b := range want {
		index[b.ID] = uint32(i)
	}
	err := r.src.Fetch(ctx, want, func(b Blob, data []byte) error {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		i, ok := index[b.ID]
		if !ok || len(data) != int(want[i].Length) {
			return fmt.Errorf("blob %x of %d bytes: not what was asked for", b.ID[:4], len(data))
		}
		if err := r.sendBlob(i, data); err != nil {
			return err
		}
		r.update(func(p *RestoreProgress) { p.Fetched += int64(len(data)) })
		return nil
	})
	if err != nil {
		return fmt.Errorf("fetch content: %w", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := writeMsg(r, msgFetched, 0); err != nil {
		return broken(err)
	}
	return broken(r.Flush())
}

func (r *restoring) sendBlob(i uint32, data []byte) error {
	var at [4]byte
	binary.BigEndian.PutUint32(at[:], i)
	r.mu.Lock()
	defer r.mu.Unlock()
	return broken(writeMsg(r, msgData, 4+len(data), at[:], data))
}
