package sidecar

import (
	"context"
	"errors"
	"fmt"

	"github.com/ripplebak/ripplebak/plan"
	"github.com/ripplebak/ripplebak/volume"
)

// execute carries the plan out. What was stopped is started again on every way
// out; the first failure of an item ends that item only.
func (r *restore) execute(ctx context.Context) (err error) {
	if r.host.hasSocket() {
		if r.listener, err = volume.Listen(r.app.Settings.RunDir); err != nil {
			return err
		}
		defer r.listener.Close()
	}
	defer func() {
		err = errors.Join(err, r.takeAllBack(ctx), r.startAll(context.WithoutCancel(ctx)), r.stopEngines(context.WithoutCancel(ctx)))
		if r.noted {
			r.app.noteFinished(r.host, r.id)
		}
		r.finishReport()
	}()
	for i, op := range r.plan.Operations {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		r.prepareHelper(ctx, r.plan.Operations[i:])
		if op.Do != plan.Safety && !r.noted {
			if err := r.noteBegun(); err != nil {
				return err
			}
		}
		if err := r.step(ctx, op); err != nil {
			return err
		}
	}
	r.remember()
	return r.verdict()
}

// prepareHelper begins to start the helper of the volume that is filled next,
// unless that was done.
func (r *restore) prepareHelper(ctx context.Context, ops []plan.RestoreOperation) {
	if r.early == nil {
		r.early = r.app.startEarly(ctx, r.host, r.id, nextFill(r.plan, ops), true)
	}
}

// takeHelper gives the helper for a volume, and what ends it.
func (r *restore) takeHelper(ctx context.Context, volume string) (c *helper, end func() error, err error) {
	e := r.early
	r.early = nil
	if c = e.take([]string{volume}); c == nil {
		if err := e.end(ctx); err != nil {
			r.app.Log.Warn().Msg(r.app.Redactor().Redact(err.Error()))
		}
		c, err = r.app.startHelper(ctx, r.host, r.listener, r.id, []string{volume}, true)
		return c, func() error { return c.close(ctx) }, err
	}
	return c, func() error { return errors.Join(c.close(ctx), e.end(ctx)) }, nil
}

func (r *restore) step(ctx context.Context, op plan.RestoreOperation) error {
	switch op.Do {
	case plan.Safety:
		return r.safety(ctx, op)
	case plan.StopService:
		return r.stop(ctx, op)
	case plan.CreateVolume:
		return r.createVolume(ctx, op)
	case plan.FillVolume:
		return r.fillVolume(ctx, op)
	case plan.StartEngine:
		return r.startEngine(ctx, op)
	case plan.LoadDump:
		return r.loadDump(ctx, op)
	case plan.PlaceDump:
		return r.placeDump(ctx, op)
	case plan.MakeFiles:
		return r.makeFiles(ctx, op)
	case plan.ConfirmDump:
		return r.confirmDump(ctx, op)
	case plan.StartService:
		return r.start(ctx, op.Service)
	case plan.StopEngine:
		return r.stopEngine(ctx, op.Service)
	}
	return fmt.Errorf("the plan has the unknown step %q", op.Do)
}
