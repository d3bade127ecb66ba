package volume

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

const (
	socketPrefix  = "helper-"
	socketSuffix  = ".sock"
	maxSocketPath = 107 // what sockaddr_un holds
	maxGreeting   = 64  // connections that may be in their handshake at a time
	staleSocket   = time.Minute
)

// Listener waits on one Unix socket for helpers.
type Listener struct {
	path string
	ln   *net.UnixListener

	wg       sync.WaitGroup
	greeting chan struct{}

	mu      sync.Mutex
	pending []*Pending
	early   map[net.Conn]struct{} // in their handshake
	closed  bool
}

// Listen makes dir, for its owner only, opens a socket of a fresh name in it,
// and removes sockets that processes that were killed have left there. Other
// processes may listen in the same directory.
func Listen(dir string) (*Listener, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the helpers' socket directory: %w", err)
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		return nil, fmt.Errorf("close the helpers' socket directory to others: %w", err)
	}
	removeStale(dir, time.Now())
	path := filepath.Join(dir, socketPrefix+randomHex(8)+socketSuffix)
	if len(path) > maxSocketPath {
		return nil, fmt.Errorf("socket path %q has %d bytes, a Unix socket takes %d: use a shorter directory", path, len(path), maxSocketPath)
	}
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("listen for helpers: %w", err)
	}
	l := &Listener{
		path:     path,
		ln:       ln,
		greeting: make(chan struct{}, maxGreeting),
		early:    map[net.Conn]struct{}{},
	}
	l.wg.Go(l.accept)
	return l, nil
}

// Path is where the socket lies.
func (l *Listener) Path() string { return l.path }

// Close removes the socket and ends every connection that no Peer owns.
func (l *Listener) Close() error {
	l.mu.Lock()
	l.closed = true
	pending := l.pending
	l.pending = nil
	for conn := range l.early {
		conn.Close()
	}
	l.mu.Unlock()
	err := l.ln.Close()
	for _, p := range pending {
		p.Close()
	}
	l.wg.Wait()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// accept lives until the listener is closed; whatever a connection does, the
// next one is taken.
func (l *Listener) accept() {
	for {
		l.greeting <- struct{}{}
		conn, err := l.ln.AcceptUnix()
		if err != nil {
			<-l.greeting
			if errors.Is(err, net.ErrClosed) {
				return
			}
			time.Sleep(10 * time.Millisecond) // out of descriptors: some will be closed
			continue
		}
		l.mu.Lock()
		if l.closed {
			conn.Close()
		}
		l.early[conn] = struct{}{}
		l.mu.Unlock()
		l.wg.Go(func() {
			defer func() { <-l.greeting }()
			l.greet(conn)
		})
	}
}

// greet takes the hello of one connection and gives the connection to whom it
// belongs, or closes it.
func (l *Listener) greet(conn *net.UnixConn) {
	token, err := readHello(conn)
	l.mu.Lock()
	delete(l.early, conn)
	l.mu.Unlock()
	if err != nil {
		conn.Close()
		return
	}
	p := l.find(token)
	if p == nil || !p.peer.reserve() {
		conn.Write([]byte{refused}) // if it is lost, the closing says the same
		conn.Close()
		return
	}
	if _, err := conn.Write([]byte{accepted}); err != nil {
		p.peer.drop(conn)
		return
	}
	if err := conn.SetDeadline(time.Time{}); err != nil {
		p.peer.drop(conn)
		return
	}
	wait := &patience{Conn: conn}
	p.peer.add(&peerConn{conn: conn, r: bufio.NewReaderSize(wait, readBuffer), wait: wait})
}

// find looks through all pending tokens, so that its duration tells nothing.
func (l *Listener) find(token string) *Pending {
	l.mu.Lock()
	defer l.mu.Unlock()
	var found *Pending
	for _, p := range l.pending {
		if sameToken(p.Token, token) {
			found = p
		}
	}
	return found
}

func (l *Listener) forget(p *Pending) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, q := range l.pending {
		if q == p {
			l.pending = append(l.pending[:i:i], l.pending[i+1:]...)
			return
		}
	}
}

// Pending is a helper that is expected. Socket and Token are what it is told;
// the token is good for this one helper, until its Peer is closed.
type Pending struct {
	Socket string
	Token  string

	l    *Listener
	n    int
	peer *Peer
}

// Expect announces a helper that will make n connections.
func (l *Listener) Expect(n int) *Pending {
	n = max(n, 1)
	p := &Pending{Socket: l.path, Token: randomHex(tokenBytes), l: l, n: n}
	p.peer = newPeer(n, func() { l.forget(p) })
	l.mu.Lock()
	closed := l.closed
	if !closed {
		l.pending = append(l.pending, p)
	}
	l.mu.Unlock()
	if closed {
		p.Close()
	}
	return p
}

// Accept waits until all connections of the helper are there. The Peer is the
// caller's to close.
func (p *Pending) Accept(ctx context.Context) (*Peer, error) {
	for range p.n {
		select {
		case <-p.peer.arrived:
		case <-p.peer.done:
			return nil, ErrPeerClosed
		case <-ctx.Done():
			have := p.peer.connections()
			p.Close()
			return nil, fmt.Errorf("the helper made %d of %d connections: %w", have, p.n, context.Cause(ctx))
		}
	}
	return p.peer, nil
}

// Close stops expecting the helper and ends its connections.
func (p *Pending) Close() { p.peer.shut() }

// removeStale removes sockets that are old and that nobody listens on. One that
// is young may be between its bind and its listen.
func removeStale(dir string, now time.Time) {
	names, err := os.ReadDir(dir)
	if err != nil {
		return // Listen fails by itself if the directory cannot be used
	}
	for _, de := range names {
		name := de.Name()
		if !strings.HasPrefix(name, socketPrefix) || !strings.HasSuffix(name, socketSuffix) || de.Type() != os.ModeSocket {
			continue
		}
		path := filepath.Join(dir, name)
		info, err := de.Info()
		if err != nil || now.Sub(info.ModTime()) < staleSocket {
			continue
		}
		conn, err := net.Dial("unix", path)
		if err == nil {
			conn.Close()
			continue
		}
		if isRefused(err) {
			os.Remove(path) // what stays is tried again by the next
		}
	}
}

func randomHex(n int) string {
	b := make([]byte, n)
	rand.Read(b) // never fails: it ends the program instead
	return hex.EncodeToString(b)
}
