package compose

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// ErrRemote is what FromFile fails with where a compose file refers to one that
// would have to be fetched.
var ErrRemote = errors.New("is not a local file, and ripplebak fetches nothing")

// localOnly takes every reference to something remote from the loader and
// refuses it, so that the loader never gets as far as fetching.
type localOnly struct{}

func (localOnly) Accept(ref string) bool                             { return isRemote(ref) }
func (localOnly) Load(_ context.Context, ref string) (string, error) { return "", refuseRemote(ref) }
func (localOnly) Dir(string) string                                  { return "." }

// isRemote says whether Compose would fetch the reference: a URL, a Git
// repository in one of its short forms, or an OCI artifact.
func isRemote(ref string) bool {
	if strings.Contains(ref, "://") {
		return true
	}
	for _, prefix := range []string{"git@", "github.com/", "gitlab.com/", "bitbucket.org/", "oci:", "git:"} {
		if strings.HasPrefix(ref, prefix) {
			return true
		}
	}
	host, rest, ok := strings.Cut(ref, ":")
	return ok && strings.Contains(host, "@") && !strings.Contains(host, "/") && rest != ""
}

func refuseRemote(ref string) error {
	shown := ref
	if u, err := url.Parse(ref); err == nil && u.Scheme != "" && u.Host != "" {
		if u.User != nil {
			u.User = url.User(u.User.Username())
		}
		u.RawQuery, u.Fragment = "", ""
		shown = u.String()
	} else if _, after, ok := strings.Cut(ref, "@"); ok && strings.Contains(ref, "://") {
		shown = "...@" + after
	}
	return fmt.Errorf("%s %w; fetch it yourself and name the copy", quoted(shown), ErrRemote)
}
