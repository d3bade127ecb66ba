package sqlite

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// Answer is what a process that copies or checks a database writes to its
// standard output, as JSON, before it ends.
type Answer struct {
	Summary
	Error string `json:"error,omitempty"`
}

// ErrUsage says that such a process was asked for nothing that it does.
var ErrUsage = errors.New("copy FROM TO, or check FILE")

// Serve does one task and writes its answer: "copy" FROM TO makes a copy and
// checks it in full, "check" FILE checks a file quickly. It gives up when hold
// ends: who started it may not be allowed to end it.
func Serve(ctx context.Context, task []string, hold io.Reader, out io.Writer) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	done := make(chan Answer, 1)
	go func() { done <- answer(ctx, task) }()
	go func() {
		_, err := io.Copy(io.Discard, hold)
		cancel(errors.Join(errors.New("nobody waits for it any more"), err))
	}()
	select {
	case a := <-done:
		return json.NewEncoder(out).Encode(a)
	case <-ctx.Done():
		return context.Cause(ctx) // the process ends, and with it whatever the task does
	}
}

func answer(ctx context.Context, task []string) (a Answer) {
	var err error
	switch {
	case len(task) == 3 && task[0] == "copy":
		if err = Copy(ctx, task[1], task[2]); err == nil {
			a.Summary, err = Check(ctx, task[2], false)
		}
	case len(task) == 2 && task[0] == "check":
		a.Summary, err = Check(ctx, task[1], true)
	default:
		err = fmt.Errorf("%w: %q", ErrUsage, task)
	}
	if err != nil {
		a.Error = shorten(err.Error())
	}
	return a
}
