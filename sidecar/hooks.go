package sidecar

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ripplebak/ripplebak/docker"
	"github.com/ripplebak/ripplebak/plan"
)

// Times of commands: of one that runs in its turn, and of what is made up for
// on the way out of a run that was broken off.
const (
	hookTime    = 30 * time.Minute
	hookOutTime = 30 * time.Second
)

// pre runs the command before a service's items. If it fails they fail: what
// it was to prepare is not prepared.
func (r *run) pre(ctx context.Context, op plan.Operation) error {
	r.prepared = append(r.prepared, op.Service)
	err := r.hook(ctx, op)
	if err == nil {
		return nil
	}
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	for _, it := range r.plan.Items {
		if it.Skip == "" && owns(it, op.Service) {
			r.fail(it.Key, fmt.Errorf("the command of ripplebak.pre failed: %w", err))
		}
	}
	return nil
}

// post runs the command after a service's items, also when they failed.
func (r *run) post(ctx context.Context, op plan.Operation) error {
	err := r.hook(ctx, op)
	if cause := context.Cause(ctx); cause != nil && err != nil {
		return cause // it is run again on the way out
	}
	r.prepared = slices.DeleteFunc(r.prepared, func(s string) bool { return s == op.Service })
	if err == nil {
		return nil
	}
	r.warn("service %q: the command of ripplebak.post failed: %v", op.Service, err)
	return nil
}

// postDue runs on the way out the post commands of services that were prepared
// by their pre command and are still in that state.
func (r *run) postDue(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, hookOutTime)
	defer cancel()
	for _, op := range r.plan.Operations {
		if op.Do != plan.RunPost || !slices.Contains(r.prepared, op.Service) {
			continue
		}
		if err := r.hook(ctx, op); err != nil {
			r.warn("service %q: the command of ripplebak.post failed: %v", op.Service, err)
		}
	}
}

func owns(it plan.Item, service string) bool {
	if it.Volume == nil {
		return it.Service == service
	}
	for _, o := range it.Volume.Owners {
		if o == service {
			return true
		}
	}
	return false
}

func (r *run) hook(ctx context.Context, op plan.Operation) error {
	c, err := r.running(ctx, op.Service)
	if err != nil {
		return err
	}
	out, stderr, err := r.host.engine.Run(ctx, docker.ExecRequest{
		// No stall: a command that says nothing while it works is no fault.
		Container: c, Argv: []string{"sh", "-c", op.Command}, Deadline: hookTime,
	})
	if err != nil {
		return err
	}
	said := strings.TrimSpace(string(out) + stderr)
	if len(said) > 2000 {
		said = said[:2000]
	}
	r.app.Log.Info().Str("service", op.Service).Str("hook", string(op.Do)).Str("output", r.app.Redactor().Redact(said)).Msg("command done")
	return nil
}

// running finds the service's running container as it is now, for it may have
// been recreated since the plan was made.
func (r *run) running(ctx context.Context, service string) (string, error) {
	return r.host.running(ctx, service)
}
