package sidecar

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ripplebak/ripplebak/labels"
	"github.com/ripplebak/ripplebak/plan"
	"github.com/ripplebak/ripplebak/sidecar/state"
)

// resumeTime bounds how long bringing services back may take on the way out.
const resumeTime = 90 * time.Second

// quiesce stops or pauses a service's running containers. Their names are in
// the journal before the first of them is touched.
func (r *run) quiesce(ctx context.Context, op plan.Operation) error {
	if r.windowLost(op.Window) {
		return nil
	}
	cs, err := r.host.containersOf(ctx, op.Service)
	if err != nil {
		return r.loseWindow(ctx, op.Window, err)
	}
	var now []state.Quiesced
	for _, c := range cs {
		if isUp(c) {
			now = append(now, state.Quiesced{Service: op.Service, Number: numberOf(c), Container: c.ID, How: string(op.How)})
		}
	}
	if len(now) == 0 {
		return nil
	}
	// Dependencies come back first, so what is quiesced later goes in front.
	r.journal.Quiesced = append(now, r.journal.Quiesced...)
	if err := r.host.state.WriteJournal(&r.journal); err != nil {
		r.journal.Quiesced = r.journal.Quiesced[len(now):]
		return r.loseWindow(ctx, op.Window, err)
	}
	r.app.crash("after-journal")
	r.window(op.Window).down(op.Service, r.app.Now())
	for _, q := range now {
		if op.How == labels.Pause {
			err = r.host.engine.Pause(ctx, q.Container)
		} else {
			err = r.host.engine.Stop(ctx, q.Container, nil)
		}
		if err != nil {
			return r.loseWindow(ctx, op.Window, fmt.Errorf("%s service %q: %w", op.How, op.Service, err))
		}
	}
	r.app.Log.Info().Str("service", op.Service).Str("how", string(op.How)).Str("cause", op.Cause).Msg("service quiesced")
	r.app.crash("after-stop")
	return nil
}

// resume brings a service back.
func (r *run) resume(ctx context.Context, op plan.Operation) error {
	r.app.crash("before-start")
	if err := r.bringBackService(ctx, op.Service); err != nil {
		r.warn("%v", err)
		return nil // resumeAll tries again on the way out
	}
	return nil
}

func (r *run) bringBackService(ctx context.Context, service string) error {
	var rest []state.Quiesced
	var errs []error
	brought := false
	for _, q := range r.journal.Quiesced {
		if q.Service != service {
			rest = append(rest, q)
			continue
		}
		if err := r.host.bringBack(ctx, q); err != nil {
			errs = append(errs, err)
			rest = append(rest, q)
			continue
		}
		brought = true
	}
	r.journal.Quiesced = rest
	if brought {
		r.countDowntime(service)
	}
	return errors.Join(append(errs, r.saveJournal())...)
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

func (r *run) countDowntime(service string) {
	for _, w := range r.windows {
		if d, ok := w.up(service, r.app.Now()); ok {
			r.mu.Lock()
			r.downtime[service] += d
			r.mu.Unlock()
			r.app.Log.Info().Str("service", service).Float64("downtime_seconds", d.Seconds()).Msg("service is back")
		}
	}
}

// resumeAll brings back whatever is still down. It is the last thing on every
// way out of a run.
func (r *run) resumeAll(ctx context.Context) error {
	if len(r.journal.Quiesced) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, resumeTime)
	defer cancel()
	var errs []error
	for len(r.journal.Quiesced) > 0 {
		left := len(r.journal.Quiesced)
		if err := r.bringBackService(ctx, r.journal.Quiesced[0].Service); err != nil {
			errs = append(errs, err)
		}
		if len(r.journal.Quiesced) == left {
			break // what cannot be brought back stays in the journal
		}
	}
	return errors.Join(errs...)
}
