package sidecar

import (
	"context"
	"errors"
	"slices"

	"github.com/ripplebak/ripplebak/plan"
	"github.com/ripplebak/ripplebak/volume"
)

// early is a helper that starts while the repository is being opened: both
// take about as long, and neither needs the other. It is only begun for a
// plan that is sound and that begins with the helper, so that it does not sit
// idle while a database is dumped, and it is ended again where the run comes
// to nothing.
type early struct {
	listener *volume.Listener
	names    []string // the volumes that it has mounted, by Docker's names
	cancel   context.CancelFunc
	done     chan struct{}

	// Good once done is closed.
	helper *helper
	err    error
}

// startEarly begins to start the helper of the plan's first operation. Nil
// where there is none that can start now.
func (a *App) startEarly(ctx context.Context, h *host, p *plan.Plan, run string) *early {
	if !h.hasSocket() || len(p.Operations) == 0 || p.Operations[0].Do != plan.Helper {
		return nil
	}
	var names []string
	for _, key := range p.Operations[0].Items {
		it, ok := p.Item(key)
		if !ok || it.Volume == nil {
			return nil
		}
		names = append(names, it.Volume.Docker)
	}
	listener, err := volume.Listen(a.Settings.RunDir)
	if err != nil {
		return nil // the run tries it again, and says why not
	}
	ctx, cancel := context.WithCancel(ctx)
	e := &early{listener: listener, names: names, cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(e.done)
		e.helper, e.err = a.startHelper(ctx, h, listener, run, names, false)
	}()
	return e
}

// take gives the helper for exactly these volumes, or nil: then there is none,
// for it is not the run's first one or it could not be started.
func (e *early) take(names []string) *helper {
	if e == nil || !slices.Equal(e.names, names) {
		return nil
	}
	<-e.done
	c := e.helper
	e.helper = nil
	return c
}

// end waits for the start and ends what nobody has taken. It may be called
// again.
func (e *early) end(ctx context.Context) error {
	if e == nil {
		return nil
	}
	e.cancel()
	<-e.done
	var err error
	if c := e.helper; c != nil {
		e.helper = nil
		err = c.close(context.WithoutCancel(ctx))
	}
	return errors.Join(err, e.listener.Close())
}
