package s3

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/minio/minio-go/v7/pkg/s3utils"
	"golang.org/x/text/unicode/norm"

	"github.com/ripplebak/ripplebak/storage/transport"
)

// Address is where a repository lies.
type Address struct {
	Secure bool   // https
	Host   string // with the port, where one was given
	Bucket string
	Prefix string // below the bucket, no slash at either end; may be empty
}

// maxPrefix leaves room for the longest name below the prefix in the 1,024
// bytes that a key may have.
const maxPrefix = 900

// ParseAddress reads what follows "s3:" in restic's syntax: a URL with http or
// https, or HOST/BUCKET/PREFIX, which means https.
func ParseAddress(s string) (Address, error) {
	a, err := parseAddress(s)
	if err != nil {
		return Address{}, fmt.Errorf("%w; write s3:https://HOST[:PORT]/BUCKET[/PREFIX]", err)
	}
	return a, nil
}

func parseAddress(s string) (Address, error) {
	a := Address{Secure: true}
	var path string
	switch scheme, rest, ok := strings.Cut(s, "://"); {
	case ok && (scheme == "http" || scheme == "https"):
		u, err := url.Parse(s)
		if err != nil {
			// The error of url.Parse repeats its input, with a password in it.
			return a, errors.New("the S3 address is no valid URL")
		}
		if u.User != nil {
			return a, errors.New("the S3 address must not carry credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY instead")
		}
		if u.RawQuery != "" || u.ForceQuery || u.Fragment != "" {
			return a, errors.New("the S3 address must not have a ? or #")
		}
		a.Secure, a.Host, path = scheme == "https", u.Host, u.Path
	case ok && scheme == "":
		a.Host, path, _ = strings.Cut(rest, "/")
		if !strings.ContainsAny(a.Host, ".:") {
			return a, fmt.Errorf("the S3 address names no host (for Amazon: s3:s3.amazonaws.com/%s)", transport.Line(rest))
		}
	case ok:
		return a, errors.New("an S3 address begins with http or https")
	default:
		a.Host, path, _ = strings.Cut(s, "/")
		if strings.ContainsRune(a.Host, '@') {
			return a, errors.New("the S3 address must not carry credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY instead")
		}
	}
	if err := checkHost(a.Host); err != nil {
		return a, err
	}
	parts, err := segments(path)
	if err != nil {
		return a, err
	}
	if len(parts) == 0 {
		return a, errors.New("the S3 address names no bucket")
	}
	a.Bucket, a.Prefix = parts[0], strings.Join(parts[1:], "/")
	if err := s3utils.CheckValidBucketName(a.Bucket); err != nil {
		return a, fmt.Errorf("bucket %q cannot exist: %s", transport.Line(a.Bucket), strings.ToLower(err.Error()))
	}
	if len(a.Prefix) > maxPrefix {
		return a, fmt.Errorf("the prefix below the bucket is longer than %d bytes", maxPrefix)
	}
	return a, nil
}

// String returns the address as it is written, without the "s3:".
func (a Address) String() string {
	scheme := "http"
	if a.Secure {
		scheme = "https"
	}
	s := scheme + "://" + a.Host + "/" + a.Bucket
	if a.Prefix != "" {
		s += "/" + a.Prefix
	}
	return s
}

// checkHost takes a name or an address of a host with or without a port.
func checkHost(host string) error {
	if host == "" {
		return errors.New("the S3 address names no host")
	}
	name, port := host, ""
	if h, p, err := net.SplitHostPort(host); err == nil {
		name, port = h, p
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return fmt.Errorf("the S3 address has a bad port %q", transport.Line(port))
		}
	}
	if ip := net.ParseIP(strings.Trim(name, "[]")); ip != nil {
		return nil
	}
	for _, r := range name {
		if r > unicode.MaxASCII || !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '.' && r != '-' && r != '_' {
			return fmt.Errorf("the S3 address has a bad host %q", transport.Line(host))
		}
	}
	if name == "" || strings.HasPrefix(name, ".") || strings.Contains(name, "..") {
		return fmt.Errorf("the S3 address has a bad host %q", transport.Line(host))
	}
	return nil
}

// segments splits a path into its names. Slashes at the ends and doubled ones
// mean nothing; names that another tool could take for another place are
// refused rather than repaired.
func segments(path string) ([]string, error) {
	var out []string
	for s := range strings.SplitSeq(path, "/") {
		switch {
		case s == "":
			continue
		case s == "." || s == "..":
			return nil, fmt.Errorf("the S3 address must not contain %q as a name", s)
		case !utf8.ValidString(s):
			return nil, errors.New("the S3 address is not valid UTF-8")
		case !norm.NFC.IsNormalString(s):
			return nil, fmt.Errorf("the name %q in the S3 address is not in Unicode's composed form (NFC), so that it would look like another place", transport.Line(s))
		}
		for _, r := range s {
			if r == '\\' || !unicode.IsPrint(r) {
				return nil, fmt.Errorf("the S3 address contains the character %U, which cannot be told from others by eye", r)
			}
		}
		if strings.TrimSpace(s) != s {
			return nil, fmt.Errorf("the name %q in the S3 address begins or ends with a space", transport.Line(s))
		}
		out = append(out, s)
	}
	return out, nil
}
