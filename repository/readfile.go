package repository

import (
	"context"
	"fmt"
	"io"

	"github.com/ripplebak/ripplebak/storage"
)

// readFile loads a whole file of at most limit bytes, by one request.
func readFile(ctx context.Context, r storage.Reader, h storage.Handle, limit int64) (_ []byte, err error) {
	rc, err := r.Load(ctx, h, 0, 0)
	if err != nil {
		return nil, err
	}
	defer func() {
		if cerr := rc.Close(); cerr != nil && err == nil {
			err = fmt.Errorf("close %s: %w", h, cerr)
		}
	}()
	data, err := io.ReadAll(io.LimitReader(rc, limit+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("load %s: %w", h, err)
	case int64(len(data)) > limit:
		return nil, damaged("%s has more than the %d bytes that such a file can have", h, limit)
	case len(data) == 0:
		return nil, damaged("%s is empty", h)
	}
	return data, nil
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
