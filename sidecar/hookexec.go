package sidecar

import (
	"context"
	"errors"
	"io"
	"strings"

	"github.com/ripplebak/ripplebak/docker"
	"github.com/ripplebak/ripplebak/plan"
)

// hookKeeps is how much of the end of a command's output is held, and hookSays
// how much of the end of that is logged, in bytes.
const (
	hookKeeps = 64 << 10
	hookSays  = 2000
)

// hook runs a command of a label or a setting in a service's container, as it
// is now, for it may have been recreated since the plan was made. What the
// command says is logged, also when it fails.
func (a *App) hook(ctx context.Context, h *host, op plan.Operation, env ...string) error {
	c, err := h.running(ctx, op.Service)
	if err != nil {
		return err
	}
	x, err := h.engine.Exec(ctx, docker.ExecRequest{
		// No stall: a command that says nothing while it works is no fault.
		Container: c, Argv: []string{"sh", "-c", op.Command}, Env: env, Deadline: a.Settings.HookTime, StderrLimit: hookKeeps,
	})
	if err != nil {
		return err
	}
	out, err := readEnd(x)
	err = errors.Join(err, x.Close())
	event := a.Log.Info()
	text := "command done"
	if err != nil {
		event, text = a.Log.Error(), "command failed"
	}
	event.Str("service", op.Service).Str("hook", string(op.Do)).Str("output", a.said(out+x.Stderr())).Msg(text)
	var exit *docker.ExitError
	if errors.As(err, &exit) {
		exit.Stderr = a.said(exit.Stderr)
	}
	return err
}

// said is the end of what a command has said, redacted before it is cut, lest a
// secret is cut in half and not recognised.
func (a *App) said(text string) string {
	text = strings.TrimSpace(a.Redactor().Redact(text))
	if len(text) > hookSays {
		text = "..." + text[len(text)-hookSays:]
	}
	return strings.ToValidUTF8(text, "\uFFFD")
}

// readEnd reads to the end and returns the last of what came.
func readEnd(r io.Reader) (string, error) {
	var kept []byte
	buf := make([]byte, 32<<10)
	for {
		n, err := r.Read(buf)
		kept = append(kept, buf[:n]...)
		if over := len(kept) - hookKeeps; over > 0 {
			kept = kept[:copy(kept, kept[over:])]
		}
		if errors.Is(err, io.EOF) {
			return string(kept), nil
		}
		if err != nil {
			return string(kept), err
		}
	}
}
