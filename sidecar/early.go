package sidecar

import (
	"context"
	"errors"
	"slices"

	"github.com/ripplebak/ripplebak/plan"
	"github.com/ripplebak/ripplebak/volume"
)

// early is a helper that starts while something else is done that takes about
// as long: the repository is opened, services are stopped. It does nothing but
// wait, and it is ended again where the run comes to nothing.
type early struct {
	listener *volume.Listener
	names    []string // the volumes that it has mounted, by Docker's names
	cancel   context.CancelFunc
	done     chan struct{}

	// Good once done is closed.
	helper *helper
	err    error
}

// firstWindow are the volumes of the helper with which a plan begins; none for
// one that begins otherwise, lest a helper sits idle while a database is
// dumped.
func firstWindow(p *plan.Plan) []string {
	if len(p.Operations) == 0 || p.Operations[0].Do != plan.Helper {
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
	return names
}

// nextFill is the volume that is filled next, where nothing comes before but
// stopping services: a volume that is to be made must not be made by mounting
// it.
func nextFill(p *plan.Restore, ops []plan.RestoreOperation) []string {
	i := slices.IndexFunc(ops, func(op plan.RestoreOperation) bool { return op.Do != plan.StopService })
	if i < 0 || ops[i].Do != plan.FillVolume {
		return nil
	}
	it, ok := p.Item(ops[i].Items[0])
	if !ok || it.Volume == nil {
		return nil
	}
	return []string{it.Volume.Place()}
}

// startEarly begins to start a helper for the volumes. Nil where there are
// none, or no way to reach a helper.
func (a *App) startEarly(ctx context.Context, h *host, run string, names []string, write bool) *early {
	if !h.hasSocket() || len(names) == 0 {
		return nil
	}
	ctx, cancel := context.WithCancel(ctx)
	e := &early{names: names, cancel: cancel, done: make(chan struct{})}
	if e.listener, e.err = volume.Listen(a.Settings.RunDir); e.err != nil {
		close(e.done) // the run tries it again, and says why not
		return e
	}
	go func() {
		defer close(e.done)
		e.helper, e.err = a.startHelper(ctx, h, e.listener, run, names, write)
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

// wait gives the helper once it has started; it stays ours to end.
func (e *early) wait() (*helper, error) {
	if e == nil {
		return nil, errNoHelper
	}
	<-e.done
	return e.helper, e.err
}

var errNoHelper = errors.New("no helper can be reached: the volume of its socket is missing")

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
	if e.listener != nil {
		err = errors.Join(err, e.listener.Close())
	}
	return err
}
