package storage

import (
	"context"
	"io"
)

// Reader reads repository files.
type Reader interface {
	// Load returns length bytes of a file from offset on; length <= 0 means
	// to its end. Fewer bytes than that are an error ([ErrShort]), on Load or
	// on Read, never EOF. The caller closes the reader.
	Load(ctx context.Context, h Handle, offset, length int64) (io.ReadCloser, error)
	// Stat returns the size of a file, or [ErrNotExist].
	Stat(ctx context.Context, h Handle) (Info, error)
	// List calls fn for each file of a kind once, in no particular order.
	// What lies there under a name that is not ours is skipped. The error of
	// fn ends the listing and is returned as it is.
	List(ctx context.Context, k Kind, fn func(Info) error) error
	// Location names the repository in messages; it carries no secret.
	Location() string
}

// Writer adds files. It never changes or removes one, but for CreateKey.
type Writer interface {
	// Save stores a file: whole or not at all. Saving equal content again is
	// no error. Config goes through Create and locks through a Locker
	// ([ErrWrongKind]).
	Save(ctx context.Context, h Handle, p Payload) error
	// Create stores a file that must not exist yet, else [ErrExist]. Of two
	// that create at once, one wins.
	Create(ctx context.Context, h Handle, p Payload) error
	// CreateKey is Create for a key file. withdraw removes that very file: of
	// two first runs the one that lost takes its key back. It is the only thing
	// that a Writer can remove, and only by who made it.
	CreateKey(ctx context.Context, name string, p Payload) (withdraw func(context.Context) error, err error)
	// Provision makes the bucket or the directories; it may be repeated.
	Provision(ctx context.Context) error
}

// Locker creates and removes files below locks/, and nothing else.
type Locker interface {
	SaveLock(ctx context.Context, name string, p Payload) error
	// RemoveLock removes a lock; one that is gone already is no error.
	RemoveLock(ctx context.Context, name string) error
}

// Remover deletes keys, snapshots, indexes and packs; never the config, and
// locks only through a Locker ([ErrWrongKind]).
type Remover interface {
	// Remove deletes a file; one that is gone already is no error.
	Remove(ctx context.Context, h Handle) error
}

// AppendStore is an opened storage that can only grow: nothing that it hands
// out removes a file, but a lock. Every Store is one; what [AppendOnly] returns
// is no Store. Its methods can be called at the same time.
type AppendStore interface {
	Reader() Reader
	Writer() Writer
	Locker() Locker
	// Retainer is nil where files are not locked against their removal.
	Retainer() Retainer
	// Probe proves that the place can be reached and that the credentials,
	// the region and the clock are right. Its errors are one line each and
	// say what to do. A missing bucket or directory is [ErrNoBucket].
	Probe(ctx context.Context) error
	// Close ends idle connections. What was handed out must not be used after.
	Close() error
}

// Store is an opened storage, with all rights that the process has there.
type Store interface {
	AppendStore
	Remover() Remover
}

// Backend is what an implementation provides; [New] makes a Store of it. It
// is given valid handles of any kind only, and payloads whose readers fail
// where their content is not as long as announced.
type Backend interface {
	// Load returns the range and the number of bytes that will come: less
	// than length where the file ends before. A file that ends before offset
	// is [ErrTruncated].
	Load(ctx context.Context, h Handle, offset, length int64) (io.ReadCloser, int64, error)
	Stat(ctx context.Context, h Handle) (Info, error)
	// List may repeat files and yield them in any order.
	List(ctx context.Context, k Kind, fn func(Info) error) error
	Location() string
	// Save stores a file of any kind, replacing what is there, atomically.
	Save(ctx context.Context, h Handle, p Payload) error
	Create(ctx context.Context, h Handle, p Payload) error
	Provision(ctx context.Context) error
	// Remove removes a file of any kind; absence is no error.
	Remove(ctx context.Context, h Handle) error
	Probe(ctx context.Context) error
	Close() error
}
