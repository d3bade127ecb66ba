package storage

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/ripplebak/ripplebak/delay"
)

// RetryOptions bound what [Retry] does. The zero value is right for a server
// across a network.
type RetryOptions struct {
	// Tries is how often an operation is tried in all; 0 means 10. With the
	// waits below that bridges about two minutes.
	Tries int
	// ProbeTries is the same for Probe, which is asked by people who wait;
	// 0 means 3.
	ProbeTries int
	// Base and Cap bound the waits: before try n+1 a random time between
	// nothing and min(Cap, Base*2^(n-1)). 0 means 500 ms and 60 s.
	Base, Cap time.Duration
	// Sleep waits, or returns the context's error; nil means real time.
	Sleep func(context.Context, time.Duration) error
	// Rand returns a number in [0, 1); nil means math/rand/v2.
	Rand func() float64
	// Notify, where set, is told of each failure that will be tried again.
	Notify func(RetryEvent)
}

// RetryEvent is one failure that is about to be tried again.
type RetryEvent struct {
	Op    string        // "load", "save", ...
	What  string        // the file or the kind
	Try   int           // which try failed, from 1
	Tries int           // how many there are
	Wait  time.Duration // until the next
	Err   error
}

// Retry returns a Store that repeats what fails for a passing reason (see
// [Retryable]): never more than Tries times for one call, with full jitter. A
// Load that breaks in the middle continues where it broke. A Create whose
// response was lost recognises its own file.
func Retry(s Store, opt RetryOptions) Store {
	if opt.Tries <= 0 {
		opt.Tries = 10
	}
	if opt.ProbeTries <= 0 {
		opt.ProbeTries = 3
	}
	if opt.Base <= 0 {
		opt.Base = 500 * time.Millisecond
	}
	if opt.Cap <= 0 {
		opt.Cap = time.Minute
	}
	if opt.Sleep == nil {
		opt.Sleep = delay.For
	}
	if opt.Rand == nil {
		opt.Rand = rand.Float64
	}
	return New(&retrying{Backend: Join(s), opt: opt})
}

type retrying struct {
	Backend
	opt RetryOptions
}

// Impatient returns a context under which calls are tried as few times as a
// Probe: for what is asked while somebody waits to hear what is wrong.
func Impatient(ctx context.Context) context.Context {
	return context.WithValue(ctx, impatientKey{}, true)
}

type impatientKey struct{}

// attempts counts the tries of one call.
type attempts struct {
	r        *retrying
	op, what string
	tries    int
	failed   int // since the last progress
}

// again takes the error of a try; it waits and returns nil if there shall be
// another, else the error to give up with.
func (a *attempts) again(ctx context.Context, err error) error {
	if !Retryable(err) {
		return err
	}
	if ctx.Err() != nil {
		return fmt.Errorf("%w; %w", context.Cause(ctx), err)
	}
	a.failed++
	if ctx.Value(impatientKey{}) != nil {
		a.tries = min(a.tries, a.r.opt.ProbeTries)
	}
	if a.failed >= a.tries {
		if a.tries == 1 {
			return err
		}
		return fmt.Errorf("gave up after %d tries: %w", a.failed, err)
	}
	wait := min(a.r.opt.Cap, a.r.opt.Base<<min(a.failed-1, 30))
	wait = time.Duration(a.r.opt.Rand() * float64(wait))
	if a.r.opt.Notify != nil {
		a.r.opt.Notify(RetryEvent{Op: a.op, What: a.what, Try: a.failed, Tries: a.tries, Wait: wait, Err: err})
	}
	if serr := a.r.opt.Sleep(ctx, wait); serr != nil {
		return fmt.Errorf("%w; %w", serr, err)
	}
	return nil
}

func (r *retrying) attempts(op, what string) *attempts {
	return &attempts{r: r, op: op, what: what, tries: r.opt.Tries}
}

// do repeats a whole operation.
func (r *retrying) do(ctx context.Context, a *attempts, fn func() error) error {
	for {
		err := fn()
		if err == nil {
			return nil
		}
		if err := a.again(ctx, err); err != nil {
			return err
		}
	}
}

func (r *retrying) Stat(ctx context.Context, h Handle) (info Info, err error) {
	err = r.do(ctx, r.attempts("stat", h.String()), func() error {
		info, err = r.Backend.Stat(ctx, h)
		return err
	})
	return info, err
}

func (r *retrying) Save(ctx context.Context, h Handle, p Payload) error {
	return r.do(ctx, r.attempts("save", h.String()), func() error { return r.Backend.Save(ctx, h, p) })
}

func (r *retrying) Provision(ctx context.Context) error {
	return r.do(ctx, r.attempts("provision", r.Location()), func() error { return r.Backend.Provision(ctx) })
}

func (r *retrying) Remove(ctx context.Context, h Handle) error {
	return r.do(ctx, r.attempts("remove", h.String()), func() error { return r.Backend.Remove(ctx, h) })
}

func (r *retrying) Probe(ctx context.Context) error {
	a := r.attempts("probe", r.Location())
	a.tries = r.opt.ProbeTries
	return r.do(ctx, a, func() error { return r.Backend.Probe(ctx) })
}

// Create cannot tell "somebody was first" from "my earlier try was stored and
// its response lost", but for the content.
func (r *retrying) Create(ctx context.Context, h Handle, p Payload) error {
	a := r.attempts("create", h.String())
	return r.do(ctx, a, func() error {
		err := r.Backend.Create(ctx, h, p)
		if !errors.Is(err, ErrExist) || a.failed == 0 {
			return err
		}
		same, cerr := Holds(ctx, r.Backend, h, p)
		if cerr != nil {
			return cerr
		}
		if same {
			return nil
		}
		return err
	})
}

// List starts over after a failure; what was yielded before is not repeated.
// The count of tries starts anew when a try got further than those before.
func (r *retrying) List(ctx context.Context, k Kind, fn func(Info) error) error {
	var seen nameSet
	var ours error
	a := r.attempts("list", k.String())
	err := r.do(ctx, a, func() error {
		err := r.Backend.List(ctx, k, func(i Info) error {
			if !seen.add(i.Name) {
				return nil
			}
			a.failed = 0
			ours = fn(i)
			return ours
		})
		if ours != nil {
			return nil
		}
		return err
	})
	if ours != nil {
		return ours
	}
	return err
}
