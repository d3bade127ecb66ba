// Package delay lets time pass, and no more of it than there is use for.
package delay

import (
	"context"
	"time"
)

// For waits, or returns the cause of ctx's end, also where it had ended before.
func For(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return context.Cause(ctx)
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
