package volume

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// turnPoll is how often a job that changes a volume looks whether it may.
const turnPoll = 20 * time.Millisecond

// takeTurn waits until no other job changes the volume at path, in this helper
// or in another one, and keeps others waiting until release is called or the
// process ends. A restore whose sidecar is gone still has to clear up, and a
// recovery that came upon it in the middle would undo what it is undoing.
//
// It is a flock on the volume's root. Where a filesystem has none, jobs of
// several helpers are not kept apart.
func takeTurn(ctx context.Context, path string) (release func(), err error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open the volume: %w", err)
	}
	for {
		err := unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB)
		switch {
		case err == nil, !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR):
			return func() { unix.Close(fd) }, nil // gives the lock back
		}
		select {
		case <-ctx.Done():
			unix.Close(fd)
			return nil, fmt.Errorf("wait for another job of the volume: %w", context.Cause(ctx))
		case <-time.After(turnPoll):
		}
	}
}
