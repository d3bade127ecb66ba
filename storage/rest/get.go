package rest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

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
	r := request{method: http.MethodGet, place: place(h), span: transport.Span(offset, length)}
	resp, err := b.send(ctx, r)
	if err != nil {
		if errors.Is(err, errRange) {
			return b.beyond(ctx, h, offset, length)
		}
		return nil, 0, err
	}
	size := resp.ContentLength
	if size < 0 && r.span != "" {
		// That is how rclone answers for a range behind the end.
		rc, n, err := b.beyond(ctx, h, offset, length)
		return rc, n, closeWith(resp.Body, err)
	}
	if size < 0 {
		return nil, 0, storage.CloseAfter(resp.Body, fmt.Errorf("%w: the server does not say how long its answer is", storage.ErrRefused))
	}
	rc := b.body(ctx, resp.Body)
	if resp.StatusCode != http.StatusPartialContent {
		return transport.Skip(rc, h, offset, length, size)
	}
	if r.span == "" || !strings.HasPrefix(resp.Header.Get("Content-Range"), fmt.Sprintf("bytes %d-", offset)) {
		return nil, 0, storage.CloseAfter(resp.Body, fmt.Errorf("%w: the server sent another range than the one asked for", storage.ErrRefused))
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
	if offset < info.Size {
		return nil, 0, fmt.Errorf("%w: the server does not answer for this range", storage.ErrRefused)
	}
	return nil, 0, storage.Truncated(h, offset, length, info.Size-offset)
}

// body names the errors of an answer's body.
func (b *backend) body(ctx context.Context, rc io.ReadCloser) io.ReadCloser {
	return &transport.Download{Body: rc, Name: func(err error) error { return b.named(ctx, err) }}
}

func (b *backend) Stat(ctx context.Context, h storage.Handle) (storage.Info, error) {
	header, err := b.ask(ctx, request{method: http.MethodHead, place: place(h)})
	if err != nil {
		return storage.Info{}, fmt.Errorf("stat %s: %w", h, err)
	}
	size, err := strconv.ParseInt(header.Get("Content-Length"), 10, 64)
	if err != nil || size < 0 {
		return storage.Info{}, fmt.Errorf("stat %s: %w: the server does not say how long it is", h, storage.ErrRefused)
	}
	return storage.Info{Name: h.Name, Size: size}, nil
}

// closeWith closes c; err is what matters more.
func closeWith(c io.Closer, err error) error {
	if cerr := c.Close(); err == nil {
		return cerr
	}
	return err
}
