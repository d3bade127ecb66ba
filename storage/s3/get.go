package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/minio/minio-go/v7"

	"github.com/ripplebak/ripplebak/storage"
	"github.com/ripplebak/ripplebak/storage/transport"
)

func (b *backend) Load(ctx context.Context, h storage.Handle, offset, length int64) (io.ReadCloser, int64, error) {
	rc, n, err := b.load(ctx, h, offset, length)
	if err != nil && !errors.Is(err, storage.ErrTruncated) {
		err = fmt.Errorf("load %s: %w", h, err)
	}
	return rc, n, err
}

func (b *backend) load(ctx context.Context, h storage.Handle, offset, length int64) (io.ReadCloser, int64, error) {
	var opts minio.GetObjectOptions
	span := transport.Span(offset, length)
	if span != "" {
		opts.Set("Range", span)
	}
	var body io.ReadCloser
	var header http.Header
	err := b.send(func() (err error) {
		body, _, header, err = b.client.GetObject(ctx, b.addr.Bucket, b.key(h.Path()), opts)
		return err
	})
	if r, ok := responseOf(err); ok && (r.Code == "InvalidRange" || r.StatusCode == http.StatusRequestedRangeNotSatisfiable) {
		return b.beyond(ctx, h, offset, length)
	}
	if err != nil {
		return nil, 0, b.named(ctx, err)
	}
	size, err := strconv.ParseInt(header.Get("Content-Length"), 10, 64)
	if err != nil || size < 0 {
		return nil, 0, storage.CloseAfter(body, fmt.Errorf("%w: the server does not say how long its answer is", storage.ErrRefused))
	}
	rc := &transport.Download{Body: body, Name: func(err error) error { return b.named(ctx, err) }}
	if span == "" {
		return rc, size, nil
	}
	if header.Get("Content-Range") == "" {
		return transport.Skip(rc, h, offset, length, size)
	}
	if !strings.HasPrefix(header.Get("Content-Range"), fmt.Sprintf("bytes %d-", offset)) {
		return nil, 0, storage.CloseAfter(body, fmt.Errorf("%w: the server sent another range than the one asked for", storage.ErrRefused))
	}
	return rc, size, nil
}

// beyond answers for a range that the server finds no byte of.
func (b *backend) beyond(ctx context.Context, h storage.Handle, offset, length int64) (io.ReadCloser, int64, error) {
	info, err := b.Stat(ctx, h)
	if err != nil {
		return nil, 0, err
	}
	if info.Size == offset && length <= 0 {
		return io.NopCloser(strings.NewReader("")), 0, nil
	}
	return nil, 0, storage.Truncated(h, offset, length, info.Size-offset)
}

func (b *backend) Stat(ctx context.Context, h storage.Handle) (storage.Info, error) {
	size, err := b.head(ctx, h)
	if errors.Is(err, storage.ErrNotExist) {
		if err = b.absent(ctx, h); err == nil {
			size, err = b.head(ctx, h)
		}
	}
	if err != nil {
		return storage.Info{}, fmt.Errorf("stat %s: %w", h, err)
	}
	return storage.Info{Name: h.Name, Size: size}, nil
}

func (b *backend) head(ctx context.Context, h storage.Handle) (int64, error) {
	var info minio.ObjectInfo
	err := b.call(ctx, func() (err error) {
		info, err = b.client.StatObject(ctx, b.addr.Bucket, b.key(h.Path()), minio.StatObjectOptions{})
		return err
	})
	return info.Size, err
}

// absent asks once more with a request whose answer has a body. The 404 to a
// HEAD says too little: versitygw says 404 for an unknown access key as well,
// and a bucket that is gone looks like a file that is not there. It is nil
// where the file appeared meanwhile.
func (b *backend) absent(ctx context.Context, h storage.Handle) error {
	rc, _, err := b.load(ctx, h, 0, 0)
	if err != nil {
		return err
	}
	return rc.Close()
}

func (b *backend) Remove(ctx context.Context, h storage.Handle) error {
	err := b.call(ctx, func() error {
		return b.client.RemoveObject(ctx, b.addr.Bucket, b.key(h.Path()), minio.RemoveObjectOptions{})
	})
	if err != nil && (!errors.Is(err, storage.ErrNotExist) || errors.Is(err, storage.ErrNoBucket)) {
		return fmt.Errorf("remove %s: %w", h, b.retained(ctx, h, err))
	}
	return nil
}
