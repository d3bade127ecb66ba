package rest

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/ripplebak/ripplebak/storage"
)

// proveSource reads a payload before anything is sent. Not every server
// compares the hash itself, and some show what they have of an upload until
// they notice that it broke off.
func proveSource(src io.ReadSeeker, p storage.Payload) error {
	sum := sha256.New()
	if _, err := io.Copy(sum, src); err != nil {
		return err
	}
	if [sha256.Size]byte(sum.Sum(nil)) != p.SHA256 {
		return fmt.Errorf("%w: its content is not what its hash says", storage.ErrSource)
	}
	_, err := src.Seek(0, io.SeekStart)
	return err
}

// recorder keeps the failure of a reader, which those that read it wrap in
// words of their own.
type recorder struct {
	r io.Reader

	mu  sync.Mutex // the connection may still read when the answer is here
	err error
}

func (r *recorder) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		r.mu.Lock()
		r.err = err
		r.mu.Unlock()
	}
	return n, err
}

func (r *recorder) failed() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}
