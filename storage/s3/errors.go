package s3

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/ripplebak/ripplebak/storage"
	"github.com/ripplebak/ripplebak/storage/transport"
)

// responseOf returns what the server answered, if it did.
func responseOf(err error) (minio.ErrorResponse, bool) {
	var r minio.ErrorResponse
	if errors.As(err, &r) && r.StatusCode != 0 {
		return r, true
	}
	return r, false
}

// named turns what minio-go returns into an error that storage's callers can
// switch on: one line, which says what to do where somebody can do something.
func (b *backend) named(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	if r, ok := responseOf(err); ok {
		return b.answered(r)
	}
	return transport.Unanswered(b.addr.Host, err, transport.Advice{CA: "AWS_CA_BUNDLE", Plain: "s3:http://" + b.addr.Host + "/BUCKET"})
}

// answered names an error that the server sent.
func (b *backend) answered(r minio.ErrorResponse) error {
	say := transport.Line(r.Error())
	switch r.Code {
	case "NoSuchBucket":
		return fmt.Errorf("bucket %s: %w (%w)", b.addr.Bucket, storage.ErrNoBucket, storage.ErrNotExist)
	case "NoSuchKey", "NoSuchVersion":
		return storage.ErrNotExist
	case "RequestTimeTooSkewed":
		return fmt.Errorf("%w: %s; set this machine's clock (NTP)", storage.ErrClockSkew, b.skewText())
	case "ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired":
		return fmt.Errorf("%w: get new ones (AWS_SESSION_TOKEN or the role they come from): %s", storage.ErrExpired, say)
	case "InvalidAccessKeyId", "InvalidToken", "InvalidSecurity", "InvalidClientTokenId", "XAdminUserNotFound", "XMinioAdminNoSuchUser":
		return fmt.Errorf("%w: the server does not know the access key; check AWS_ACCESS_KEY_ID: %s", storage.ErrDenied, say)
	case "SignatureDoesNotMatch":
		return fmt.Errorf("%w: the signature does not match; check AWS_SECRET_ACCESS_KEY: %s", storage.ErrDenied, say)
	case "AuthorizationHeaderMalformed", "InvalidRegion", "PermanentRedirect", "TemporaryRedirect", "IllegalLocationConstraintException":
		return b.wrongRegion(r, say)
	case "QuotaExceeded", "XMinioStorageFull", "XMinioAdminBucketQuotaExceeded", "InsufficientStorage", "EntityTooLarge":
		return fmt.Errorf("%w: %s", storage.ErrNoSpace, say)
	case "PreconditionFailed":
		return storage.ErrExist
	}
	return byStatus(r, say)
}

// byStatus goes by the HTTP status where the code says nothing.
func byStatus(r minio.ErrorResponse, say string) error {
	switch s := r.StatusCode; {
	case s == http.StatusUnauthorized || s == http.StatusForbidden:
		return fmt.Errorf("%w: %s; check what these credentials may do in the bucket", storage.ErrDenied, say)
	case s == http.StatusPreconditionFailed:
		return storage.ErrExist
	case s == http.StatusInsufficientStorage:
		return fmt.Errorf("%w: %s", storage.ErrNoSpace, say)
	case s == http.StatusNotImplemented:
		return fmt.Errorf("%w: %s", storage.ErrUnsupported, say)
	case s == http.StatusRequestTimeout, s == http.StatusTooManyRequests, s == http.StatusConflict, s >= 500, retryableCode(r.Code):
		return fmt.Errorf("server answered %d %s: %s", s, transport.Line(r.Code), say)
	case s >= 300 && s < 400:
		return fmt.Errorf("%w: the server redirects elsewhere (%d); check host and region", storage.ErrRefused, s)
	case s >= 400:
		return fmt.Errorf("%w: %d %s: %s", storage.ErrRefused, s, transport.Line(r.Code), say)
	}
	return fmt.Errorf("server answered %d %s: %s", r.StatusCode, transport.Line(r.Code), say)
}

// retryableCode knows the codes that come with a status that says otherwise:
// bytes damaged on their way, and requests that were too slow.
func retryableCode(code string) bool {
	switch code {
	case "BadDigest", "XAmzContentSHA256Mismatch", "XAmzContentChecksumMismatch", "InvalidDigest", "IncompleteBody", "RequestTimeout",
		"SlowDown", "Throttling", "ThrottlingException", "RequestLimitExceeded", "InternalError", "ServiceUnavailable", "OperationAborted":
		return true
	}
	return false
}

func (b *backend) wrongRegion(r minio.ErrorResponse, say string) error {
	if r.Region == "" || r.Region == b.region {
		return fmt.Errorf("%w: set AWS_REGION to the bucket's: %s", storage.ErrRegion, say)
	}
	where := "bucket " + b.addr.Bucket + " is in region " + transport.Line(r.Region)
	if b.region != "" {
		where += ", not in " + b.region
	}
	return fmt.Errorf("%w: %s; set AWS_REGION=%s", storage.ErrRegion, where, transport.Line(r.Region))
}

// skewText says how far apart the clocks are.
func (b *backend) skewText() string {
	skew := b.watched.Skew().Round(time.Second)
	switch {
	case skew >= time.Minute:
		return fmt.Sprintf("it is %s ahead of the server's", skew)
	case skew <= -time.Minute:
		return fmt.Sprintf("it is %s behind the server's", -skew)
	}
	return "the server refuses the time of our request"
}
