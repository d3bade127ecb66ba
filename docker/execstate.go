package docker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"

	"github.com/ripplebak/ripplebak/delay"
)

// errNoExec: the Engine knows nothing of the command any more.
var errNoExec = errors.New("the docker engine has forgotten the command")

// errUnsettled: how the command ended can't be found out.
var errUnsettled = errors.New("how the command ended is unknown")

// headSize is how much of the beginning of stdout is kept for errors.
const headSize = 4 << 10

// head remembers the beginning of a stream: where a command can't be started,
// the Engine says so on its stdout.
type head struct {
	r   io.Reader
	buf []byte
}

func (h *head) Read(p []byte) (int, error) {
	n, err := h.r.Read(p)
	if room := headSize - len(h.buf); room > 0 {
		h.buf = append(h.buf, p[:min(n, room)]...)
	}
	return n, err
}

// inspectExec asks how a command fares.
func (e *Engine) inspectExec(ctx context.Context, exec string) (container.ExecInspect, error) {
	return e.inspectExecBy(ctx, exec, e.retry)
}

// inspectExecBy asks in a way: once, or again and again.
func (e *Engine) inspectExecBy(ctx context.Context, exec string, by func(context.Context, string, func(context.Context) error) error) (container.ExecInspect, error) {
	var state container.ExecInspect
	err := by(ctx, "GET /exec/{id}/json", func(ctx context.Context) (err error) {
		state, err = e.cli.ContainerExecInspect(ctx, exec)
		if errdefs.IsNotFound(err) {
			return errNoExec
		}
		return err
	})
	return state, err
}

// settle asks for the state of a command whose stream has ended, until it no
// longer runs or the time for that is over: the end of the stream comes before
// the exit.
func (x *Exec) settle() (container.ExecInspect, error) {
	until := time.Now().Add(x.e.opt.Settle)
	for pause := 2 * time.Millisecond; ; pause = min(2*pause, 250*time.Millisecond) {
		state, err := x.e.inspectExec(x.ctx, x.id)
		if errors.Is(err, errNoExec) {
			return state, x.lost()
		}
		if err != nil {
			return state, fmt.Errorf("%w: %w", errUnsettled, err)
		}
		if !state.Running || time.Now().After(until) {
			return state, nil
		}
		if err := delay.For(x.ctx, pause); err != nil {
			return state, fmt.Errorf("%w: %w", errUnsettled, err)
		}
	}
}

// lost says what became of a command that the Engine no longer knows.
func (x *Exec) lost() error {
	c, err := x.e.Inspect(x.ctx, x.req.Container)
	switch {
	case errors.Is(err, ErrNoContainer):
		return fmt.Errorf("the container was removed while the command ran: %w", err)
	case err != nil:
		return err
	case !c.Running:
		code := c.ExitCode
		if code == 0 {
			code = 137
		}
		return &ExitError{Command: x.req.Argv[0], Code: code, Stderr: x.Stderr(), Reason: "its container stopped"}
	}
	return fmt.Errorf("%w: the docker engine or the container was restarted while the command ran", ErrCut)
}

// exitError is the error for a command that failed.
func (x *Exec) exitError(code int) error {
	out := &ExitError{Command: x.req.Argv[0], Code: code, Stderr: x.Stderr()}
	if code == 126 || code == 127 {
		// Engines say on stdout that there is nothing to start.
		text := strings.TrimSpace(strings.ToValidUTF8(string(x.head.buf), "\uFFFD"))
		if strings.Contains(text, "exec failed") || strings.TrimSpace(out.Stderr) == "" {
			out.Stderr = text
			out.NoShell = x.req.Gate && strings.Contains(text, `"sh"`)
		}
		if out.NoShell {
			out.Reason = "the image has no sh"
		} else {
			out.Reason = "is it in the image?"
		}
	}
	if code == 137 {
		out.Reason = "killed"
		if c, err := x.e.Inspect(x.ctx, x.req.Container); err == nil && !c.Running {
			out.Reason = "its container stopped"
			if c.OOMKilled {
				out.Reason = "its container ran out of memory"
			}
		} else if errors.Is(err, ErrNoContainer) {
			out.Reason = "its container was removed"
		}
	}
	return out
}

// stalled says why nothing moves.
func (x *Exec) stalled() error {
	ctx, cancel := context.WithTimeout(x.ctx, 5*time.Second)
	defer cancel()
	err := fmt.Errorf("%w: nothing moved for %s", ErrStalled, x.req.Stall)
	if c, ierr := x.e.Inspect(ctx, x.req.Container); ierr == nil && c.Paused {
		return fmt.Errorf("%w, the container is paused", err)
	} else if errors.Is(ierr, ErrNoContainer) {
		return fmt.Errorf("%w, the container is gone", err)
	}
	return err
}
