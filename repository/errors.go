package repository

import (
	"errors"
	"fmt"
	"time"
)

// What callers switch on.
var (
	// ErrExist: there is a repository already.
	ErrExist = errors.New("repository already exists")
	// ErrNoRepository: there is none at this place. Never said for a refusal.
	ErrNoRepository = errors.New("no repository here")
	// ErrWrongPassword: no key file of the repository opens with the password.
	ErrWrongPassword = errors.New("wrong password")
	// ErrVersion: the repository's format is newer than this program.
	ErrVersion = errors.New("unknown repository version")
	// ErrNoBlob: no index names the blob.
	ErrNoBlob = errors.New("blob is in no index")
	// ErrDamaged: a file of the repository is not what was once written.
	ErrDamaged = errors.New("damaged")
	// ErrNoSnapshot: no snapshot has that ID or prefix.
	ErrNoSnapshot = errors.New("no such snapshot")
	// ErrAmbiguous: the prefix fits several snapshots.
	ErrAmbiguous = errors.New("prefix fits more than one snapshot")
	// ErrNoNode: the snapshot has nothing at that path.
	ErrNoNode = errors.New("not in the snapshot")
	// ErrLocked: somebody else holds a lock that excludes ours. The error is
	// a *[LockedError].
	ErrLocked = errors.New("repository is locked")
	// ErrLockLost: our lock could not be refreshed for so long that others
	// may take it for dead.
	ErrLockLost = errors.New("repository lock was lost")
	// ErrClosed: the writer was closed.
	ErrClosed = errors.New("writer is closed")
	// ErrOrder: the nodes of a tree are not strictly ascending by name.
	ErrOrder = errors.New("names not in ascending order")
)

// LockedError says who holds the lock that is in the way.
type LockedError struct {
	Host      string
	PID       int
	Since     time.Time // when the lock was last refreshed
	Exclusive bool
	ID        ID
}

func (e *LockedError) Error() string {
	kind := "shared"
	if e.Exclusive {
		kind = "exclusively"
	}
	return fmt.Sprintf("%s, %s, by process %d on %s since %s (lock %s): wait for it to end",
		ErrLocked, kind, e.PID, e.Host, e.Since.Format(time.RFC3339), e.ID.Short())
}

// Is makes errors.Is(err, ErrLocked) true.
func (e *LockedError) Is(target error) bool { return target == ErrLocked }

// damaged returns an error that wraps ErrDamaged.
func damaged(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrDamaged, fmt.Errorf(format, args...))
}
