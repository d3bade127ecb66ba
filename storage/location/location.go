// Package location turns what RIPPLEBAK_REPOSITORY says into an opened
// storage: the only package that knows all kinds of them.
package location

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/ripplebak/ripplebak/storage"
	"github.com/ripplebak/ripplebak/storage/local"
	"github.com/ripplebak/ripplebak/storage/rest"
	"github.com/ripplebak/ripplebak/storage/s3"
)

// Location is a repository's place in restic's syntax.
type Location struct {
	Path string        // a directory; empty where one of the others is set
	S3   *s3.Address   // a bucket and a prefix
	Rest *rest.Address // a server for restic's REST protocol
}

// String returns the location as it can be given to Parse. It carries no
// secret.
func (l Location) String() string {
	switch {
	case l.S3 != nil:
		return "s3:" + l.S3.String()
	case l.Rest != nil:
		return "rest:" + l.Rest.String()
	}
	return l.Path
}

// Local says whether the repository is a directory on this machine.
func (l Location) Local() bool { return l.S3 == nil && l.Rest == nil }

// otherSchemes are restic's backends that ripplebak does not have. A path that
// looks like one is a mistake, never a directory of that name.
var otherSchemes = [...]string{"sftp", "b2", "azure", "gs", "swift", "rclone", "opendal"}

// Parse reads s3:URL, s3:HOST/BUCKET/PREFIX, rest:URL, local:PATH or a path.
func Parse(spec string) (Location, error) {
	if strings.TrimSpace(spec) == "" {
		return Location{}, errors.New("the repository is not set; set RIPPLEBAK_REPOSITORY, e.g. to /backups or s3:https://HOST/BUCKET")
	}
	scheme, after, ok := strings.Cut(spec, ":")
	if ok {
		switch {
		case scheme == "s3":
			a, err := s3.ParseAddress(after)
			if err != nil {
				return Location{}, fmt.Errorf("repository: %w", err)
			}
			return Location{S3: &a}, nil
		case scheme == "rest":
			a, err := rest.ParseAddress(after)
			if err != nil {
				return Location{}, fmt.Errorf("repository: %w", err)
			}
			return Location{Rest: &a}, nil
		case scheme == "local":
			spec = after
		case scheme == "http" || scheme == "https":
			return Location{}, fmt.Errorf("repository: an address needs its kind before it; write s3:%s://HOST/BUCKET or rest:%s://HOST/", scheme, scheme)
		}
		for _, s := range otherSchemes {
			if scheme == s {
				return Location{}, fmt.Errorf("repository: %s: is not supported yet; use s3:, rest: or a path (\"rclone serve restic\" makes a rest: of every cloud that rclone knows)", s)
			}
		}
	}
	if spec == "" || strings.ContainsRune(spec, 0) {
		return Location{}, errors.New("repository: the path is empty or holds a zero byte")
	}
	return Location{Path: filepath.Clean(spec)}, nil
}

// Options are what the settings say beyond the location.
type Options struct {
	// S3Style is "", "path" or "virtual".
	S3Style string
	// StallTimeout ends a transfer without progress; 0 means a minute.
	StallTimeout time.Duration
	// Limits slow down what goes over the network. Nil: nothing does.
	Limits *storage.Limits
	// AppendOnly opens a store from which nothing can be removed but locks.
	AppendOnly bool
	// S3Lock, where set, locks what is stored in S3 against its removal.
	S3Lock *s3.ObjectLock
	// Retry bounds repetition; the zero value is right. Local directories
	// are not tried again.
	Retry storage.RetryOptions
	// Requests, where set, counts what is asked of the storage.
	Requests *storage.Requests
	// Log, where set, gets what is worth knowing and no error: a line each.
	Log func(msg string)
}

// Open returns the store at a location: a [storage.Store], unless it shall be
// append-only. It sends and creates nothing: Probe
// says whether it can be reached. Variables of the AWS credential chain are
// asked for by env, and so are those of stock restic for a REST server.
func Open(_ context.Context, loc Location, env func(string) string, opt Options) (storage.AppendStore, error) {
	s, err := open(loc, env, opt)
	if err != nil {
		return nil, err
	}
	if !loc.Local() {
		s = storage.Retry(s, opt.retry())
	}
	if opt.AppendOnly {
		return storage.AppendOnly(s), nil
	}
	return s, nil
}

// retry has each failure that will be tried again logged.
func (opt Options) retry() storage.RetryOptions {
	retry := opt.Retry
	if retry.Notify == nil && opt.Log != nil {
		retry.Notify = func(e storage.RetryEvent) {
			opt.Log(fmt.Sprintf("%s %s failed, try %d of %d in %s: %v", e.Op, e.What, e.Try+1, e.Tries, e.Wait.Round(time.Millisecond), e.Err))
		}
	}
	return retry
}

func open(loc Location, env func(string) string, opt Options) (storage.Store, error) {
	switch {
	case loc.S3 != nil:
		return s3.Open(*loc.S3, env, s3.Options{Style: s3.Style(opt.S3Style), StallTimeout: opt.StallTimeout, Requests: opt.Requests, Limits: opt.Limits, Lock: opt.S3Lock, Log: opt.Log})
	case loc.Rest != nil:
		return rest.Open(*loc.Rest, env, rest.Options{StallTimeout: opt.StallTimeout, Requests: opt.Requests, Limits: opt.Limits})
	}
	s, err := local.Open(loc.Path, local.Options{})
	if err != nil {
		return nil, err
	}
	return storage.CountRequests(s, opt.Requests), nil
}
