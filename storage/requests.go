package storage

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
)

// RequestCounts is how often a storage was asked, by what it costs there:
// every try and every page of a listing is one. A directory is counted as if
// it were a server.
type RequestCounts struct {
	Put    int64 `json:"put"`
	Get    int64 `json:"get"`
	Head   int64 `json:"head"`
	List   int64 `json:"list"`
	Delete int64 `json:"delete"`
	Other  int64 `json:"other"`
}

// Sum is the number of all requests.
func (c RequestCounts) Sum() int64 { return c.Put + c.Get + c.Head + c.List + c.Delete + c.Other }

// String is for people: "5 PUT, 3 GET, 4 LIST, 1 DELETE".
func (c RequestCounts) String() string {
	var parts []string
	for _, p := range []struct {
		n    int64
		name string
	}{{c.Put, "PUT"}, {c.Get, "GET"}, {c.Head, "HEAD"}, {c.List, "LIST"}, {c.Delete, "DELETE"}, {c.Other, "other"}} {
		if p.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", p.n, p.name))
		}
	}
	if len(parts) == 0 {
		return "nothing"
	}
	return strings.Join(parts, ", ")
}

// Requests counts requests. The zero value is ready; a nil one counts nothing.
type Requests struct {
	put, get, head, list, del, other atomic.Int64
}

// Counts returns the counts so far.
func (r *Requests) Counts() RequestCounts {
	if r == nil {
		return RequestCounts{}
	}
	return RequestCounts{
		Put: r.put.Load(), Get: r.get.Load(), Head: r.head.Load(),
		List: r.list.Load(), Delete: r.del.Load(), Other: r.other.Load(),
	}
}

// HTTP counts a request by its method; list says that a GET asks for a listing.
func (r *Requests) HTTP(method string, list bool) {
	if r == nil {
		return
	}
	switch {
	case list:
		r.list.Add(1)
	case method == http.MethodPut:
		r.put.Add(1)
	case method == http.MethodGet:
		r.get.Add(1)
	case method == http.MethodHead:
		r.head.Add(1)
	case method == http.MethodDelete:
		r.del.Add(1)
	default:
		r.other.Add(1)
	}
}

// CountRequests returns a Store that counts each call as one request: for
// storages that do not count what they send by themselves.
func CountRequests(s Store, r *Requests) Store {
	if r == nil {
		return s
	}
	return New(&requesting{Backend: Join(s), r: r})
}

type requesting struct {
	Backend
	r *Requests
}

func (b *requesting) Load(ctx context.Context, h Handle, offset, length int64) (io.ReadCloser, int64, error) {
	b.r.HTTP(http.MethodGet, false)
	return b.Backend.Load(ctx, h, offset, length)
}

func (b *requesting) Stat(ctx context.Context, h Handle) (Info, error) {
	b.r.HTTP(http.MethodHead, false)
	return b.Backend.Stat(ctx, h)
}

func (b *requesting) List(ctx context.Context, k Kind, fn func(Info) error) error {
	b.r.HTTP(http.MethodGet, true)
	return b.Backend.List(ctx, k, fn)
}

func (b *requesting) Save(ctx context.Context, h Handle, p Payload) error {
	b.r.HTTP(http.MethodPut, false)
	return b.Backend.Save(ctx, h, p)
}

func (b *requesting) Create(ctx context.Context, h Handle, p Payload) error {
	b.r.HTTP(http.MethodPut, false)
	return b.Backend.Create(ctx, h, p)
}

func (b *requesting) Remove(ctx context.Context, h Handle) error {
	b.r.HTTP(http.MethodDelete, false)
	return b.Backend.Remove(ctx, h)
}

func (b *requesting) Probe(ctx context.Context) error {
	b.r.HTTP(http.MethodHead, false)
	return b.Backend.Probe(ctx)
}
