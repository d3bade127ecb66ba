package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/ripplebak/ripplebak/plan"
	"github.com/ripplebak/ripplebak/sidecar"
)

// errNotAsked means that nobody is there to be asked, and nobody said yes.
var errNotAsked = errors.New("what this does cannot be undone, and there is no terminal to ask on: look at what it would do with --dry-run, then run it with --yes")

// mayAsk refuses at once, before anything is read, what nobody can confirm.
func (s *session) mayAsk(yes bool) error {
	if yes || s.program.inTerminal {
		return nil
	}
	return errNotAsked
}

// confirm shows a restore's plan, and asks unless the answer is known.
func (s *session) confirm(ctx context.Context, yes bool) func(*plan.Restore) error {
	return func(p *plan.Restore) error {
		if s.jsonLog && yes {
			for _, w := range p.Warnings {
				s.log.Warn().Msg(w)
			}
			return nil
		}
		if err := s.printTo(s.display, p.Print); err != nil {
			return err
		}
		if yes {
			return nil
		}
		return s.ask(ctx, "\noverwrite what is there with this? [y/N] ")
	}
}

// ask returns nil for a yes and ErrDeclined for anything else.
func (s *session) ask(ctx context.Context, question string) error {
	if _, err := io.WriteString(s.display, question); err != nil {
		return err
	}
	answer, err := s.program.readLine(ctx)
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read the answer: %w", err)
	}
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return nil
	}
	return fmt.Errorf("%w: nothing was touched", sidecar.ErrDeclined)
}

const (
	answerPoll = 100 // milliseconds
	answerSize = 256 // bytes; more are no answer
)

// readLine reads a line from a terminal. It waits for the terminal in short
// turns, because a read cannot be ended, and the context can.
func readLine(ctx context.Context, f *os.File) (string, error) {
	var line []byte
	for len(line) < answerSize {
		fds := []unix.PollFd{{Fd: int32(f.Fd()), Events: unix.POLLIN}}
		n, err := unix.Poll(fds, answerPoll)
		switch {
		case ctx.Err() != nil:
			return "", context.Cause(ctx)
		case errors.Is(err, unix.EINTR) || err == nil && n == 0:
			continue
		case err != nil:
			return "", err
		}
		var b [1]byte // what follows the line belongs to others
		if _, err := f.Read(b[:]); err != nil {
			return string(line), err
		}
		if b[0] == '\n' {
			break
		}
		line = append(line, b[0])
	}
	return string(line), nil
}
