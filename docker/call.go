package docker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"syscall"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/client"

	"github.com/ripplebak/ripplebak/delay"
)

// maxPause bounds the pause between two tries of a call.
const maxPause = 5 * time.Second

// once makes one call with the usual time limit.
func (e *Engine) once(ctx context.Context, call string, fn func(context.Context) error) error {
	return e.bounded(ctx, call, e.opt.CallTimeout, fn)
}

// bounded makes one call with a time limit of its own and explains its error.
func (e *Engine) bounded(ctx context.Context, call string, limit time.Duration, fn func(context.Context) error) error {
	within, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	err := fn(within)
	if err == nil {
		return nil
	}
	if ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("docker engine at %s did not answer %s within %s: %w", e.Host(), call, limit, ErrEngineGone)
	}
	return e.explain(ctx, call, err)
}

// retry makes a call that may be made twice, again and again while the Engine
// doesn't answer.
func (e *Engine) retry(ctx context.Context, call string, fn func(context.Context) error) error {
	return e.retryBounded(ctx, call, e.opt.CallTimeout, fn)
}

func (e *Engine) retryBounded(ctx context.Context, call string, limit time.Duration, fn func(context.Context) error) error {
	until := time.Now().Add(e.opt.RetryFor)
	pause, told := e.opt.RetryPause, false
	for {
		err := e.bounded(ctx, call, limit, fn)
		if err == nil || !errors.Is(err, ErrEngineGone) || errors.Is(err, ErrNoPermission) {
			return err
		}
		// Half of the pause is drawn, so that sidecars don't call in step.
		wait := pause/2 + rand.N(pause/2+1)
		if time.Now().Add(wait).After(until) {
			return err
		}
		if !told {
			e.opt.Log("docker engine does not answer, waiting for it: " + err.Error())
			told = true
		}
		if err := delay.For(ctx, wait); err != nil {
			return fmt.Errorf("%s: %w", call, err)
		}
		pause = min(2*pause, maxPause)
	}
}

// explain turns an error of the client into one of ours.
func (e *Engine) explain(ctx context.Context, call string, err error) error {
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("%s: %w", call, context.Cause(ctx))
	case errors.Is(err, ErrNoContainer), errors.Is(err, ErrNoVolume), errors.Is(err, ErrNoImage), errors.Is(err, ErrNotRunning), errors.Is(err, errNoExec):
		return err
	case refused(err):
		return fmt.Errorf("%w: %s; allow this call there, or mount the socket itself: %w", ErrForbidden, call, err)
	case strings.Contains(err.Error(), "is too old. Minimum supported API version"):
		return fmt.Errorf("%w for this ripplebak, upgrade ripplebak: %w", ErrAPITooNew, err)
	case strings.Contains(err.Error(), "is too new. Maximum supported API version"):
		return fmt.Errorf("%w, ripplebak needs API %s (Docker 20.10): %w", ErrAPITooOld, minAPI, err)
	case broken(err):
		return e.unreachable(ctx, call, err)
	}
	return fmt.Errorf("%s: %w", call, err)
}

// refused reports whether something before the Engine forbade a call.
func refused(err error) bool {
	return errdefs.IsPermissionDenied(err) || errdefs.IsUnauthorized(err) ||
		strings.Contains(strings.ToLower(err.Error()), "method not allowed")
}

// broken reports whether no answer came, or one that says that the Engine
// isn't there just now.
func broken(err error) bool {
	var op *net.OpError
	switch {
	case client.IsErrConnectionFailed(err), errdefs.IsUnavailable(err), errors.As(err, &op):
		return true
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF),
		errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return true
	}
	return strings.Contains(err.Error(), "502 Bad Gateway") || strings.Contains(err.Error(), "504 Gateway")
}
