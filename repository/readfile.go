package repository

import (
	"context"
	"fmt"
	"io"

	"github.com/ripplebak/ripplebak/storage"
)

// readFile loads a whole file of at most limit bytes.
func readFile(ctx context.Context, r storage.Reader, h storage.Handle, limit int64) ([]byte, error) {
	info, err := r.Stat(ctx, h)
	if err != nil {
		return nil, err
	}
	return readSized(ctx, r, h, info.Size, limit)
}

// readSized is readFile for a file whose size is known from a listing.
func readSized(ctx context.Context, r storage.Reader, h storage.Handle, size, limit int64) ([]byte, error) {
	if size > limit {
		return nil, damaged("%s has %d bytes, more than such a file can have", h, size)
	}
	if size <= 0 {
		return nil, damaged("%s is empty", h)
	}
	return readRange(ctx, r, h, 0, make([]byte, size))
}

// readRange fills buf from offset on.
func readRange(ctx context.Context, r storage.Reader, h storage.Handle, offset int64, buf []byte) (_ []byte, err error) {
	rc, err := r.Load(ctx, h, offset, int64(len(buf)))
	if err != nil {
		return nil, err
	}
	defer func() {
		if cerr := rc.Close(); cerr != nil && err == nil {
			err = fmt.Errorf("close %s: %w", h, cerr)
		}
	}()
	if _, err := io.ReadFull(rc, buf); err != nil {
		return nil, fmt.Errorf("load %s: %w", h, err)
	}
	return buf, nil
}
