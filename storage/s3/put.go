package s3

import (
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/minio/minio-go/v7"

	"github.com/ripplebak/ripplebak/storage"
	"github.com/ripplebak/ripplebak/storage/transport"
)

const checksumHeader = "x-amz-checksum-sha256"

func (b *backend) Save(ctx context.Context, h storage.Handle, p storage.Payload) error {
	err := b.put(ctx, h, p, false)
	if b.lock != nil && errors.Is(err, storage.ErrDenied) {
		// A locked object may not be replaced everywhere, not even by itself.
		if same, herr := storage.Holds(ctx, b, h, p); herr == nil && same {
			return nil
		}
		err = b.retained(ctx, h, err)
	}
	if err != nil {
		return fmt.Errorf("save %s: %w", h, err)
	}
	return nil
}

// Create asks the server for a write that fails if the object exists. Not
// every server knows that, and some ignore it, so the object is looked for
// before and read back after.
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
	if !errors.Is(err, storage.ErrNotExist) {
		return err
	}
	if err := b.put(ctx, h, p, true); err != nil {
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

// put stores an object. A server that refuses a header of ours is asked again
// without it: each of the two at most once for the life of the backend.
func (b *backend) put(ctx context.Context, h storage.Handle, p storage.Payload, create bool) error {
	for {
		cond, sum, withMD5 := create && !b.noCond.Load(), !b.noChecksum.Load(), b.needMD5.Load() || b.wantsMD5.Load()
		err := b.putOnce(ctx, h, p, cond, withMD5, sum)
		r, answered := responseOf(err)
		switch {
		case err == nil:
			return nil
		case !answered:
			return err
		case sum && refusesChecksum(r):
			b.noChecksum.Store(true)
			b.wantsMD5.Store(true)
			b.once("the S3 server refuses SHA-256 checksums; MD5 is sent instead")
		case !withMD5 && asksForMD5(r):
			b.wantsMD5.Store(true)
		case cond && refusesCondition(r):
			b.noCond.Store(true)
			b.once("the S3 server has no conditional writes; two first runs at the same moment are told apart by reading back")
		default:
			if retryableCode(r.Code) {
				// Perhaps it is not the way that alters bytes but the source:
				// the next try looks before it sends.
				b.needMD5.Store(true)
			}
			return b.answered(r)
		}
	}
}

func refusesChecksum(r minio.ErrorResponse) bool {
	return (r.StatusCode == http.StatusNotImplemented || r.StatusCode == http.StatusBadRequest) &&
		strings.Contains(strings.ToLower(r.Message), "checksum") && !retryableCode(r.Code)
}

// asksForMD5 recognises old servers that accept nothing else for buckets with
// Object Lock.
func asksForMD5(r minio.ErrorResponse) bool {
	return r.StatusCode == http.StatusBadRequest && strings.Contains(strings.ToLower(r.Message), "content-md5")
}

func refusesCondition(r minio.ErrorResponse) bool {
	return r.StatusCode == http.StatusNotImplemented ||
		r.StatusCode == http.StatusBadRequest && strings.Contains(strings.ToLower(r.Message), "if-none-match")
}

// putOnce sends one request. Its error is minio.ErrorResponse where the server
// answered, else named.
func (b *backend) putOnce(ctx context.Context, h storage.Handle, p storage.Payload, cond, withMD5, withSum bool) (err error) {
	src, err := p.Open()
	if err != nil {
		return err
	}
	defer func() {
		if cerr := src.Close(); err == nil && cerr != nil {
			err = fmt.Errorf("%w: %w", storage.ErrSource, cerr)
		}
	}()
	var sum []byte // the MD5
	if withMD5 {
		if sum, err = hashSource(src, p); err != nil {
			return err
		}
	}
	opts := minio.PutObjectOptions{
		// Without this the client would replace our hash by a signature of
		// each chunk on plain HTTP.
		DisableContentSha256: true,
		UserMetadata:         map[string]string{},
	}
	if withSum {
		opts.UserMetadata[checksumHeader] = base64.StdEncoding.EncodeToString(p.SHA256[:])
	}
	b.lock.on(h, &opts)
	if cond {
		opts.SetMatchETagExcept("*")
	}
	body := transport.NewRecorder(src)
	var info minio.UploadInfo
	put := func() error {
		if _, err := src.Seek(0, io.SeekStart); err != nil {
			return err
		}
		info, err = b.client.PutObject(ctx, b.addr.Bucket, b.key(h.Path()), body, p.Size,
			base64.StdEncoding.EncodeToString(sum), hex.EncodeToString(p.SHA256[:]), opts)
		return err
	}
	err = b.send(put)
	if serr := body.Failed(); serr != nil {
		// The client wraps a source's failure in its own words, and would
		// have us try again.
		return serr
	}
	if err != nil {
		if _, ok := responseOf(err); ok && context.Cause(ctx) == nil {
			return err
		}
		return b.named(ctx, err)
	}
	return b.proveStored(ctx, h, p, info, sum)
}

// hashSource returns the MD5 of the source and proves its SHA-256.
func hashSource(src io.ReadSeeker, p storage.Payload) ([]byte, error) {
	m, s := md5.New(), sha256.New()
	if _, err := io.Copy(io.MultiWriter(m, s), src); err != nil {
		return nil, err
	}
	if [sha256.Size]byte(s.Sum(nil)) != p.SHA256 {
		return nil, fmt.Errorf("%w: its content is not what its hash says", storage.ErrSource)
	}
	return m.Sum(nil), nil
}

// proveStored compares what the server says that it stored with what was
// sent. Where the answer proves nothing, the object is read back.
func (b *backend) proveStored(ctx context.Context, h storage.Handle, p storage.Payload, info minio.UploadInfo, sum []byte) error {
	if got := info.ChecksumSHA256; got != "" {
		if got != base64.StdEncoding.EncodeToString(p.SHA256[:]) {
			return fmt.Errorf("%w: the server's checksum differs", storage.ErrMismatch)
		}
		// It checks what we send; the MD5 can be spared from now on.
		b.needMD5.Store(false)
		return nil
	}
	b.needMD5.Store(true)
	if sum != nil && info.ETag == hex.EncodeToString(sum) {
		return nil
	}
	if b.opaqueETag.Load() {
		return b.proveSize(ctx, h, p)
	}
	same, err := storage.Holds(ctx, b, h, p)
	if err != nil {
		return fmt.Errorf("read back: %w", err)
	}
	if !same {
		return fmt.Errorf("%w: found by reading it back", storage.ErrMismatch)
	}
	if sum != nil {
		b.opaqueETag.Store(true)
	}
	return nil
}

// proveSize is what is left for servers whose ETag is no MD5 and that send no
// checksum: those that encrypt with keys of their own.
func (b *backend) proveSize(ctx context.Context, h storage.Handle, p storage.Payload) error {
	info, err := b.Stat(ctx, h)
	if err != nil {
		return fmt.Errorf("look at what was stored: %w", err)
	}
	if info.Size != p.Size {
		return fmt.Errorf("%w: %d bytes of %d", storage.ErrMismatch, info.Size, p.Size)
	}
	return nil
}
