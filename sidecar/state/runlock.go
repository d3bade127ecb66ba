package state

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// ErrBusy means that another process holds the run lock.
var ErrBusy = errors.New("another run is under way")

// Owner says who holds the run lock.
type Owner struct {
	Run       string    `json:"run"`
	Container string    `json:"container,omitempty"`
	Command   string    `json:"command"`
	Since     time.Time `json:"since"`
}

// BusyError is an ErrBusy that names the owner.
type BusyError struct{ Owner Owner }

func (e *BusyError) Error() string {
	if e.Owner.Run == "" {
		return ErrBusy.Error()
	}
	who := e.Owner.Command
	if e.Owner.Container != "" {
		who += " in container " + short(e.Owner.Container)
	}
	return fmt.Sprintf("%v: %s, since %s; wait until it has ended", ErrBusy, who, e.Owner.Since.Format(time.RFC3339))
}

func (e *BusyError) Unwrap() error { return ErrBusy }

func short(id string) string {
	if len(id) > 12 {
		return id[:12]
	}
	return id
}

// RunLock is held while a run changes anything: services, helpers, journal.
type RunLock struct {
	f *os.File
	// Unnamed is why others cannot be told who holds the lock, which it keeps
	// them out by all the same; nil if they can.
	Unnamed error
}

const (
	lockFile  = "run.lock"
	ownerFile = "run.json"
	lockPoll  = 500 * time.Millisecond
)

// Lock takes the run lock, waiting for it at most as long as wait. If another
// holds it the error is a *BusyError.
func (d *Dir) Lock(ctx context.Context, owner Owner, wait time.Duration) (*RunLock, error) {
	f, err := os.OpenFile(filepath.Join(d.path, lockFile), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("take run lock: %w", err)
	}
	if err := d.flock(ctx, f, wait); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	lock := &RunLock{f: f}
	if err := d.writeFile(ownerFile, owner); err != nil {
		lock.Unnamed = fmt.Errorf("note who runs: %w", errors.Join(err, d.removeFile(ownerFile)))
	}
	return lock, nil
}

func (d *Dir) flock(ctx context.Context, f *os.File, wait time.Duration) error {
	deadline := time.NewTimer(wait)
	defer deadline.Stop()
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("take run lock: %w", err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-deadline.C:
			return d.busy()
		case <-time.After(lockPoll):
		}
	}
}

func (d *Dir) busy() error {
	var o Owner
	if _, err := d.readFile(ownerFile, &o); err != nil {
		return ErrBusy // the file is only for the message
	}
	return &BusyError{Owner: o}
}

// Release gives the lock back.
func (l *RunLock) Release() error {
	if err := l.f.Close(); err != nil {
		return fmt.Errorf("release run lock: %w", err)
	}
	return nil
}
