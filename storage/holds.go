package storage

import (
	"context"
	"crypto/sha256"
	"io"
)

// Holds says whether the backend's file is exactly the payload.
func Holds(ctx context.Context, b Backend, h Handle, p Payload) (bool, error) {
	rc, size, err := b.Load(ctx, h, 0, 0)
	if err != nil {
		return false, err
	}
	if size != p.Size {
		return false, rc.Close()
	}
	sum, err := digest(&exactReader{h: h, rc: rc, left: size, size: size})
	if cerr := rc.Close(); err == nil {
		err = cerr
	}
	return err == nil && sum == p.SHA256, err
}

func digest(r io.Reader) (sum [sha256.Size]byte, err error) {
	hash := sha256.New()
	if _, err := io.Copy(hash, r); err != nil {
		return sum, err
	}
	return [sha256.Size]byte(hash.Sum(nil)), nil
}
