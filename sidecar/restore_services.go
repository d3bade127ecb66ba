package sidecar

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ripplebak/ripplebak/compose"
	"github.com/ripplebak/ripplebak/docker"
	"github.com/ripplebak/ripplebak/dump"
	"github.com/ripplebak/ripplebak/manifest"
	"github.com/ripplebak/ripplebak/plan"
	"github.com/ripplebak/ripplebak/sidecar/state"
)

// readyPoll is how often a database is asked whether it is ready.
const readyPoll = 500 * time.Millisecond

// stop stops a service's running containers, which are in the journal before.
func (r *restore) stop(ctx context.Context, op plan.RestoreOperation) error {
	down, err := r.app.takeDown(ctx, r.host, &r.journal, op.Service, "stop", func(service string, at time.Time) { r.downAt[service] = at })
	if err != nil || !down {
		return err
	}
	r.app.Log.Info().Str("service", op.Service).Str("cause", op.Cause).Msg("service stopped")
	r.app.crash("after-stop")
	return nil
}

// start brings back a service that was stopped.
func (r *restore) start(ctx context.Context, service string) error {
	r.app.crash("before-start")
	its, _ := of(r.journal.Quiesced, service)
	return r.bringBack(ctx, its)
}

// bringBack brings back some of what was stopped. The journal on disk then
// names what is left; one that cannot be written names too much, which harms
// nobody: what runs already is left alone.
func (r *restore) bringBack(ctx context.Context, list []state.Quiesced) error {
	left, err := r.host.bringBackAll(ctx, list, r.found.needs, r.countDowntime)
	r.journal.Quiesced = slices.DeleteFunc(r.journal.Quiesced, func(q state.Quiesced) bool {
		return slices.Contains(list, q) && !slices.Contains(left, q)
	})
	r.noteLess()
	return err
}

// noteLess notes that less is left to be undone or finished.
func (r *restore) noteLess() {
	if err := r.saveJournal(); err != nil {
		note := r.app.Redactor().Redact("what is left to be undone cannot be noted: " + err.Error())
		r.report.Notes = append(r.report.Notes, note)
		r.app.Log.Warn().Msg(note)
	}
}

func (r *restore) countDowntime(service string, _ bool) {
	if at, ok := r.downAt[service]; ok {
		r.report.Downtime[service] += r.app.Now().Sub(at).Seconds()
		delete(r.downAt, service)
	}
}

// startAll brings back whatever is still down, on the way out. What cannot be
// started stays in the journal.
func (r *restore) startAll(ctx context.Context) error {
	if r.torn() {
		return nil // nothing of the old or the new would be whole under them
	}
	if len(r.journal.Quiesced) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, resumeTime)
	defer cancel()
	return r.bringBack(ctx, slices.Clone(r.journal.Quiesced))
}

func (r *restore) saveJournal() error {
	if r.journal.Empty() {
		return r.host.state.RemoveJournal(r.journal.Run)
	}
	return r.host.state.WriteJournal(&r.journal)
}

// startEngine starts the database where it is down, and waits until it is
// ready. If it does not come up, its items fail and the others go on.
func (r *restore) startEngine(ctx context.Context, op plan.RestoreOperation) error {
	err := r.bringUp(ctx, op)
	if err == nil {
		return nil
	}
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	r.dead[op.Service] = err
	return nil
}

func (r *restore) bringUp(ctx context.Context, op plan.RestoreOperation) error {
	engine, ok := r.engineOf(op.Service)
	if !ok {
		return fmt.Errorf("service %q has no engine in the manifest", op.Service)
	}
	if err := r.start(ctx, op.Service); err != nil {
		return err
	}
	cs, err := r.host.containersOf(ctx, op.Service)
	if err == nil && len(cs) == 0 {
		err = fmt.Errorf("service %q has no container", op.Service)
	}
	if err != nil {
		return err
	}
	// One that ran before and is down again has ended by itself: waitReady says
	// so. It is not ours to start for now, and to leave down afterwards.
	if _, ran := r.plan.Stops(op.Service); !ran && cs[0].State != compose.StateRunning {
		if err := r.startForNow(ctx, op.Service, cs[0]); err != nil {
			return err
		}
	}
	return r.app.waitReady(ctx, r.host, engine, op.Service, cs[0].ID)
}

// startForNow starts a database that was down before. The journal says so
// first, so that it is stopped again even if we die.
func (r *restore) startForNow(ctx context.Context, service string, c docker.Container) error {
	r.journal.ToStop = append(r.journal.ToStop, state.Quiesced{Service: service, Number: numberOf(c), Container: c.ID, How: "start"})
	if err := r.host.state.WriteJournal(&r.journal); err != nil {
		return err
	}
	if err := r.host.engine.Start(ctx, c.ID); err != nil {
		return fmt.Errorf("start service %q: %w", service, err)
	}
	return nil
}

func (r *restore) engineOf(service string) (dump.Engine, bool) {
	for _, it := range r.plan.Items {
		if it.Kind == manifest.Dump && it.Service == service {
			return dump.Lookup(it.Source.Item.DumpInfo.Engine)
		}
	}
	return nil, false
}

// stopEngine stops a database that was started for the restore only.
func (r *restore) stopEngine(ctx context.Context, service string) error {
	cs, err := r.host.containersOf(ctx, service)
	if err != nil {
		return err
	}
	for _, c := range cs {
		if isUp(c) {
			if err := r.host.engine.Stop(ctx, c.ID, nil); err != nil {
				return fmt.Errorf("stop service %q: %w", service, err)
			}
		}
	}
	r.journal.ToStop = slices.DeleteFunc(r.journal.ToStop, func(q state.Quiesced) bool { return q.Service == service })
	return r.saveJournal()
}

// stopEngines stops what still runs for the restore only, on the way out. What
// cannot be stopped stays in the journal.
func (r *restore) stopEngines(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, resumeTime)
	defer cancel()
	var errs []error
	for _, q := range slices.Clone(r.journal.ToStop) {
		errs = append(errs, r.stopEngine(ctx, q.Service))
	}
	return errors.Join(errs...)
}

// waitReady waits until the real server answers: over TCP on 127.0.0.1, which
// the images' temporary init server does not, or its healthcheck passes.
func (a *App) waitReady(ctx context.Context, h *host, engine dump.Engine, service, container string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, a.Settings.ReadyTimeout,
		fmt.Errorf("service %q was not ready after %s: look at \"docker compose logs %s\"", service, a.Settings.ReadyTimeout, service))
	defer cancel()
	var last error
	ready := engine.Ready()
	for {
		if len(ready.Argv) > 0 {
			_, _, last = h.engine.Run(ctx, docker.ExecRequest{Container: container, Argv: ready.Argv, Deadline: probeTime})
			if last == nil {
				return nil
			}
		}
		c, err := h.engine.Inspect(ctx, container)
		switch {
		case err == nil && c.HasHealthcheck && c.Health == "healthy":
			return nil
		case err == nil && len(ready.Argv) == 0 && c.Running && !c.HasHealthcheck:
			return nil
		case err == nil && !c.Running:
			return fmt.Errorf("service %q stopped by itself with exit code %d: look at \"docker compose logs %s\"", service, c.ExitCode, service)
		}
		select {
		case <-ctx.Done():
			return errors.Join(context.Cause(ctx), last)
		case <-time.After(readyPoll):
		}
	}
}

// ensureRunning starts a service's container where it is down, and waits until
// it is ready. The returned function stops it again if it was down.
func (a *App) ensureRunning(ctx context.Context, h *host, engine dump.Engine, service string) (container string, stop func(context.Context) error, err error) {
	cs, err := h.containersOf(ctx, service)
	if err == nil && len(cs) == 0 {
		err = fmt.Errorf("service %q has no container: create it with %q", service, compose.Project{Name: h.project}.Up(service))
	}
	if err != nil {
		return "", nil, err
	}
	c := cs[0]
	stop = func(context.Context) error { return nil }
	if c.State != compose.StateRunning {
		if err := h.engine.Start(ctx, c.ID); err != nil {
			return "", nil, fmt.Errorf("start service %q: %w", service, err)
		}
		stop = func(ctx context.Context) error { return h.engine.Stop(ctx, c.ID, nil) }
	}
	if err := a.waitReady(ctx, h, engine, service, c.ID); err != nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), resumeTime)
		defer cancel()
		return "", nil, errors.Join(err, stop(ctx))
	}
	return c.ID, stop, nil
}
