package docker

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
)

// The Engine multiplexes a command's streams into frames: one byte that says
// which stream, three zero bytes, four bytes of length (big-endian), payload.
const (
	frameHeader = 8
	streamIn    = 0
	streamOut   = 1
	streamErr   = 2
	streamSys   = 3
	// maxFrame bounds what a header may announce. Engines send 32 KiB; the
	// bound only tells nonsense from a frame.
	maxFrame = 64 << 20
	// maxSystem bounds the message of a streamSys frame.
	maxSystem = 4 << 10
)

// frames reads the stdout of a multiplexed stream. Read returns io.EOF only at
// the end of a frame; an end anywhere else is ErrFrame.
type frames struct {
	r *bufio.Reader
	// stderr takes every byte of the command's stderr.
	stderr io.Writer
	// moved is told of stdout arriving.
	moved func()
	// left is how much of the current stdout frame is still to come.
	left int64
	err  error
}

func newFrames(r *bufio.Reader, stderr io.Writer, moved func()) *frames {
	return &frames{r: r, stderr: stderr, moved: moved}
}

func (f *frames) Read(p []byte) (int, error) {
	if len(p) == 0 || f.err != nil {
		return 0, f.err
	}
	for f.left == 0 {
		if f.err = f.next(); f.err != nil {
			return 0, f.err
		}
	}
	if int64(len(p)) > f.left {
		p = p[:f.left]
	}
	n, err := f.r.Read(p)
	f.left -= int64(n)
	if n > 0 {
		f.moved()
	}
	if err != nil {
		f.err = f.torn(err, f.left)
		if n == 0 {
			return 0, f.err
		}
	}
	return n, nil
}

// next reads a header, and swallows the frame unless it is stdout.
func (f *frames) next() error {
	var h [frameHeader]byte
	if n, err := io.ReadFull(f.r, h[:]); err != nil {
		if n == 0 {
			return err
		}
		return f.torn(err, int64(frameHeader-n))
	}
	size := int64(binary.BigEndian.Uint32(h[4:]))
	if h[1] != 0 || h[2] != 0 || h[3] != 0 || h[0] > streamSys || size > maxFrame {
		return fmt.Errorf("not a frame of the docker engine (%q): %w", h[:], ErrFrame)
	}
	switch h[0] {
	case streamOut:
		f.left = size
		return nil
	case streamErr:
		n, err := io.CopyN(f.stderr, f.r, size)
		if err != nil {
			return f.torn(err, size-n)
		}
		return nil
	case streamSys:
		var b strings.Builder
		n, err := io.CopyN(&b, f.r, min(size, maxSystem))
		if err != nil {
			return f.torn(err, size-n)
		}
		return fmt.Errorf("docker engine: %s: %w", strings.TrimSpace(b.String()), ErrCut)
	}
	return fmt.Errorf("a frame of stdin came out of the docker engine: %w", ErrFrame)
}

// torn turns an end inside a frame into ErrFrame. Errors that are no end (a
// time-out of ours) stay what they are.
func (f *frames) torn(err error, missing int64) error {
	if missing == 0 {
		return err
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || hungUp(err) {
		return fmt.Errorf("%w, %d bytes missing", ErrFrame, missing)
	}
	return err
}

// tail keeps the last bytes that were written to it.
type tail struct {
	limit int
	buf   []byte
	total int64
}

func newTail(limit int) *tail { return &tail{limit: limit} }

// Write never fails and never holds more than twice the limit.
func (t *tail) Write(p []byte) (int, error) {
	n := len(p)
	t.total += int64(n)
	if len(p) >= t.limit {
		t.buf = append(t.buf[:0], p[len(p)-t.limit:]...)
		return n, nil
	}
	if len(t.buf)+len(p) > 2*t.limit {
		keep := t.limit - len(p)
		t.buf = append(t.buf[:0], t.buf[len(t.buf)-keep:]...)
	}
	t.buf = append(t.buf, p...)
	return n, nil
}

// String is the tail, as valid UTF-8, with a mark where something is missing.
func (t *tail) String() string {
	b := t.buf
	if len(b) > t.limit {
		b = b[len(b)-t.limit:]
	}
	s := strings.ToValidUTF8(string(b), "\uFFFD")
	if t.total > int64(len(b)) {
		s = "... " + s
	}
	return s
}
