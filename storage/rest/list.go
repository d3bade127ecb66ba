package rest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/ripplebak/ripplebak/storage"
	"github.com/ripplebak/ripplebak/storage/transport"
)

const (
	typeV1 = "application/vnd.x.restic.rest.v1"
	typeV2 = "application/vnd.x.restic.rest.v2"
)

func (b *backend) List(ctx context.Context, k storage.Kind, fn func(storage.Info) error) error {
	if k == storage.ConfigFile {
		info, err := b.Stat(ctx, storage.Handle{Kind: k})
		if isAbsent(err) {
			return nil
		}
		if err != nil {
			return err
		}
		return fn(info)
	}
	var ours error
	err := b.list(ctx, k, func(i storage.Info) error {
		ours = fn(i)
		return ours
	})
	if ours != nil {
		return ours
	}
	if err != nil {
		return fmt.Errorf("list %s files: %w", k, err)
	}
	return nil
}

func (b *backend) list(ctx context.Context, k storage.Kind, fn func(storage.Info) error) (err error) {
	resp, err := b.send(ctx, request{method: http.MethodGet, place: k.Dir() + "/", accept: typeV2})
	if isAbsent(err) {
		return b.noFolder(ctx)
	}
	if err != nil {
		return err
	}
	body := b.body(ctx, resp.Body)
	defer func() {
		if cerr := body.Close(); err == nil {
			err = cerr
		}
	}()
	kind, _, merr := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if merr == nil && kind == typeV2 {
		return decodeListing(body, func(i item) error { return fn(storage.Info{Name: i.Name, Size: i.Size}) })
	}
	return b.listV1(ctx, k, body, fn)
}

// noFolder tells a folder that nobody needed so far from a repository that is
// not there.
func (b *backend) noFolder(ctx context.Context) error {
	_, err := b.Stat(ctx, storage.Handle{Kind: storage.ConfigFile})
	if isAbsent(err) {
		return fmt.Errorf("there is no repository at this address: %w (%w)", storage.ErrNoBucket, storage.ErrNotExist)
	}
	return err
}

// item is one element of a listing. Version 1 has names only.
type item struct {
	Name string
	Size int64
}

func (i *item) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '"' {
		i.Size = -1
		return json.Unmarshal(data, &i.Name)
	}
	var v2 struct {
		Name *string `json:"name"`
		Size *int64  `json:"size"`
	}
	if err := json.Unmarshal(data, &v2); err != nil {
		return err
	}
	if v2.Name == nil || v2.Size == nil || *v2.Size < 0 {
		return errors.New("an element without name and size")
	}
	i.Name, i.Size = *v2.Name, *v2.Size
	return nil
}

// decodeListing reads a JSON array of items to its proven end. Servers write
// null for one that is empty.
func decodeListing(r io.Reader, fn func(item) error) error {
	body := transport.NewRecorder(r)
	d := json.NewDecoder(body)
	badListing := func(err error) error { return badListing(err, body.Failed()) }
	open, err := d.Token()
	if err != nil {
		return badListing(err)
	}
	if open == json.Delim('[') {
		for d.More() {
			var i item
			if err := d.Decode(&i); err != nil {
				return badListing(err)
			}
			if err := fn(i); err != nil {
				return err
			}
		}
		if _, err := d.Token(); err != nil {
			return badListing(err)
		}
	} else if open != nil {
		return badListing(errors.New("no array"))
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		if err == nil {
			err = errors.New("more after its end")
		}
		return badListing(err)
	}
	return nil
}

// badListing names what is wrong with a listing: one that is cut may come
// whole the next time, one of another kind will not. broken is what happened to
// the transfer.
func badListing(err, broken error) error {
	switch {
	case broken != nil && !errors.Is(broken, io.ErrUnexpectedEOF):
		return broken
	case broken != nil, errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("%w: the listing ends in the middle", storage.ErrShort)
	}
	return fmt.Errorf("%w: its answer is no listing; is this a server for restic's REST protocol?", storage.ErrRefused)
}

// sizesAtOnce is how many sizes are asked for at the same time.
const sizesAtOnce = 8

// listV1 takes the listing of an old server, which holds no sizes: they are
// asked for one by one.
func (b *backend) listV1(ctx context.Context, k storage.Kind, body io.Reader, fn func(storage.Info) error) error {
	var mu sync.Mutex // fn is never called twice at once
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(sizesAtOnce)
	err := decodeListing(body, func(i item) error {
		h := storage.Handle{Kind: k, Name: i.Name}
		if h.Valid() != nil {
			return ctx.Err()
		}
		group.Go(func() error {
			info := storage.Info{Name: i.Name, Size: i.Size}
			if info.Size < 0 {
				var err error
				if info, err = b.Stat(ctx, h); isAbsent(err) {
					return nil // removed meanwhile, as locks are
				} else if err != nil {
					return err
				}
			}
			mu.Lock()
			defer mu.Unlock()
			if err := ctx.Err(); err != nil {
				return err
			}
			return fn(info)
		})
		return ctx.Err()
	})
	if gerr := group.Wait(); gerr != nil {
		return gerr
	}
	return err
}
