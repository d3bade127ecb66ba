package volume

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
)

// A job runs on a connection as two directions of frames. A frame is four
// bytes, big-endian, and what they announce:
//
//	0                    end: this direction is complete
//	1 .. maxFrame        that many bytes of data
//	errorFrame | length  the direction has failed; the text says why
//
// Nothing but the end frame is the end. A connection that closes before it is
// io.ErrUnexpectedEOF, whatever was read until then. When both directions have
// ended the connection is free for the next job.
const (
	maxFrame     = 1 << 20
	maxErrorText = 8 << 10
	errorFrame   = 1 << 31
	writeBuffer  = 64 << 10
	readBuffer   = 128 << 10
)

var (
	// ErrProtocol is what a peer's bytes break the protocol with.
	ErrProtocol = errors.New("the other end of the volume stream broke the protocol")
	errEnded    = errors.New("volume stream: written after its end")
)

// RemoteError is an error that happened at the other end of a stream.
type RemoteError struct{ Text string }

func (e *RemoteError) Error() string { return e.Text }

// stream is one job's two directions. One goroutine may read while another
// writes; two may not read at once.
type stream struct {
	conn net.Conn
	r    *bufio.Reader

	left    int   // bytes of the current frame that are still to be read
	readErr error // sticky: io.EOF after the end frame, or what went wrong

	mu       sync.Mutex
	buf      []byte // header space and what was written but not sent
	writeErr error  // sticky; errEnded after the end frame
}

func newStream(conn net.Conn, r *bufio.Reader) *stream {
	return &stream{conn: conn, r: r, buf: make([]byte, 4, 4+writeBuffer)}
}

// Read gives data until the other end's end frame; only then io.EOF. A failure
// that the other end reported is a *RemoteError.
func (s *stream) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if s.left == 0 {
		if err := s.nextFrame(); err != nil {
			return 0, err
		}
	}
	n, err := s.r.Read(p[:min(len(p), s.left)])
	s.left -= n
	if err != nil {
		s.readErr = cut(err)
		if n > 0 {
			return n, nil
		}
		return 0, s.readErr
	}
	return n, nil
}

// nextFrame reads frame heads until one announces data.
func (s *stream) nextFrame() error {
	if s.readErr != nil {
		return s.readErr
	}
	s.readErr = s.readHead()
	return s.readErr
}

func (s *stream) readHead() error {
	var head [4]byte
	if _, err := io.ReadFull(s.r, head[:]); err != nil {
		return cut(err)
	}
	n := binary.BigEndian.Uint32(head[:])
	switch {
	case n == 0:
		return io.EOF
	case n&errorFrame != 0:
		return s.readErrorText(n &^ errorFrame)
	case n > maxFrame:
		return fmt.Errorf("%w: a frame of %d bytes", ErrProtocol, n)
	}
	s.left = int(n)
	return nil
}

func (s *stream) readErrorText(n uint32) error {
	if n > maxErrorText {
		return fmt.Errorf("%w: an error of %d bytes", ErrProtocol, n)
	}
	text := make([]byte, n)
	if _, err := io.ReadFull(s.r, text); err != nil {
		return cut(err)
	}
	return &RemoteError{Text: strings.ToValidUTF8(string(text), "?")}
}

// readMessage reads one whole data frame of at most limit bytes.
func (s *stream) readMessage(limit int) ([]byte, error) {
	if s.left != 0 {
		return nil, fmt.Errorf("%w: a message inside a frame", ErrProtocol)
	}
	if err := s.nextFrame(); err != nil {
		return nil, err
	}
	if s.left > limit {
		return nil, fmt.Errorf("%w: a message of %d bytes", ErrProtocol, s.left)
	}
	msg := make([]byte, s.left)
	s.left = 0
	if _, err := io.ReadFull(s.r, msg); err != nil {
		s.readErr = cut(err)
		return nil, s.readErr
	}
	return msg, nil
}

// writeMessage sends p, which must fit a frame, as exactly one.
func (s *stream) writeMessage(p []byte) error {
	if len(p) == 0 || len(p) > maxFrame {
		return fmt.Errorf("volume stream: a message of %d bytes", len(p))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.flush(); err != nil {
		return err
	}
	return s.send(uint32(len(p)), p)
}

// Write sends p, small pieces gathered; Flush or CloseWrite send the rest.
func (s *stream) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.writeErr != nil {
		return 0, s.writeErr
	}
	written := 0
	for len(p) > 0 {
		n := min(len(p), maxFrame)
		if n >= writeBuffer && len(s.buf) == 4 {
			if err := s.send(uint32(n), p[:n]); err != nil {
				return written, err
			}
		} else {
			n = min(n, cap(s.buf)-len(s.buf))
			s.buf = append(s.buf, p[:n]...)
			if len(s.buf) == cap(s.buf) {
				if err := s.flush(); err != nil {
					return written, err
				}
			}
		}
		written, p = written+n, p[n:]
	}
	return written, nil
}

// Flush sends what Write has gathered.
func (s *stream) Flush() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.flush()
}

func (s *stream) flush() error {
	if s.writeErr != nil {
		return s.writeErr
	}
	if len(s.buf) == 4 {
		return nil
	}
	binary.BigEndian.PutUint32(s.buf, uint32(len(s.buf)-4))
	_, err := s.conn.Write(s.buf)
	s.buf = s.buf[:4]
	s.writeErr = err
	return err
}

// send writes one frame without copying its payload.
func (s *stream) send(head uint32, payload []byte) error {
	if s.writeErr != nil {
		return s.writeErr
	}
	var h [4]byte
	binary.BigEndian.PutUint32(h[:], head)
	bufs := net.Buffers{h[:], payload}
	_, s.writeErr = bufs.WriteTo(s.conn)
	return s.writeErr
}

// CloseWrite ends this end's direction: all that was written is complete.
// After the end of the direction, either way, it does nothing.
func (s *stream) CloseWrite() error {
	return s.end(0, nil)
}

// Fail ends this end's direction with cause, which the other end's Read
// returns as a *RemoteError. After the end of the direction it does nothing.
func (s *stream) Fail(cause error) error {
	text := cause.Error()
	return s.end(errorFrame, []byte(text[:min(len(text), maxErrorText)]))
}

func (s *stream) end(head uint32, text []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if errors.Is(s.writeErr, errEnded) {
		return nil
	}
	if err := s.flush(); err != nil {
		return err
	}
	if err := s.send(head|uint32(len(text)), text); err != nil {
		return err
	}
	s.writeErr = errEnded
	return nil
}

// finish reads what the other end still sends, up to its end, so that the
// connection can take the next job. It says whether it can: both directions
// have ended by a frame.
func (s *stream) finish() bool {
	_, err := io.Copy(io.Discard, readerOnly{s})
	var remote *RemoteError
	s.mu.Lock()
	defer s.mu.Unlock()
	return (err == nil || errors.As(err, &remote)) && errors.Is(s.writeErr, errEnded)
}

// readerOnly hides every other method from io.Copy.
type readerOnly struct{ io.Reader }

// cut turns the end of a connection into what it is: an unexpected one.
func cut(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// ended says whether both directions have ended by a frame. Nobody may be
// reading.
func (s *stream) ended() bool {
	var remote *RemoteError
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.left == 0 && (errors.Is(s.readErr, io.EOF) || errors.As(s.readErr, &remote)) && errors.Is(s.writeErr, errEnded)
}
