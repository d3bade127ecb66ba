package sidecar

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/ripplebak/ripplebak/delay"
	"github.com/ripplebak/ripplebak/plan"
	"github.com/ripplebak/ripplebak/sidecar/state"
)

// quiesce stops or pauses a service's running containers. Their names are in
// the journal before the first of them is touched.
func (r *run) quiesce(ctx context.Context, op plan.Operation) error {
	if r.windowLost(op.Window) {
		return nil
	}
	down, err := r.app.takeDown(ctx, r.host, &r.journal, op.Service, string(op.How), r.window(op.Window).down)
	if err != nil {
		return r.loseWindow(ctx, op.Window, err)
	}
	if !down {
		return nil
	}
	r.app.Log.Info().Str("service", op.Service).Str("how", string(op.How)).Str("cause", op.Cause).Msg("service quiesced")
	r.app.crash("after-stop")
	return nil
}

// Times of trying again to bring a service back.
const (
	resumeTries = 3
	resumePause = 2 * time.Second
)

// takeDown stops or pauses what runs of a service, and reports whether
// anything did. Its names are in the journal before the first of it is
// touched; since is told from when on the service counts as down.
func (a *App) takeDown(ctx context.Context, h *host, j *state.Journal, service, how string, since func(string, time.Time)) (bool, error) {
	cs, err := h.containersOf(ctx, service)
	if err != nil {
		return false, err
	}
	var now []state.Quiesced
	for _, c := range cs {
		if isUp(c) {
			now = append(now, state.Quiesced{Service: service, Number: numberOf(c), Container: c.ID, How: how, At: a.Now()})
		}
	}
	if len(now) == 0 {
		return false, nil
	}
	// Dependencies come back first, so what is quiesced later goes in front.
	j.Quiesced = append(now, j.Quiesced...)
	if err := h.state.WriteJournal(j); err != nil {
		j.Quiesced = j.Quiesced[len(now):]
		return false, err
	}
	a.crash("after-journal")
	since(service, a.Now())
	return true, h.quiet(ctx, j.Quiesced[:len(now)])
}

// resume brings a service back. One that does not come back is tried again at
// every step that follows, and on the way out.
func (r *run) resume(ctx context.Context, op plan.Operation) error {
	r.app.crash("before-start")
	its, _ := of(r.journal.Quiesced, op.Service)
	r.due = append(r.due, its...)
	var err error
	for try := range resumeTries {
		if try > 0 && delay.For(ctx, resumePause) != nil {
			return nil
		}
		if err = r.resumeDue(ctx); err == nil {
			return nil
		}
	}
	r.app.Log.Error().Str("service", op.Service).Str("error", r.app.Redactor().Redact(err.Error())).Msg("service does not come back, it is tried again")
	return nil
}

// resumeDue brings back what should be back by now.
func (r *run) resumeDue(ctx context.Context) error {
	if len(r.due) == 0 {
		return nil
	}
	err := r.bringBack(ctx, r.due)
	r.due = slices.DeleteFunc(r.due, func(q state.Quiesced) bool { return !slices.Contains(r.journal.Quiesced, q) })
	return err
}

// bringBack brings back some of what is quiesced. The journal on disk then
// names what is left; one that cannot be written names too much, which harms
// nobody: what runs already is left alone.
func (r *run) bringBack(ctx context.Context, list []state.Quiesced) error {
	left, err := r.host.bringBackAll(ctx, list, r.found.needs, r.countDowntime)
	r.journal.Quiesced = slices.DeleteFunc(r.journal.Quiesced, func(q state.Quiesced) bool {
		return slices.Contains(list, q) && !slices.Contains(left, q)
	})
	if jerr := r.saveJournal(); jerr != nil {
		r.warn("what is left to be undone cannot be noted: %v", jerr)
	}
	return err
}

// saveJournal writes what is left to undo, or removes a journal that holds
// nothing any more.
func (r *run) saveJournal() error {
	if r.host.state == nil {
		return nil
	}
	if r.journal.Empty() {
		return r.host.state.RemoveJournal(r.journal.Run)
	}
	return r.host.state.WriteJournal(&r.journal)
}

// countDowntime notes that a service is back. If somebody else had woken it up
// before, what was read meanwhile is no single point in time.
func (r *run) countDowntime(service string, awake bool) {
	for _, w := range r.windows {
		if d, ok := w.up(service, r.app.Now()); ok {
			if awake {
				r.disturbed(w, service)
			}
			r.mu.Lock()
			r.downtime[service] += d
			r.mu.Unlock()
			r.app.Log.Info().Str("service", service).Float64("downtime_seconds", d.Seconds()).Msg("service is back")
		}
	}
}

func (r *run) disturbed(w *windowRun, service string) {
	if w.lost != nil {
		return // its items have failed, and it may never have been down
	}
	why := fmt.Sprintf("service %q was started by somebody else while its volumes were read", service)
	r.warn("%s", why)
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, k := range w.items() {
		r.results[k].item.Inconsistent = why
	}
}

// resumeAll brings back whatever is still down. It is the last thing on every
// way out of a run. What cannot be brought back stays in the journal.
func (r *run) resumeAll(ctx context.Context) error {
	if len(r.journal.Quiesced) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, resumeTime)
	defer cancel()
	err := r.bringBack(ctx, slices.Clone(r.journal.Quiesced))
	r.due = slices.Clone(r.journal.Quiesced)
	return err
}
