package rest

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/ripplebak/ripplebak/storage"
	"github.com/ripplebak/ripplebak/storage/transport"
)

// readBackEvery is how many packs are stored for each that is read back: what
// damages all of them is found early, at 3 % more traffic. Everything else is
// read back always; it is small, and the packs hang on it.
const readBackEvery = 32

func (b *backend) Save(ctx context.Context, h storage.Handle, p storage.Payload) error {
	err := b.post(ctx, h, p)
	if errors.Is(err, storage.ErrDenied) {
		// Servers that are append-only say this, too, where the file is there:
		// because we saved it before and the answer was lost.
		err = b.there(ctx, h, p, err)
	} else if err == nil {
		err = b.proveStored(ctx, h, p)
	}
	if err != nil {
		return fmt.Errorf("save %s: %w", h, err)
	}
	return nil
}

// there is nil where the file is stored already.
func (b *backend) there(ctx context.Context, h storage.Handle, p storage.Payload, refused error) error {
	same, err := storage.Holds(ctx, b, h, p)
	switch {
	case isAbsent(err):
		return refused
	case err != nil:
		return fmt.Errorf("%w; and look whether it is there: %w", refused, err)
	case !same:
		return fmt.Errorf("%w: a damaged file of this name is in its place, and the server does not let it be replaced; remove it there", refused)
	}
	return nil
}

// Create has no condition to send: the file is looked for before and read back
// after. A server that never replaces files, such as rest-server, makes that
// safe; with others two first runs at the same moment are told apart by what
// is read back.
func (b *backend) Create(ctx context.Context, h storage.Handle, p storage.Payload) error {
	if err := b.create(ctx, h, p); err != nil {
		return fmt.Errorf("create %s: %w", h, err)
	}
	return nil
}

func (b *backend) create(ctx context.Context, h storage.Handle, p storage.Payload) error {
	_, err := b.Stat(ctx, h)
	if err == nil {
		return storage.ErrExist
	}
	if !isAbsent(err) {
		return err
	}
	err = b.post(ctx, h, p)
	if errors.Is(err, storage.ErrDenied) {
		if _, serr := b.Stat(ctx, h); serr == nil {
			return storage.ErrExist
		}
		return err
	}
	if err != nil {
		return err
	}
	same, err := storage.Holds(ctx, b, h, p)
	if err != nil {
		return fmt.Errorf("read back: %w", err)
	}
	if !same {
		return fmt.Errorf("%w: another one was stored at the same moment", storage.ErrExist)
	}
	return nil
}

// post sends a file's content once.
func (b *backend) post(ctx context.Context, h storage.Handle, p storage.Payload) (err error) {
	src, err := p.Open()
	if err != nil {
		return err
	}
	defer func() {
		if cerr := src.Close(); err == nil && cerr != nil {
			err = fmt.Errorf("%w: %w", storage.ErrSource, cerr)
		}
	}()
	if err := proveSource(src, p); err != nil {
		return err
	}
	body := transport.NewRecorder(src)
	_, err = b.ask(ctx, request{method: http.MethodPost, place: place(h), body: body, size: p.Size})
	if serr := body.Failed(); serr != nil {
		// The HTTP client wraps a source's failure in its own words.
		return serr
	}
	return err
}

// proveStored looks at what the server keeps now.
func (b *backend) proveStored(ctx context.Context, h storage.Handle, p storage.Payload) error {
	if h.Kind == storage.PackFile && b.packs.Add(1)%readBackEvery != 1 {
		info, err := b.Stat(ctx, h)
		switch {
		case err != nil:
			return fmt.Errorf("look at what was stored: %w", lost(err))
		case info.Size != p.Size:
			b.packs.Store(0) // the next one is read back
			return fmt.Errorf("%w: %d bytes of %d", storage.ErrMismatch, info.Size, p.Size)
		}
		return nil
	}
	same, err := storage.Holds(ctx, b, h, p)
	switch {
	case err != nil:
		return fmt.Errorf("read back: %w", lost(err))
	case !same:
		b.packs.Store(0)
		return fmt.Errorf("%w: found by reading it back", storage.ErrMismatch)
	}
	return nil
}

// lost is what a file means that is not there right after it was stored.
func lost(err error) error {
	if isAbsent(err) {
		return fmt.Errorf("%w: it is not there", storage.ErrMismatch)
	}
	return err
}
