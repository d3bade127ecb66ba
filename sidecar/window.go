package sidecar

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/ripplebak/ripplebak/archive"
	"github.com/ripplebak/ripplebak/plan"
)

// spoolMemory is how much of a window's second walks waits in memory before the
// disk is used, in bytes; leastSpool is the least that one walk may have of it.
const (
	spoolMemory = 64 << 20
	leastSpool  = 1 << 20
)

// windowRun is the state of one window: its helpers, and the walks that are
// still being saved.
type windowRun struct {
	name    string
	keys    []string           // of volumes
	dumps   []string           // keys of the dumps that are made in it by the server
	offline []string           // and of those that are made in a double
	doubles map[string]*double // by key of such a dump
	helpers []*helper
	where   map[string]mounted // by item key
	first   map[string]*archive.Result

	saves errgroup.Group // of second walks

	mu   sync.Mutex
	gone map[string]time.Time // services that are down, since when
	lost error
}

// mounted is where a volume of the window is to be found.
type mounted struct {
	helper *helper
	root   string
	only   string // the file of a bind that is a single one; empty: all of root
}

func (w *windowRun) mount(key string) (mounted, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	m, ok := w.where[key]
	return m, ok
}

func (w *windowRun) down(service string, at time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, ok := w.gone[service]; !ok {
		w.gone[service] = at
	}
}

func (w *windowRun) up(service string, at time.Time) (time.Duration, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	since, ok := w.gone[service]
	delete(w.gone, service)
	return at.Sub(since), ok
}

func (r *run) window(name string) *windowRun { return r.windows[name] }

// makeWindows makes the windows of the plan, with nothing in them but the dumps.
func (r *run) makeWindows() {
	for _, op := range r.plan.Operations {
		if op.Window == "" {
			continue
		}
		w, ok := r.windows[op.Window]
		if !ok {
			w = &windowRun{name: op.Window, where: map[string]mounted{}, first: map[string]*archive.Result{}, gone: map[string]time.Time{}, doubles: map[string]*double{}}
			r.windows[op.Window] = w
		}
		if op.Do != plan.DoDump {
			continue
		}
		switch it, _ := r.plan.Item(op.Items[0]); {
		case it.Dump.Offline:
			w.offline = append(w.offline, it.Key)
		default:
			w.dumps = append(w.dumps, it.Key)
		}
	}
}

// items are the keys of all that is saved in the window.
func (w *windowRun) items() []string { return slices.Concat(w.keys, w.dumps, w.offline) }

// windowLost says that nothing would be gained by stopping anything.
func (r *run) windowLost(name string) bool {
	w := r.windows[name]
	return w == nil || w.lost != nil || r.nothingLeft(w) != nil
}

// loseWindow fails every volume and every offline dump of a window, because its
// services could not be quiesced, and has them brought back at once. A dump by
// its server is a point in time by itself, so those that are still to come are
// made and say what they are not.
func (r *run) loseWindow(ctx context.Context, name string, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	w := r.window(name)
	w.lost = err
	for _, k := range slices.Concat(w.keys, w.offline) {
		r.fail(k, err)
	}
	if err := r.resumeAll(context.WithoutCancel(ctx)); err != nil {
		r.warn("%v", err) // it is tried again at every step that follows
	}
	return nil
}

// startHelpers starts one helper for all volumes of the window; if that fails,
// one for each, so that a dead volume fails its own item only.
func (r *run) startHelpers(ctx context.Context, op plan.Operation) error {
	w := r.window(op.Window)
	var names []string
	for _, k := range op.Items {
		if r.failed(k) {
			continue
		}
		it, _ := r.item(k)
		w.keys = append(w.keys, k)
		names = append(names, it.Volume.Docker)
	}
	if len(names) == 0 {
		w.lost = r.nothingLeft(w)
		return nil
	}
	err := r.addHelper(ctx, w, w.keys, names)
	if err == nil || len(names) == 1 {
		return r.helperFailed(ctx, w.keys, err)
	}
	r.warn("one helper for %d volumes could not be started, each gets its own: %v", len(names), err)
	for i, k := range w.keys {
		err := r.addHelper(ctx, w, []string{k}, names[i:i+1])
		if err := r.helperFailed(ctx, []string{k}, err); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) helperFailed(ctx context.Context, keys []string, err error) error {
	if err == nil {
		return nil
	}
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	for _, k := range keys {
		r.fail(k, err)
	}
	return nil
}

func (r *run) addHelper(ctx context.Context, w *windowRun, keys, names []string) error {
	h := r.early.take(names)
	if h == nil {
		var err error
		if h, err = r.app.startHelper(ctx, r.host, r.listener, r.id, names, false); err != nil {
			return err
		}
	}
	w.helpers = append(w.helpers, h)
	for i, k := range keys {
		w.where[k] = mounted{helper: h, root: h.mountPoint(i)}
	}
	return nil
}

// errNoItem means that of a window no item is left that could be saved.
var errNoItem = errors.New("no item is left")

// closeWindow waits until the window's walks are saved, and ends its helpers.
// Their containers are removed while the run goes on, and gone when it ends.
func (r *run) closeWindow(ctx context.Context, w *windowRun) error {
	err := w.saves.Wait()
	for _, h := range w.helpers {
		r.removing.Go(func() {
			if err := h.close(context.WithoutCancel(ctx)); err != nil {
				r.warn("a helper could not be removed, the next run tries it again: %v", err)
			}
		})
	}
	w.helpers = nil
	for _, d := range w.doubles {
		r.removing.Go(func() {
			if err := d.close(context.WithoutCancel(ctx)); err != nil {
				r.warn("a helper could not be removed, the next run tries it again: %v", err)
			}
		})
	}
	clear(w.doubles)
	return err
}

// settleAll waits for everything that is still being saved.
func (r *run) settleAll(ctx context.Context) error {
	if err := r.closeWindows(ctx); err != nil {
		return err
	}
	for _, it := range r.plan.Items {
		_, res := r.item(it.Key)
		if !res.done {
			r.fail(it.Key, errors.New("the run did not come to it"))
		}
	}
	return nil
}

func (r *run) closeWindows(ctx context.Context) error {
	var errs []error
	for _, w := range r.windows {
		errs = append(errs, r.closeWindow(ctx, w))
	}
	return errors.Join(errs...)
}
