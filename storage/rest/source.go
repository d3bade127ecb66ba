package rest

import (
	"crypto/sha256"
	"fmt"
	"io"

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
