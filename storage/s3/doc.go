// Package s3 keeps a repository in a bucket of anything that speaks S3.
//
// An object is stored by one PUT whose size and SHA-256 are known before it
// starts, so that no part of one ever exists. Nothing here is tried twice:
// that is for [storage.Retry], so that the number of tries has one bound. A
// request has no total time limit; one that moves fewer than a few kilobytes
// in the stall time is ended (see [storage.ErrStalled]).
package s3
