package transport

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"unicode"

	"github.com/ripplebak/ripplebak/storage"
)

// Advice is what an error tells its reader to do.
type Advice struct {
	CA    string // the variable that names a private CA's certificate
	Plain string // the address to write for a server without TLS
}

// Unanswered names an error of the way to a server, so that storage's callers
// can switch on it: one line, without the request's address.
func Unanswered(host string, err error, advice Advice) error {
	if errors.Is(err, storage.ErrStalled) || errors.Is(err, storage.ErrNoCredentials) || errors.Is(err, storage.ErrRefused) {
		return stripURL(err)
	}
	var (
		unknown  x509.UnknownAuthorityError
		hostname x509.HostnameError
		invalid  x509.CertificateInvalidError
		verify   *tls.CertificateVerificationError
		dns      *net.DNSError
		op       *net.OpError
	)
	switch {
	case errors.As(err, &unknown):
		return fmt.Errorf("%s: %w: signed by an unknown authority; put the CA's certificate into a file and name it in %s", host, storage.ErrUntrusted, advice.CA)
	case errors.As(err, &hostname), errors.As(err, &invalid), errors.As(err, &verify):
		return fmt.Errorf("%s: %w: %s", host, storage.ErrUntrusted, Line(stripURL(err).Error()))
	case strings.Contains(err.Error(), "server gave HTTP response to HTTPS client"):
		return fmt.Errorf("%s: %w: it speaks plain HTTP; write %s", host, storage.ErrRefused, advice.Plain)
	case errors.As(err, &dns):
		return fmt.Errorf("%s %w: its name does not resolve: %s", host, storage.ErrUnreachable, Line(dns.Err))
	case errors.As(err, &op) && op.Op == "dial":
		return fmt.Errorf("%s %w: %s", host, storage.ErrUnreachable, Line(op.Err.Error()))
	}
	return fmt.Errorf("%s: %w", host, oneLine{stripURL(err)})
}

// stripURL drops the method and address that net/http puts before an error;
// our own messages name the place.
func stripURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// oneLine keeps an error's identity and makes its text fit for one line.
type oneLine struct{ err error }

func (e oneLine) Error() string { return Line(e.err.Error()) }
func (e oneLine) Unwrap() error { return e.err }

// Line makes foreign text fit for one line of a message.
func Line(s string) string {
	s = strings.Join(strings.FieldsFunc(s, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }), " ")
	const limit = 200
	if len(s) > limit {
		s = strings.ToValidUTF8(s[:limit], "") + "..."
	}
	return s
}
