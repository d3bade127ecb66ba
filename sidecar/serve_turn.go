package sidecar

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/ripplebak/ripplebak/delay"
)

// turn is the time that a job of serve has until the next backup.
type turn struct {
	// began is when the job was first begun, before it was cut short; else now.
	began time.Time
	// again says that it was cut short before, and goes on.
	again bool
	// wait is how long it may wait for others: it must not keep the next backup
	// waiting for what it only waits for itself.
	wait time.Duration
	// stop is closed when it should come to a rest. Soon after, its context
	// ends.
	stop <-chan struct{}
}

// restTime is how long before the next backup a job is asked to come to a rest:
// in half of it what it has done is put where the next turn finds it, then it is
// ended. Where the next backup is near it is a tenth of the time that is left.
const restTime = 2 * time.Minute

// errTimeUp ends a job that does not come to a rest.
var errTimeUp = errors.New("the next backup is due")

// beginTurn gives a job the time until the next backup. end must be called when
// the job has ended. It goes by the clock on the wall, as the schedule does.
func (a *App) beginTurn(ctx context.Context, next time.Time) (_ context.Context, t turn, end func()) {
	left := next.Sub(a.Now())
	rest := min(restTime, left/10)
	t.began, t.wait = a.Now(), min(a.Settings.LockWait, left-rest)
	ctx, cancel := context.WithCancelCause(ctx)
	stop := make(chan struct{})
	t.stop = stop
	var watch sync.WaitGroup
	watch.Go(func() {
		if a.waitUntil(ctx, next.Add(-rest)) != nil {
			return
		}
		close(stop)
		if a.waitUntil(ctx, next.Add(-rest/2)) == nil {
			cancel(errTimeUp)
		}
	})
	return ctx, t, func() {
		cancel(context.Canceled)
		watch.Wait()
	}
}

// waitUntil waits until the clock on the wall shows a time, or returns the cause
// of ctx's end.
func (a *App) waitUntil(ctx context.Context, at time.Time) error {
	for left := at.Sub(a.Now()); left > 0; left = at.Sub(a.Now()) {
		if err := delay.For(ctx, min(recoverEvery, left)); err != nil {
			return err
		}
	}
	return context.Cause(ctx)
}
