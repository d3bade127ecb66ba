package s3

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/minio/minio-go/v7"

	"github.com/ripplebak/ripplebak/storage"
)

func (b *backend) List(ctx context.Context, k storage.Kind, fn func(storage.Info) error) error {
	if k == storage.ConfigFile {
		info, err := b.Stat(ctx, storage.Handle{Kind: k})
		if errors.Is(err, storage.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		return fn(info)
	}
	var ours error
	err := b.call(ctx, func() error {
		l := &listing{}
		prefix := b.key("")
		for o := range b.objects(ctx, l, b.key(k.Dir()+"/")) {
			if o.Err != nil {
				return o.Err
			}
			path, ok := strings.CutPrefix(o.Key, prefix)
			if h, known := storage.HandleAt(path); ok && known && h.Kind == k {
				l.saw(h.Name)
				if ours = fn(storage.Info{Name: h.Name, Size: o.Size, Modified: o.LastModified}); ours != nil {
					return nil
				}
			}
		}
		// A cancelled listing ends without an error in minio-go.
		return context.Cause(ctx)
	})
	if ours != nil {
		return ours
	}
	if err != nil {
		return fmt.Errorf("list %s files: %w", k, err)
	}
	return nil
}

func (b *backend) objects(ctx context.Context, l *listing, prefix string) func(func(minio.ObjectInfo) bool) {
	owner := false
	return b.client.ListObjectsIter(context.WithValue(ctx, listingKey{}, l), b.addr.Bucket,
		minio.ListObjectsOptions{Prefix: prefix, Recursive: true, FetchOwner: &owner})
}

// listingKey finds the listing that a request belongs to.
type listingKey struct{}

// paging lets the listing that a request belongs to look at it first.
type paging struct{ next http.RoundTripper }

func (p paging) RoundTrip(req *http.Request) (*http.Response, error) {
	if l, ok := req.Context().Value(listingKey{}).(*listing); ok {
		if err := l.page(req); err != nil {
			return nil, err
		}
	}
	return p.next.RoundTrip(req)
}

// listing watches the pages of one listing, because minio-go would follow a
// server in circles for ever.
type listing struct {
	tokens map[string]struct{} // continuation tokens that were used
	last   string              // the greatest name so far
	idle   int                 // pages in a row without a greater one
	moved  bool
}

// maxIdlePages is how many pages may come without anything new.
const maxIdlePages = 1000

func (l *listing) saw(name string) {
	if name > l.last {
		l.last, l.moved = name, true
	}
}

// page is called before each request of the listing.
func (l *listing) page(req *http.Request) error {
	token := req.URL.Query().Get("continuation-token")
	if token == "" {
		return nil
	}
	if _, used := l.tokens[token]; used {
		return fmt.Errorf("%w: the server's listing goes in circles", storage.ErrRefused)
	}
	if l.tokens == nil {
		l.tokens = make(map[string]struct{})
	}
	l.tokens[token] = struct{}{}
	if l.idle++; l.moved {
		l.idle, l.moved = 0, false
	}
	if l.idle > maxIdlePages {
		return fmt.Errorf("%w: the server's listing has %d pages without anything new", storage.ErrRefused, maxIdlePages)
	}
	return nil
}
