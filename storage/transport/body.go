package transport

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"

	"github.com/ripplebak/ripplebak/storage"
)

// Span is the value of a Range header for length bytes from offset on, or for
// all of them where length <= 0; empty where the whole file is asked for.
func Span(offset, length int64) string {
	if offset <= 0 && length <= 0 {
		return ""
	}
	span := fmt.Sprintf("bytes=%d-", offset)
	if length > 0 {
		span += strconv.FormatInt(offset+length-1, 10)
	}
	return span
}

// Skip reads past the beginning of a file of size bytes for servers that
// ignore ranges, and returns how many bytes of the range follow. After an error
// rc is closed.
func Skip(rc io.ReadCloser, h storage.Handle, offset, length, size int64) (io.ReadCloser, int64, error) {
	if offset > size {
		return nil, 0, storage.CloseAfter(rc, storage.Truncated(h, offset, length, size-offset))
	}
	if _, err := io.CopyN(io.Discard, rc, offset); err != nil {
		return nil, 0, storage.CloseAfter(rc, err)
	}
	n := size - offset
	if length > 0 {
		n = min(n, length)
	}
	return rc, n, nil
}

// Download is the body of an answer, whose errors are named.
type Download struct {
	Body io.ReadCloser
	Name func(error) error
}

func (d *Download) Read(p []byte) (int, error) {
	n, err := d.Body.Read(p)
	if err == nil || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return n, err // the seal knows how much is missing
	}
	return n, d.Name(err)
}

// Close closes the body.
func (d *Download) Close() error { return d.Body.Close() }

// Recorder keeps the failure of a reader, which HTTP clients and decoders wrap
// in words of their own. It has no Seek: no client must start over on its own.
type Recorder struct {
	r io.Reader

	mu  sync.Mutex // the connection may still read when the answer is here
	err error
}

// NewRecorder returns a Recorder over r.
func NewRecorder(r io.Reader) *Recorder { return &Recorder{r: r} }

func (r *Recorder) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		r.mu.Lock()
		r.err = err
		r.mu.Unlock()
	}
	return n, err
}

// Failed is what went wrong, io.EOF aside; nil if nothing did.
func (r *Recorder) Failed() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}
