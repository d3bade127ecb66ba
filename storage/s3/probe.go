package s3

import (
	"context"
	"errors"
	"fmt"

	"github.com/minio/minio-go/v7"

	"github.com/ripplebak/ripplebak/storage"
)

// Probe lists one name. That takes the right credentials, clock, region,
// bucket and address, and unlike a HEAD its answer says which one is wrong.
func (b *backend) Probe(ctx context.Context) error {
	err := b.call(ctx, func() error {
		owner := false
		opts := minio.ListObjectsOptions{Prefix: b.key(""), MaxKeys: 1, Recursive: true, FetchOwner: &owner}
		for o := range b.client.ListObjectsIter(ctx, b.addr.Bucket, opts) {
			return o.Err
		}
		return context.Cause(ctx)
	})
	if err == nil {
		err = b.probeLock(ctx)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", b.Location(), err)
	}
	return nil
}

// Provision makes the bucket unless it is there.
func (b *backend) Provision(ctx context.Context) error {
	err := b.Probe(ctx)
	if !errors.Is(err, storage.ErrNoBucket) {
		return err
	}
	err = b.client.MakeBucket(ctx, b.addr.Bucket, minio.MakeBucketOptions{Region: b.region, ObjectLocking: b.lock != nil})
	r, _ := responseOf(err)
	switch r.Code {
	case "BucketAlreadyOwnedByYou":
		return nil
	case "BucketAlreadyExists":
		return fmt.Errorf("%s: %w: the bucket's name is taken by somebody else; choose another", b.Location(), storage.ErrDenied)
	}
	if err = b.named(ctx, err); errors.Is(err, storage.ErrDenied) {
		return fmt.Errorf("%s: %w, and these credentials must not make it; create the bucket first (%w)", b.Location(), storage.ErrNoBucket, err)
	}
	if err != nil {
		return fmt.Errorf("%s: make the bucket: %w", b.Location(), err)
	}
	return nil
}
