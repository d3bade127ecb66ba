package rest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/ripplebak/ripplebak/storage"
	"github.com/ripplebak/ripplebak/storage/transport"
)

// maxAnswer bounds what is read of an answer that is only a message, in bytes.
const maxAnswer = 4 << 10

// errRange: the server finds no byte of the range that was asked for.
var errRange = fmt.Errorf("%w: no such range", storage.ErrRefused)

func isAbsent(err error) bool {
	return errors.Is(err, storage.ErrNotExist) && !errors.Is(err, storage.ErrNoBucket)
}

// named turns a failure of the way to the server into an error that storage's
// callers can switch on.
func (b *backend) named(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return transport.Unanswered(b.addr.Host, err, transport.Advice{CA: caVariable, Plain: "rest:http://" + b.addr.Host + "/"})
}

// answered names an answer that is no success, and closes it.
func (b *backend) answered(r request, resp *http.Response) error {
	text, rerr := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if cerr := resp.Body.Close(); rerr == nil {
		rerr = cerr
	}
	say := transport.Line(resp.Status)
	if detail := transport.Line(string(text)); rerr == nil && detail != "" && detail != http.StatusText(resp.StatusCode) {
		say += ": " + detail
	}
	switch s := resp.StatusCode; {
	case s == http.StatusNotFound:
		return storage.ErrNotExist
	case s == http.StatusUnauthorized:
		return fmt.Errorf("%w: %s; check user and password, in the address or in RESTIC_REST_USERNAME and RESTIC_REST_PASSWORD", storage.ErrDenied, say)
	case s == http.StatusForbidden && r.method == http.MethodDelete:
		return fmt.Errorf("%w: %s; the server lets nothing be removed (append-only), or not by this user", storage.ErrDenied, say)
	case s == http.StatusForbidden:
		return fmt.Errorf("%w: %s; check what this user may do in this place", storage.ErrDenied, say)
	case s == http.StatusRequestedRangeNotSatisfiable:
		return errRange
	case s == http.StatusInsufficientStorage, s == http.StatusRequestEntityTooLarge:
		return fmt.Errorf("%w: %s", storage.ErrNoSpace, say)
	case s == http.StatusRequestTimeout, s == http.StatusTooManyRequests, s >= 500,
		s == http.StatusBadRequest && r.body != nil: // bytes damaged on their way, or cut
		return fmt.Errorf("server answered %s", say)
	case s >= 300 && s < 400:
		return fmt.Errorf("%w: the server redirects (%d) to %s; write the address that it means", storage.ErrRefused, s, redirect(resp))
	}
	return fmt.Errorf("%w: %s", storage.ErrRefused, say)
}

// redirect says where an answer leads, without what could be a secret.
func redirect(resp *http.Response) string {
	to, err := url.Parse(resp.Header.Get("Location"))
	if err != nil || to.Host == "" {
		return "another place"
	}
	return transport.Line(to.Scheme + "://" + to.Host)
}
