package rest

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/ripplebak/ripplebak/storage"
	"github.com/ripplebak/ripplebak/storage/transport"
)

// Options say what the address does not. The zero value is right.
type Options struct {
	// StallTimeout ends a request that makes no progress; 0 means a minute.
	StallTimeout time.Duration
	// Requests, where set, counts what is sent.
	Requests *storage.Requests
	// Limits slow transfers down. Nil: nothing does.
	Limits *storage.Limits
}

// caVariable names the certificate of a private CA, as for stock restic.
const caVariable = "RESTIC_CACERT"

// Open returns the store at an address. It sends nothing yet. Each variable is
// asked for by env, so that it may come from a secret's file.
//
// What comes back does not try anything twice; see [storage.Retry].
func Open(addr Address, env func(string) string, opt Options) (storage.Store, error) {
	if opt.StallTimeout <= 0 {
		opt.StallTimeout = time.Minute
	}
	base, err := transport.New(caVariable, env)
	if err != nil {
		return nil, err
	}
	b := &backend{addr: addr, base: base, requests: opt.Requests}
	b.user, b.password = addr.login(env)
	b.client = &http.Client{
		Transport: &transport.Watched{Next: base, Stall: opt.StallTimeout, Limits: opt.Limits},
		// A password is sent where its owner wrote that it goes, and a POST
		// that is redirected would turn into a GET.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return storage.New(b), nil
}

type backend struct {
	addr           Address
	user, password string
	client         *http.Client
	base           *http.Transport
	requests       *storage.Requests

	packs atomic.Int64 // that were saved, for the turns of reading back
}

func (b *backend) Location() string { return "rest:" + b.addr.String() }

func (b *backend) Close() error {
	b.base.CloseIdleConnections()
	return nil
}

// place is where a file lies below the repository's address. Packs have no
// folder of two digits here: that is the server's business.
func place(h storage.Handle) string {
	if h.Kind == storage.ConfigFile {
		return "config"
	}
	return h.Kind.Dir() + "/" + h.Name
}

// request is one request to the server.
type request struct {
	method, place string
	accept, span  string    // headers, where not empty
	body          io.Reader // nil: none
	size          int64     // of the body
}

// send sends one request. The error is named. Its answer is a success, or 206,
// and its body is the caller's to close.
func (b *backend) send(ctx context.Context, r request) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, r.method, b.addr.String()+r.place, r.body)
	if err != nil {
		return nil, fmt.Errorf("%w: %s", storage.ErrInvalid, transport.Line(err.Error()))
	}
	if r.body != nil {
		// Known even where it is 0, so that nothing is ever sent by half.
		req.ContentLength, req.GetBody = r.size, nil
		if r.size == 0 {
			req.Body = http.NoBody
		}
		req.Header.Set("Content-Type", "application/octet-stream")
	}
	if r.accept != "" {
		req.Header.Set("Accept", r.accept)
	}
	if r.span != "" {
		req.Header.Set("Range", r.span)
	}
	req.Header.Set("User-Agent", "ripplebak")
	if b.user != "" || b.password != "" {
		req.SetBasicAuth(b.user, b.password)
	}
	b.count(r)
	resp, err := b.client.Do(req)
	if err != nil {
		return nil, b.named(ctx, err)
	}
	if resp.StatusCode == http.StatusOK || resp.StatusCode == http.StatusPartialContent ||
		resp.StatusCode == http.StatusCreated || resp.StatusCode == http.StatusNoContent {
		return resp, nil
	}
	return nil, b.answered(r, resp)
}

// count counts a request by what it does: a POST of this protocol stores as a
// PUT of others.
func (b *backend) count(r request) {
	if r.method == http.MethodPost && r.body != nil {
		b.requests.HTTP(http.MethodPut, false)
		return
	}
	b.requests.HTTP(r.method, r.accept != "")
}

// ask is send for answers of which only the headers matter.
func (b *backend) ask(ctx context.Context, r request) (http.Header, error) {
	resp, err := b.send(ctx, r)
	if err != nil {
		return nil, err
	}
	if r.method != http.MethodHead {
		// What is read to its end leaves a connection that can be used again.
		_, err = io.Copy(io.Discard, io.LimitReader(resp.Body, maxAnswer))
	}
	if cerr := resp.Body.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return nil, b.named(ctx, err)
	}
	return resp.Header, nil
}

func (b *backend) Probe(ctx context.Context) error {
	// The answer to this tells what is wrong: a HEAD has no body, and a config
	// that is not there says nothing about the address.
	err := b.list(ctx, storage.KeyFile, func(storage.Info) error { return nil })
	if err != nil {
		return fmt.Errorf("%s: %w", b.Location(), err)
	}
	return nil
}

// Provision makes the folders. The protocol's request for it may be repeated.
func (b *backend) Provision(ctx context.Context) error {
	if _, err := b.ask(ctx, request{method: http.MethodPost, place: "?create=true"}); err != nil {
		return fmt.Errorf("%s: make the repository's folders: %w", b.Location(), err)
	}
	return nil
}

// Remove removes a file. An append-only server lets only locks go.
func (b *backend) Remove(ctx context.Context, h storage.Handle) error {
	_, err := b.ask(ctx, request{method: http.MethodDelete, place: place(h)})
	if isAbsent(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("remove %s: %w", h, err)
	}
	return nil
}
