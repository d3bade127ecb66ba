package volume

import (
	"io"
	"sync"
)

const (
	// aheadPiece is what is read at a time; it fits the cache.
	aheadPiece = 256 << 10
	// aheadPieces is how many of them there are.
	aheadPieces = 4
)

// ahead reads a stream before its reader asks, so that the socket is emptied
// while content is cut and hashed. What ends the stream, be it io.EOF, comes
// behind everything that was read before it. One goroutine fills, another one
// reads.
type ahead struct {
	src  io.Reader
	full chan []byte // what was read, in order; closed behind the last
	free chan []byte
	err  error // why full was closed

	stopped  chan struct{}
	stopOnce sync.Once

	piece []byte // what is being read, and where it began
	rest  []byte
}

func newAhead(src io.Reader) *ahead {
	a := &ahead{src: src, full: make(chan []byte, aheadPieces), free: make(chan []byte, aheadPieces), stopped: make(chan struct{})}
	for range aheadPieces {
		a.free <- nil // memory comes with the need
	}
	return a
}

// fill reads until the stream ends, or stop is called and src.Read returns.
func (a *ahead) fill() {
	defer close(a.full)
	for {
		var piece []byte
		select {
		case piece = <-a.free:
		case <-a.stopped:
			a.err = errStopped
			return
		}
		if piece == nil {
			piece = make([]byte, aheadPiece)
		}
		n, err := a.src.Read(piece[:aheadPiece])
		if n > 0 {
			a.full <- piece[:n]
		} else {
			a.free <- piece
		}
		if err != nil {
			a.err = err
			return
		}
	}
}

// stop ends fill, unless it waits for the source.
func (a *ahead) stop() { a.stopOnce.Do(func() { close(a.stopped) }) }

func (a *ahead) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if len(a.rest) == 0 {
		if a.piece != nil {
			a.free <- a.piece
			a.piece = nil
		}
		piece, ok := <-a.full
		if !ok {
			return 0, a.err
		}
		a.piece, a.rest = piece, piece
	}
	n := copy(p, a.rest)
	a.rest = a.rest[n:]
	return n, nil
}
