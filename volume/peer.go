package volume

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// reconnectTime is how long a job waits for a connection when none is left: a
// helper whose job was broken off comes back at once, a dead one does not.
// roomTime is how long a connection waits that is one too many.
const (
	reconnectTime = 5 * time.Second
	roomTime      = 5 * time.Second
)

var (
	// ErrPeerClosed is returned for work on a Peer after its Close.
	ErrPeerClosed = errors.New("the helper has been closed")
	// ErrPeerGone says that the helper has no connection left: its container
	// has ended.
	ErrPeerGone = errors.New("the helper is gone: look at why its container ended")
)

// Peer is a helper that has connected. It runs as many jobs at a time as it has
// connections; further ones wait.
type Peer struct {
	forget  func()
	free    chan *peerConn
	arrived chan struct{}
	done    chan struct{}
	n       int

	mu    sync.Mutex
	conns map[net.Conn]struct{}
	live  int // connections that are there or are being added
	shutd bool
	// dropped is closed, and made anew, when a connection is given up.
	dropped chan struct{}
}

type peerConn struct {
	conn net.Conn
	r    *bufio.Reader
	wait *patience
}

// ErrSilent says that the helper sent nothing for as long as it may take: it
// waits for a filesystem that does not answer.
var ErrSilent = errors.New("the helper has fallen silent; does the volume's filesystem, an NFS server for example, still answer?")

// patience reads from a connection, and bounds how long it waits for the next
// bytes. Time in which nobody reads does not count.
type patience struct {
	net.Conn
	limit atomic.Int64 // nanoseconds; 0: for ever
}

func (p *patience) Read(b []byte) (int, error) {
	limit := time.Duration(p.limit.Load())
	if limit > 0 {
		if err := p.SetReadDeadline(time.Now().Add(limit)); err != nil {
			return 0, err
		}
	}
	n, err := p.Conn.Read(b)
	if limit > 0 && errors.Is(err, os.ErrDeadlineExceeded) {
		err = fmt.Errorf("for %s: %w", limit, ErrSilent)
	}
	return n, err
}

// patient bounds the waiting on a connection; 0 waits for ever again.
func (c *peerConn) patient(limit time.Duration) error {
	c.wait.limit.Store(int64(limit))
	if limit > 0 {
		return nil
	}
	return c.conn.SetReadDeadline(time.Time{})
}

func newPeer(n int, forget func()) *Peer {
	return &Peer{
		forget:  forget,
		free:    make(chan *peerConn, n),
		arrived: make(chan struct{}, n),
		done:    make(chan struct{}),
		n:       n,
		conns:   map[net.Conn]struct{}{},
		dropped: make(chan struct{}),
	}
}

// reserve makes room for one more connection, if there may be one. A helper may
// come back before the one that it comes back for has been given up here: that
// is waited for.
func (p *Peer) reserve() bool {
	timer := time.NewTimer(roomTime)
	defer timer.Stop()
	for {
		ok, changed := p.tryReserve()
		if ok || changed == nil {
			return ok
		}
		select {
		case <-changed:
		case <-p.done:
			return false
		case <-timer.C:
			return false
		}
	}
}

// tryReserve gives, when there is no room, a channel that is closed when there
// may be; nil when there never will be.
func (p *Peer) tryReserve() (ok bool, changed <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.shutd:
		return false, nil
	case p.live >= p.n:
		return false, p.dropped
	}
	p.live++
	return true, nil
}

// add takes a connection for which reserve made room.
func (p *Peer) add(c *peerConn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.shutd {
		c.conn.Close()
		return
	}
	p.conns[c.conn] = struct{}{}
	p.free <- c // never more than n
	select {
	case p.arrived <- struct{}{}:
	default: // a later one, in place of one that was dropped
	}
}

// drop ends a connection for which reserve made room.
func (p *Peer) drop(conn net.Conn) {
	conn.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, conn)
	p.live--
	close(p.dropped)
	p.dropped = make(chan struct{})
}

func (p *Peer) connections() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.conns)
}

// Close ends the helper: its connections are closed, and so it exits. Jobs that
// still run fail.
func (p *Peer) Close() error {
	p.shut()
	return nil
}

func (p *Peer) shut() {
	p.mu.Lock()
	if p.shutd {
		p.mu.Unlock()
		return
	}
	p.shutd = true
	close(p.done)
	for conn := range p.conns {
		conn.Close()
	}
	p.mu.Unlock()
	p.forget()
}

// take waits for a free connection.
func (p *Peer) take(ctx context.Context) (*peerConn, error) {
	timer := time.NewTimer(reconnectTime)
	defer timer.Stop()
	for {
		select {
		case <-p.done:
			return nil, ErrPeerClosed
		default:
		}
		select {
		case c := <-p.free:
			return c, nil
		case <-p.done:
			return nil, ErrPeerClosed
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-timer.C:
			if p.connections() == 0 {
				return nil, ErrPeerGone
			}
			timer.Reset(reconnectTime)
		}
	}
}

// call is the sidecar's end of one job.
type call struct {
	*stream
	ctx  context.Context
	peer *Peer
	conn *peerConn
	stop func() bool
	once sync.Once
}

// start begins the job that header describes: any value that marshals to a JSON
// object with the job's name in "job". The caller must end it with done. When
// ctx ends, the connection is broken off.
func (p *Peer) start(ctx context.Context, header any) (*call, error) {
	head, err := json.Marshal(header)
	if err != nil {
		return nil, fmt.Errorf("describe the helper's job: %w", err)
	}
	c, err := p.take(ctx)
	if err != nil {
		return nil, err
	}
	j := &call{stream: newStream(c.conn, c.r), ctx: ctx, peer: p, conn: c}
	j.stop = context.AfterFunc(ctx, func() { c.conn.Close() })
	if err := j.writeMessage(head); err != nil {
		err = j.explain(err)
		j.done()
		return nil, fmt.Errorf("give the helper its job: %w", err)
	}
	return j, nil
}

// done gives the connection back when both directions have ended by a frame,
// and breaks it off otherwise; nothing may read or write any more when both
// have not ended. It may be called more than once.
func (j *call) done() {
	j.once.Do(func() {
		if !j.ended() || !j.stop() {
			j.stop()
			j.peer.drop(j.conn.conn)
			return
		}
		if j.conn.patient(0) != nil {
			j.peer.drop(j.conn.conn)
			return
		}
		j.peer.mu.Lock()
		defer j.peer.mu.Unlock()
		if !j.peer.shutd {
			j.peer.free <- j.conn
		}
	})
}

// explain gives the reason for an error of the connection: that the caller's
// context has ended, or that the helper is gone.
func (j *call) explain(err error) error {
	if err == nil || errors.Is(err, io.EOF) {
		return err
	}
	if cause := context.Cause(j.ctx); cause != nil {
		return cause
	}
	select {
	case <-j.peer.done:
		return ErrPeerClosed
	default:
	}
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET) {
		return fmt.Errorf("the helper's connection broke: %w", err)
	}
	return err
}

func isRefused(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }
