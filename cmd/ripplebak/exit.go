package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ripplebak/ripplebak/repository"
	"github.com/ripplebak/ripplebak/sidecar"
	"github.com/ripplebak/ripplebak/sidecar/state"
)

// Exit codes. They are restic's, because scripts know them.
const (
	exitDone          = 0
	exitFailed        = 1
	exitIncomplete    = 3
	exitNoRepository  = 10
	exitLocked        = 11
	exitWrongPassword = 12
	exitInterrupted   = 130
)

// exitMeanings are what the codes mean, as each command's help says it.
func exitMeanings() map[int]string {
	return map[int]string{
		exitDone:          "done",
		exitFailed:        "failed; the message says why",
		exitIncomplete:    "a snapshot or an export was written, but some items failed",
		exitNoRepository:  "there is no repository",
		exitLocked:        "locked: another run is under way, or the repository is in use",
		exitWrongPassword: "wrong password",
		exitInterrupted:   "interrupted; what was stopped runs again",
	}
}

// exitStatus is the section of a command's help with the codes it can return.
func exitStatus(codes ...int) string {
	var b strings.Builder
	b.WriteString("EXIT STATUS\n")
	meaning := exitMeanings()
	for _, c := range codes {
		fmt.Fprintf(&b, "  %3d  %s\n", c, meaning[c])
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// repositoryCodes are those of a command that opens the repository.
func repositoryCodes(more ...int) string {
	codes := append([]int{exitDone, exitFailed}, more...)
	return exitStatus(append(codes, exitNoRepository, exitLocked, exitWrongPassword, exitInterrupted)...)
}

// errInterrupted is the cause of a context that a signal has ended.
var errInterrupted = errors.New("interrupted")

// usageError is a command line that cannot be understood.
type usageError struct {
	cmd *cobra.Command
	err error
}

func (e *usageError) Error() string {
	return fmt.Sprintf("%v; see: %s --help", e.err, e.cmd.CommandPath())
}

func (e *usageError) Unwrap() error { return e.err }

// arguments is the rule that a command has at least as many arguments as
// given, which are named in the error, and at most as many as said.
func arguments(most int, needed ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < len(needed):
			return &usageError{cmd, fmt.Errorf("%s is missing", needed[len(args)])}
		case len(args) > most:
			return &usageError{cmd, fmt.Errorf("argument %q is one too many", args[most])}
		}
		return nil
	}
}

// exitCode says how the process ends. Whatever an interrupted command failed
// with, it failed because of that; a snapshot that was written all the same
// counts for what it is.
func exitCode(ctx context.Context, err error) int {
	var several *sidecar.ProjectsError
	switch {
	case err == nil:
		return exitDone
	case errors.Is(err, errInterrupted) || errors.Is(context.Cause(ctx), errInterrupted) && !errors.Is(err, sidecar.ErrIncomplete):
		return exitInterrupted
	case errors.As(err, &several):
		codes := []int{}
		for _, f := range several.Failed {
			codes = append(codes, exitCode(ctx, f.Err))
		}
		return worst(codes)
	case errors.Is(err, sidecar.ErrIncomplete):
		return exitIncomplete
	case errors.Is(err, repository.ErrNoRepository), errors.Is(err, sidecar.ErrRepositoryGone):
		return exitNoRepository
	case errors.Is(err, repository.ErrLocked), errors.Is(err, state.ErrBusy):
		return exitLocked
	case errors.Is(err, repository.ErrWrongPassword):
		return exitWrongPassword
	}
	return exitFailed
}
