package docker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/docker/docker/api/types/container"
)

// defaultStderr is how much of the end of stderr is kept by default.
const defaultStderr = 64 << 10

// markVar is the variable by which a command's processes are found when they
// have to be ended.
const markVar = "RIPPLEBAK_RUN"

// ExecRequest is a command to run in a container.
type ExecRequest struct {
	// Container is an ID or a name.
	Container string
	Argv      []string
	// User is who runs it, as in docker exec --user; "": the container's own.
	User string
	// Env are further variables, NAME=value. They are readable in the
	// container and by whoever may inspect the exec: no secrets.
	Env []string
	// Stdin is the command's input; nil: none. Its end is passed on; an error
	// of it ends the command before the command can take it for the end. If it
	// is an io.Closer it is closed when the command is over; if not, its Read
	// must return when ctx is done.
	Stdin io.Reader
	// InputMayRemain: the command may end well without reading all of Stdin.
	InputMayRemain bool
	// Gate wraps the command in a shell of the container, which adds a token
	// to the output of a command that succeeded. Without it (the image has no
	// sh) the Engine's word is all the proof there is.
	Gate bool
	// NonEmpty: a command that prints nothing has failed.
	NonEmpty bool
	// Stall is how long neither output nor input may move; 0: for ever. Time
	// in which nobody reads, or in which Stdin is waited for, doesn't count.
	Stall time.Duration
	// Deadline is how long the whole command may take; 0: for ever.
	Deadline time.Duration
	// StderrLimit is how many bytes of the end of stderr are kept. 0: 64 KiB.
	StderrLimit int
}

// Exec is a command that runs in a container. It reads the command's stdout:
// io.EOF comes only after the proof that the command succeeded and the stream
// is whole. One goroutine reads; Close may be called from any, and must be
// called.
type Exec struct {
	e      *Engine
	ctx    context.Context
	req    ExecRequest
	id     string
	mark   string
	s      *stream
	out    io.Reader
	gate   *gate
	head   *head
	stderr *tail
	n      int64

	err  error // set by Read only
	over chan struct{}
	wg   sync.WaitGroup

	overOnce sync.Once
	endOnce  sync.Once
	ended    chan struct{}
	cause    error // why it was ended; valid once ended is closed
	input    input
}

// Exec starts a command. It goes on until its stream has ended, it is closed,
// or ctx is done; in the last two cases, and past its time limits, the process
// inside the container is ended.
func (e *Engine) Exec(ctx context.Context, req ExecRequest) (*Exec, error) {
	if req.Container == "" || len(req.Argv) == 0 || req.Argv[0] == "" {
		return nil, errors.New("run command: no container or no command")
	}
	if req.StderrLimit <= 0 {
		req.StderrLimit = defaultStderr
	}
	x := &Exec{
		e: e, ctx: ctx, req: req, mark: newToken(),
		stderr: newTail(req.StderrLimit), over: make(chan struct{}), ended: make(chan struct{}),
	}
	argv, token := req.Argv, newToken()
	if req.Gate {
		argv = gateArgv(token, argv)
	}
	var err error
	x.id, err = e.createExec(ctx, req.Container, container.ExecOptions{
		User: req.User, AttachStdin: req.Stdin != nil, AttachStdout: true, AttachStderr: true,
		Env: append([]string{markVar + "=" + x.mark}, req.Env...), Cmd: argv,
	})
	if err != nil {
		return nil, fmt.Errorf("run %s: %w", req.Argv[0], errors.Join(err, closeInput(req.Stdin)))
	}
	s, sent, err := e.startExec(ctx, x.id)
	if err != nil {
		if sent {
			err = errors.Join(err, x.terminate())
		}
		return nil, fmt.Errorf("run %s: %w", req.Argv[0], errors.Join(err, closeInput(req.Stdin)))
	}
	x.s = s
	x.s.pace.begin(req.Stall)
	x.head = &head{r: newFrames(s.r, x.stderr, x.s.pace.moved)}
	x.out = x.head
	if req.Gate {
		x.gate = newGate(x.head, token)
		x.out = x.gate
	}
	x.wg.Go(x.watch)
	if req.Stdin != nil {
		x.wg.Go(x.feed)
	}
	return x, nil
}

// watch ends the command when its context or its time is over.
func (x *Exec) watch() {
	var expired <-chan time.Time
	if x.req.Deadline > 0 {
		t := time.NewTimer(x.req.Deadline)
		defer t.Stop()
		expired = t.C
	}
	select {
	case <-x.over:
	case <-x.ctx.Done():
		x.end(context.Cause(x.ctx))
	case <-expired:
		x.end(fmt.Errorf("%w of %s", ErrDeadline, x.req.Deadline))
	}
}

// Read reads the command's stdout. io.EOF says that all of it was read and the
// command succeeded; every other error that it did not, and stays.
func (x *Exec) Read(p []byte) (int, error) {
	if x.err != nil {
		return 0, x.err
	}
	x.s.pace.moved()
	n, err := x.out.Read(p)
	x.n += int64(n)
	if err == nil {
		return n, nil
	}
	x.err = x.verdict(err)
	x.overOnce.Do(func() { close(x.over) })
	if x.err != io.EOF {
		x.err = fmt.Errorf("run %s: %w", x.req.Argv[0], x.err)
	}
	return n, x.err
}

// verdict decides what the end of the stream means.
func (x *Exec) verdict(end error) error {
	select {
	case <-x.ended:
		return x.cause
	default:
	}
	if x.s.wasInterrupted() { // being ended just now
		<-x.ended
		return x.cause
	}
	if errors.Is(end, ErrStalled) {
		x.end(x.stalled())
		return x.cause
	}
	state, err := x.settle()
	switch {
	case errors.Is(err, errUnsettled):
		x.end(err)
		return x.cause
	case err != nil:
		return err
	case state.Running:
		x.end(fmt.Errorf("%w while the command runs on: %w; %s", ErrCut, end, culprits))
		return x.cause
	case state.ExitCode != 0:
		return x.exitError(state.ExitCode)
	}
	return x.succeeded(end)
}

// succeeded decides about a command that the Engine says has exited with 0.
func (x *Exec) succeeded(end error) error {
	proven := x.gate != nil && x.gate.passed()
	if !proven && x.gate != nil && hungUpClean(end) && string(x.gate.rest()) == x.gate.token {
		// The Engine closed the connection with input unread: the token has
		// come, so nothing is missing.
		proven = true
	}
	switch {
	case x.gate == nil && end == io.EOF:
	case proven:
	case end == io.EOF:
		return fmt.Errorf("%w: the token at its end is missing, though the command exited with 0; %s", ErrCut, culprits)
	default:
		return fmt.Errorf("%w; %s", cut(end), culprits)
	}
	if x.req.Stdin != nil {
		if err := x.input.verdict(x.req.InputMayRemain); err != nil {
			return err
		}
	}
	if x.req.NonEmpty && x.n == 0 {
		return ErrNoOutput
	}
	return io.EOF
}

// cut makes an ErrCut of what broke a stream.
func cut(end error) error {
	if errors.Is(end, ErrCut) {
		return end
	}
	return fmt.Errorf("%w: %w", ErrCut, end)
}

// hungUpClean reports whether a stream was broken off between two frames.
func hungUpClean(end error) bool { return hungUp(end) && !errors.Is(end, ErrFrame) }

// Stderr is the end of what the command said, bounded, as it came. It is whole
// once Read has returned an error.
func (x *Exec) Stderr() string { return x.stderr.String() }

// Bytes is how much stdout was read so far.
func (x *Exec) Bytes() int64 { return x.n }

// Close ends a command that isn't over, waits for everything that belongs to
// it, and frees the connection. The error says that the process may still run.
// After the end of the stream there is none.
func (x *Exec) Close() error {
	select {
	case <-x.over:
	default:
		x.end(ErrClosed)
		x.overOnce.Do(func() { close(x.over) })
	}
	err := errors.Join(ignoreClosed(x.s.Close()), closeInput(x.req.Stdin))
	x.wg.Wait()
	select {
	case <-x.ended:
		if errors.Is(x.cause, ErrStillRuns) {
			err = errors.Join(err, ErrStillRuns)
		}
	default:
	}
	return err
}

func ignoreClosed(err error) error {
	if hungUp(err) {
		return nil
	}
	return err
}
