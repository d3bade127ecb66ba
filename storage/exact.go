package storage

import (
	"errors"
	"fmt"
	"io"
)

// exactReader lets EOF through only after as many bytes as were promised.
type exactReader struct {
	h          Handle
	rc         io.ReadCloser
	left, size int64
}

func (r *exactReader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if r.left == 0 {
		return 0, io.EOF
	}
	if int64(len(p)) > r.left {
		p = p[:r.left]
	}
	n, err := r.rc.Read(p)
	r.left -= int64(n)
	if err == nil || r.left == 0 {
		// All that was promised is here; the next call says EOF.
		return n, nil
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = fmt.Errorf("load %s: %w: %d of %d", r.h, ErrShort, r.size-r.left, r.size)
	}
	return n, err
}

// Remaining is how many bytes a reader that a [Reader]'s Load returned still has
// to give; 0 for any other.
func Remaining(rc io.Reader) int64 {
	if s, ok := rc.(interface{ promised() int64 }); ok {
		return s.promised()
	}
	return 0
}

func (r *exactReader) Close() error { return r.rc.Close() }
