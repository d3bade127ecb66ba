package rest

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/ripplebak/ripplebak/storage/transport"
)

// Address is where a repository lies.
type Address struct {
	Secure bool   // https
	Host   string // with the port, where one was given
	Path   string // escaped as it was written, with a slash at both ends

	user *url.Userinfo // nil: none was written
}

// ParseAddress reads what follows "rest:" in restic's syntax: a URL with http
// or https, which may carry a user and a password.
func ParseAddress(s string) (Address, error) {
	a, err := parseAddress(s)
	if err != nil {
		return Address{}, fmt.Errorf("%w; write rest:https://[USER:PASSWORD@]HOST[:PORT]/[PATH/]", err)
	}
	return a, nil
}

func parseAddress(s string) (Address, error) {
	u, err := url.Parse(s)
	switch {
	case err != nil:
		// The error of url.Parse repeats its input, with a password in it.
		return Address{}, errors.New("the REST server's address is no valid URL (in a user or password, characters such as / @ # % are written as %2F %40 %23 %25)")
	case u.Scheme != "http" && u.Scheme != "https":
		return Address{}, errors.New("a REST server's address begins with http or https")
	case u.Hostname() == "":
		return Address{}, errors.New("the REST server's address names no host")
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return Address{}, errors.New("the REST server's address must not have a ? or #")
	}
	path := u.EscapedPath()
	for part := range strings.SplitSeq(u.Path, "/") {
		if part == "." || part == ".." || strings.ContainsAny(part, "\\\x00") {
			return Address{}, fmt.Errorf("the REST server's address must not contain %q as a name", transport.Line(part))
		}
	}
	if !strings.HasPrefix(path, "/") {
		path = "/" + path
	}
	if !strings.HasSuffix(path, "/") {
		path += "/"
	}
	return Address{Secure: u.Scheme == "https", Host: u.Host, Path: path, user: u.User}, nil
}

// String returns the address without the "rest:", and without user and
// password.
func (a Address) String() string {
	scheme := "http"
	if a.Secure {
		scheme = "https"
	}
	return scheme + "://" + a.Host + a.Path
}

// login is the user and the password: those of the address, else those of the
// variables that stock restic reads. Both are empty where there are none.
func (a Address) login(env func(string) string) (user, password string) {
	if a.user != nil {
		password, _ = a.user.Password()
		return a.user.Username(), password
	}
	return env("RESTIC_REST_USERNAME"), env("RESTIC_REST_PASSWORD")
}
