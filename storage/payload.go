package storage

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
)

// Payload is the content of a file to be stored. Size and hash are known
// before the first byte is sent, so that nothing is ever stored by half.
type Payload struct {
	Size   int64
	SHA256 [sha256.Size]byte
	// Open returns a reader at the start of the content. It is called once
	// for each try, and the reader is closed after each.
	Open func() (io.ReadSeekCloser, error)
}

// NewPayload returns the payload of bytes in memory, which must not change
// until the payload was used.
func NewPayload(data []byte) Payload {
	return Payload{
		Size:   int64(len(data)),
		SHA256: sha256.Sum256(data),
		Open: func() (io.ReadSeekCloser, error) {
			return nopSeekCloser{bytes.NewReader(data)}, nil
		},
	}
}

// nopSeekCloser keeps only the methods that a payload may offer, so that no
// reader behind it is taken for something with a length of its own.
type nopSeekCloser struct{ io.ReadSeeker }

func (nopSeekCloser) Close() error { return nil }

// guarded returns p with readers that hold it to its word.
func (p Payload) guarded() (Payload, error) {
	if p.Open == nil || p.Size < 0 {
		return p, fmt.Errorf("%w: payload without content or size", ErrInvalid)
	}
	open := p.Open
	p.Open = func() (io.ReadSeekCloser, error) {
		r, err := open()
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrSource, err)
		}
		return &sourceReader{src: r, size: p.Size}, nil
	}
	return p, nil
}

// sourceReader passes EOF on only after exactly size bytes, and marks every
// other failure as the source's, io.ErrUnexpectedEOF among them: a client
// library must not take that for the end.
type sourceReader struct {
	src  io.ReadSeekCloser
	pos  int64
	size int64
	done bool // the source was seen to end at size
}

func (r *sourceReader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if r.pos == r.size {
		return 0, r.end()
	}
	if int64(len(p)) > r.size-r.pos {
		p = p[:r.size-r.pos]
	}
	n, err := r.src.Read(p)
	r.pos += int64(n)
	switch {
	case err == nil:
		return n, nil
	case errors.Is(err, io.EOF) && r.pos == r.size:
		r.done = true
		return n, nil
	case errors.Is(err, io.EOF):
		return n, fmt.Errorf("%w: it ended after %d of %d bytes", ErrSource, r.pos, r.size)
	}
	return n, sourceError{err}
}

// end proves that the source has nothing more to say.
func (r *sourceReader) end() error {
	if r.done {
		return io.EOF
	}
	var one [1]byte
	for range 100 {
		n, err := r.src.Read(one[:])
		if n > 0 {
			return fmt.Errorf("%w: it has more than the %d bytes announced", ErrSource, r.size)
		}
		if errors.Is(err, io.EOF) {
			r.done = true
			return io.EOF
		}
		if err != nil {
			return sourceError{err}
		}
	}
	return sourceError{io.ErrNoProgress}
}

func (r *sourceReader) Seek(offset int64, whence int) (int64, error) {
	if whence == io.SeekEnd {
		offset, whence = r.size+offset, io.SeekStart
	}
	pos, err := r.src.Seek(offset, whence)
	if err != nil {
		return pos, sourceError{err}
	}
	r.pos, r.done = pos, false
	if pos > r.size {
		return pos, fmt.Errorf("%w: seek past the end", ErrSource)
	}
	return pos, nil
}

func (r *sourceReader) Close() error { return r.src.Close() }

// sourceError carries the text of a source's failure but not its identity
// where that is an EOF, which the code below us would misread.
type sourceError struct{ err error }

func (e sourceError) Error() string { return ErrSource.Error() + ": " + e.err.Error() }

func (e sourceError) Is(target error) bool {
	if target == ErrSource {
		return true
	}
	return target != io.EOF && target != io.ErrUnexpectedEOF && errors.Is(e.err, target)
}
