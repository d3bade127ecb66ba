package storage

import (
	"context"
	"errors"
	"fmt"
	"io"
)

// What callers switch on. Every implementation wraps its errors with these.
var (
	// ErrNotExist: the file is not there. Never said for a refusal.
	ErrNotExist = errors.New("does not exist")
	// ErrExist: Create found a file that is already there.
	ErrExist = errors.New("already exists")
	// ErrDenied: the credentials or the permissions do not allow it.
	ErrDenied = errors.New("access denied")
	// ErrNoBucket: the bucket or the repository's directory is not there.
	ErrNoBucket = errors.New("no such bucket or directory")
	// ErrNoSpace: disk full, or a quota is reached.
	ErrNoSpace = errors.New("no space left")
	// ErrStalled: the other side stopped to make progress.
	ErrStalled = errors.New("transfer stalled")
	// ErrShort: fewer bytes came than were promised or asked for.
	ErrShort = errors.New("fewer bytes than promised")
	// ErrTruncated: the stored file itself ends before the range asked for.
	// Errors that wrap it wrap ErrShort too; trying again does not help.
	ErrTruncated = errors.New("stored file is too short")
	// ErrMismatch: what the storage holds after a save is not what was sent.
	ErrMismatch = errors.New("stored bytes are not those sent")
	// ErrSource: the source of an upload failed, or did not yield what it
	// announced. Nothing was stored.
	ErrSource = errors.New("source of the upload failed")
	// ErrWrongKind: this value does not handle files of that kind.
	ErrWrongKind = errors.New("not allowed for this kind of file")
	// ErrInvalid: a handle or a range that cannot exist.
	ErrInvalid = errors.New("invalid name or range")
	// ErrClockSkew: our clock and the server's are too far apart.
	ErrClockSkew = errors.New("clock is off")
	// ErrExpired: temporary credentials have expired.
	ErrExpired = errors.New("credentials have expired")
	// ErrNoCredentials: there are none.
	ErrNoCredentials = errors.New("no credentials")
	// ErrRegion: the bucket lies in another region.
	ErrRegion = errors.New("wrong region")
	// ErrUnreachable: nobody answers at that address.
	ErrUnreachable = errors.New("cannot be reached")
	// ErrUntrusted: the server's TLS certificate cannot be verified.
	ErrUntrusted = errors.New("certificate is not trusted")
	// ErrRefused: the server understood the request and will not do it.
	ErrRefused = errors.New("request refused")
	// ErrRetained: the file is locked against its removal, for now.
	ErrRetained = errors.New("locked against removal")
	// ErrUnsupported: the storage lacks a feature.
	ErrUnsupported = errors.New("not supported by the storage")
)

// Retryable says whether trying the same again can help: true for whatever is
// not known to stay as it is, so that an unknown failure of a network is tried
// again, a bounded number of times.
func Retryable(err error) bool {
	if err == nil {
		return false
	}
	for _, final := range [...]error{
		context.Canceled, context.DeadlineExceeded,
		ErrNotExist, ErrExist, ErrDenied, ErrNoBucket, ErrNoSpace, ErrTruncated, ErrSource, ErrWrongKind,
		ErrInvalid, ErrClockSkew, ErrExpired, ErrNoCredentials, ErrRegion, ErrUntrusted, ErrRefused, ErrRetained, ErrUnsupported,
	} {
		if errors.Is(err, final) {
			return false
		}
	}
	return true
}

// Truncated returns the error for a file that has only size bytes from offset
// on where length were asked for (<= 0: any).
func Truncated(h Handle, offset, length, size int64) error {
	if length <= 0 {
		return fmt.Errorf("load %s: %w (%w): it ends before byte %d", h, ErrShort, ErrTruncated, offset)
	}
	return fmt.Errorf("load %s: %w (%w): %d bytes asked for at %d, %d there", h, ErrShort, ErrTruncated, length, offset, max(size, 0))
}

// CloseAfter closes c because of err and returns err, with what close says.
func CloseAfter(c io.Closer, err error) error {
	if cerr := c.Close(); cerr != nil {
		return fmt.Errorf("%w; close: %w", err, cerr)
	}
	return err
}
