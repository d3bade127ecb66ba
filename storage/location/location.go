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
	"github.com/ripplebak/ripplebak/storage/s3"
)

// Location is a repository's place in restic's syntax.
type Location struct {
	Path string      // a directory; empty where S3 is set
	S3   *s3.Address // a bucket and a prefix
}

// String returns the location as it can be given to Parse. It carries no
// secret.
func (l Location) String() string {
	if l.S3 != nil {
		return "s3:" + l.S3.String()
	}
	return l.Path
}

// Local says whether the repository is a directory on this machine.
func (l Location) Local() bool { return l.S3 == nil }

// otherSchemes are restic's backends that ripplebak does not have. A path that
// looks like one is a mistake, never a directory of that name.
var otherSchemes = [...]string{"rest", "sftp", "b2", "azure", "gs", "swift", "rclone", "opendal"}

// Parse reads s3:URL, s3:HOST/BUCKET/PREFIX, local:PATH or a path.
func Parse(spec string) (Location, error) {
	if strings.TrimSpace(spec) == "" {
		return Location{}, errors.New("the repository is not set; set RIPPLEBAK_REPOSITORY, e.g. to /backups or s3:https://HOST/BUCKET")
	}
	scheme, rest, ok := strings.Cut(spec, ":")
	if ok {
		switch {
		case scheme == "s3":
			a, err := s3.ParseAddress(rest)
			if err != nil {
				return Location{}, fmt.Errorf("repository: %w", err)
			}
			return Location{S3: &a}, nil
		case scheme == "local":
			spec = rest
		case scheme == "http" || scheme == "https":
			return Location{}, fmt.Errorf("repository: an address needs its kind before it; write s3:%s://HOST/BUCKET", scheme)
		}
		for _, s := range otherSchemes {
			if scheme == s {
				return Location{}, fmt.Errorf("repository: %s: is not supported yet; use s3: or a path", s)
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
	// Retry bounds repetition; the zero value is right. Local directories
	// are not tried again.
	Retry storage.RetryOptions
	// Requests, where set, counts what is asked of the storage.
	Requests *storage.Requests
	// Log, where set, gets what is worth knowing and no error: a line each.
	Log func(msg string)
}

// Open returns the store at a location. It sends and creates nothing: Probe
// says whether it can be reached. Variables of the AWS credential chain are
// asked for by env.
func Open(_ context.Context, loc Location, env func(string) string, opt Options) (storage.Store, error) {
	if loc.S3 == nil {
		s, err := local.Open(loc.Path, local.Options{})
		if err != nil {
			return nil, err
		}
		return storage.CountRequests(s, opt.Requests), nil
	}
	s, err := s3.Open(*loc.S3, env, s3.Options{Style: s3.Style(opt.S3Style), StallTimeout: opt.StallTimeout, Requests: opt.Requests, Log: opt.Log})
	if err != nil {
		return nil, err
	}
	retry := opt.Retry
	if retry.Notify == nil && opt.Log != nil {
		retry.Notify = func(e storage.RetryEvent) {
			opt.Log(fmt.Sprintf("%s %s failed, try %d of %d in %s: %v", e.Op, e.What, e.Try+1, e.Tries, e.Wait.Round(time.Millisecond), e.Err))
		}
	}
	return storage.Retry(s, retry), nil
}
