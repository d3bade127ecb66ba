package sidecar

import (
	"errors"
	"strings"
)

// What callers switch on.
var (
	// ErrProblems means that the plan has problems; nothing was touched.
	ErrProblems = errors.New("the plan has problems")
	// ErrIncomplete means that a snapshot was committed and some items failed.
	ErrIncomplete = errors.New("some items failed")
	// ErrNothingSaved means that no item could be saved and no snapshot exists.
	ErrNothingSaved = errors.New("nothing was saved")
	// errNothingDue means that nothing follows the schedules that were due.
	errNothingDue = errors.New("nothing follows this schedule")
	// ErrRestoreFailed means that an item was not restored.
	ErrRestoreFailed = errors.New("some items were not restored")
	// ErrDeclined means that the user was asked and said no.
	ErrDeclined = errors.New("not confirmed")
	// ErrRepositoryGone means that a repository which this sidecar has used
	// is no longer there.
	ErrRepositoryGone = errors.New("the repository is gone")
)

// ProblemsError is an ErrProblems with all of them.
type ProblemsError struct{ Problems []string }

func (e *ProblemsError) Error() string {
	if len(e.Problems) == 1 {
		return e.Problems[0]
	}
	return "nothing was touched, because of these problems:\n  - " + strings.Join(e.Problems, "\n  - ")
}

func (e *ProblemsError) Unwrap() error { return ErrProblems }
