package s3

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/ripplebak/ripplebak/storage"
	"github.com/ripplebak/ripplebak/storage/transport"
)

// LockMode is a mode of S3 Object Lock.
type LockMode string

// The modes. Under governance who has the right to may take a lock away; under
// compliance nobody can, the owner of the account included.
const (
	Governance LockMode = "governance"
	Compliance LockMode = "compliance"
)

// ObjectLock has every object locked as it is written, but those below locks/.
type ObjectLock struct {
	Mode LockMode
	Days int
	// Setting is what asks for it, for messages.
	Setting string
	// Now tells the time; nil means time.Now.
	Now func() time.Time
}

func (l *ObjectLock) check() error {
	if l.Mode != Governance && l.Mode != Compliance || l.Days < 1 {
		return fmt.Errorf("%w: Object Lock of mode %q for %d days", storage.ErrInvalid, l.Mode, l.Days)
	}
	return nil
}

func (l *ObjectLock) now() time.Time {
	if l.Now == nil {
		return time.Now()
	}
	return l.Now()
}

func (l *ObjectLock) mode() minio.RetentionMode {
	if l.Mode == Compliance {
		return minio.Compliance
	}
	return minio.Governance
}

// on adds the lock to what is about to be written.
func (l *ObjectLock) on(h storage.Handle, opts *minio.PutObjectOptions) {
	if l == nil || h.Kind == storage.LockFile {
		return
	}
	opts.Mode = l.mode()
	opts.RetainUntilDate = l.now().UTC().AddDate(0, 0, l.Days)
}

// Retainer is nil unless objects are locked.
func (b *backend) Retainer() storage.Retainer {
	if b.lock == nil {
		return nil
	}
	return retainer{b}
}

type retainer struct{ b *backend }

func (r retainer) Days() int { return r.b.lock.Days }

// Retained asks for the lock of the object's present version, by a HEAD: what
// servers answer to the question for the lock itself differs. A server tells it
// to those only who have the right to know (s3:GetObjectRetention).
func (r retainer) Retained(ctx context.Context, h storage.Handle) (time.Time, error) {
	var info minio.ObjectInfo
	err := r.b.call(ctx, func() (err error) {
		info, err = r.b.client.StatObject(ctx, r.b.addr.Bucket, r.b.key(h.Path()), minio.StatObjectOptions{})
		return err
	})
	if err != nil {
		return time.Time{}, fmt.Errorf("look at the lock of %s: %w", h, err)
	}
	text := info.Metadata.Get("X-Amz-Object-Lock-Retain-Until-Date")
	if text == "" {
		return time.Time{}, nil
	}
	until, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}, fmt.Errorf("look at the lock of %s: %w: the server's time %q cannot be read", h, storage.ErrRefused, transport.Line(text))
	}
	return until, nil
}

// Extend asks first: a lock is never made shorter, and one that holds anyway
// costs no write.
func (r retainer) Extend(ctx context.Context, h storage.Handle, least, until time.Time) (bool, error) {
	now, err := r.Retained(ctx, h)
	if err != nil || !now.Before(least) || !now.Before(until) {
		return false, err
	}
	until, mode := until.UTC().Truncate(time.Second), r.b.lock.mode()
	err = r.b.call(ctx, func() error {
		return r.b.client.PutObjectRetention(ctx, r.b.addr.Bucket, r.b.key(h.Path()), minio.PutObjectRetentionOptions{Mode: &mode, RetainUntilDate: &until})
	})
	if err != nil {
		return false, fmt.Errorf("extend the lock of %s: %w", h, err)
	}
	return true, nil
}

// probeLock proves that the bucket can lock objects, before anything relies on
// it. Where it may not be asked, the first write will tell.
func (b *backend) probeLock(ctx context.Context) error {
	if b.lock == nil {
		return nil
	}
	var state string
	err := b.send(func() (err error) {
		state, _, _, _, err = b.client.GetObjectLockConfig(ctx, b.addr.Bucket)
		return err
	})
	answer, answered := responseOf(err)
	switch {
	case err == nil && state == "Enabled":
		return nil
	case err == nil, answered && answer.Code == "ObjectLockConfigurationNotFoundError":
		return fmt.Errorf("%w: bucket %s has no Object Lock, and %s is set; make a bucket with it", storage.ErrRefused, b.addr.Bucket, b.lock.Setting)
	case answered && answer.StatusCode == http.StatusForbidden:
		b.once("the bucket cannot be asked whether it has Object Lock (s3:GetBucketObjectLockConfiguration)")
		return nil
	}
	return b.named(ctx, err)
}

// retained makes of a refusal to remove or to replace an object the error that
// says why, where that is its lock.
func (b *backend) retained(ctx context.Context, h storage.Handle, refused error) error {
	if !errors.Is(refused, storage.ErrDenied) {
		return refused
	}
	if b.lock != nil {
		until, err := retainer{b}.Retained(ctx, h)
		if err == nil && until.After(b.lock.now()) {
			return fmt.Errorf("%w until %s", storage.ErrRetained, until.UTC().Format(time.RFC3339))
		}
	}
	if text := strings.ToLower(refused.Error()); strings.Contains(text, "object lock") || strings.Contains(text, "worm protected") {
		return fmt.Errorf("%w: %w", storage.ErrRetained, refused)
	}
	return refused
}
