package s3

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/ripplebak/ripplebak/storage"
	"github.com/ripplebak/ripplebak/storage/transport"
)

// Style is how the bucket stands in a request.
type Style string

// The styles. Auto is virtual hosts for Amazon and its like, else paths.
const (
	StyleAuto    Style = ""
	StylePath    Style = "path"
	StyleVirtual Style = "virtual"
)

// Options say what the address does not. The zero value takes all from the
// environment function given to Open.
type Options struct {
	Style Style
	// Region overrides AWS_REGION and the like. Without any, it is looked up.
	Region string
	// Credentials override the usual chain.
	Credentials *credentials.Credentials
	// StallTimeout ends a request that makes no progress; 0 means a minute.
	StallTimeout time.Duration
	// Requests, where set, counts what is sent for the repository's files.
	Requests *storage.Requests
	// Lock has objects locked against their removal. Nil: they are not.
	Lock *ObjectLock
	// Limits slow transfers down. Nil: nothing does.
	Limits *storage.Limits
	// Log, where set, gets the few things worth knowing that are no errors,
	// each once.
	Log func(msg string)
}

// Open returns the store at an address. It sends nothing yet. Each variable
// is asked for by env, so that it may come from a secret's file.
//
// What comes back does not try anything twice; see [storage.Retry].
func Open(addr Address, env func(string) string, opt Options) (storage.Store, error) {
	b, err := open(addr, env, opt)
	if err != nil {
		return nil, err
	}
	return storage.New(b), nil
}

func open(addr Address, env func(string) string, opt Options) (*backend, error) {
	if opt.StallTimeout <= 0 {
		opt.StallTimeout = time.Minute
	}
	if opt.Log == nil {
		opt.Log = func(string) {}
	}
	if opt.Lock != nil {
		if err := opt.Lock.check(); err != nil {
			return nil, err
		}
	}
	shared := newSharedConfig(env)
	if opt.Region == "" {
		var err error
		if opt.Region, err = shared.region(); err != nil {
			return nil, err
		}
	}
	base, err := transport.New("AWS_CA_BUNDLE", env)
	if err != nil {
		return nil, err
	}
	watched := &transport.Watched{Next: base, Stall: opt.StallTimeout, Limits: opt.Limits}
	if opt.Credentials == nil {
		if opt.Credentials, err = newCredentials(env, shared, opt.Region, base); err != nil {
			return nil, err
		}
	}
	lookup := minio.BucketLookupAuto
	switch opt.Style {
	case StyleAuto:
	case StylePath:
		lookup = minio.BucketLookupPath
	case StyleVirtual:
		lookup = minio.BucketLookupDNS
	default:
		return nil, fmt.Errorf("S3 style %q: must be path or virtual", transport.Line(string(opt.Style)))
	}
	client, err := minio.NewCore(addr.Host, &minio.Options{
		Creds: opt.Credentials, Secure: addr.Secure, Transport: counted{paging{watched}, opt.Requests}, Region: opt.Region, BucketLookup: lookup,
		MaxRetries: 1, // storage.Retry is the only one who repeats
	})
	if err != nil {
		return nil, fmt.Errorf("S3 at %s: %w", addr.Host, err)
	}
	client.SetAppInfo("ripplebak", "1")
	b := &backend{addr: addr, region: opt.Region, client: client, watched: watched, base: base, lock: opt.Lock, log: opt.Log}
	b.needMD5.Store(true)
	return b, nil
}

type backend struct {
	addr    Address
	region  string // as configured; empty where it is looked up
	client  *minio.Core
	watched *transport.Watched
	base    *http.Transport
	lock    *ObjectLock // nil: objects are not locked
	log     func(string)

	needMD5    atomic.Bool // until the server has shown that it checks SHA-256
	wantsMD5   atomic.Bool // the server takes no other checksum
	noChecksum atomic.Bool // the server refuses the checksum header
	noCond     atomic.Bool // the server has no conditional writes
	opaqueETag atomic.Bool // the server's ETags are no MD5
	said       sync.Map    // messages that were logged
}

func (b *backend) Location() string { return "s3:" + b.addr.String() }

func (b *backend) Close() error {
	b.base.CloseIdleConnections()
	return nil
}

// once logs a message the first time.
func (b *backend) once(msg string) {
	if _, known := b.said.LoadOrStore(msg, true); !known {
		b.log(msg)
	}
}

// key is the object's full name. The prefix ends at a slash, so that app never
// reaches into app2.
func (b *backend) key(path string) string {
	if b.addr.Prefix == "" {
		return path
	}
	return b.addr.Prefix + "/" + path
}

// call runs one request and names its error.
func (b *backend) call(ctx context.Context, fn func() error) error {
	return b.named(ctx, b.send(fn))
}

// send runs one request. Where the region is looked up and the guess was
// wrong, the client knows better after the first answer: then, and only then,
// the request is sent once more.
func (b *backend) send(fn func() error) error {
	err := fn()
	if r, ok := responseOf(err); ok && b.region == "" && r.Region != "" &&
		(r.Code == "AuthorizationHeaderMalformed" || r.Code == "InvalidRegion") {
		err = fn()
	}
	return err
}
