package sidecar

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ripplebak/ripplebak/docker"
	"github.com/ripplebak/ripplebak/plan"
	"github.com/ripplebak/ripplebak/sidecar/state"
)

// Times of commands: of one that runs in its turn, and of what is made up for
// on the way out of a run that was broken off.
const (
	hookTime    = 30 * time.Minute
	hookOutTime = 30 * time.Second
)

// pre runs the command before a service's items. If it fails they fail: what
// it was to prepare is not prepared. The command that ends it is in the journal
// before.
func (r *run) pre(ctx context.Context, op plan.Operation) error {
	for _, post := range r.plan.Operations {
		if post.Do == plan.RunPost && post.Service == op.Service {
			r.journal.Posts = append(r.journal.Posts, state.Post{Service: post.Service, Command: post.Command})
			r.notePosts()
		}
	}
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
	if err != nil {
		r.warn("service %q: the command of ripplebak.post failed: %v", op.Service, err)
	}
	before := len(r.journal.Posts)
	r.journal.Posts = slices.DeleteFunc(r.journal.Posts, func(p state.Post) bool { return p.Service == op.Service })
	if len(r.journal.Posts) < before {
		r.notePosts()
	}
	return nil
}

// notePosts writes the journal. Where it cannot be written the commands run
// all the same, unless we are killed.
func (r *run) notePosts() {
	if err := r.saveJournal(); err != nil {
		r.warn("what is left to be undone cannot be noted: %v", err)
	}
}

// postDue runs on the way out the post commands of services that were prepared
// by their pre command and are still in that state.
func (r *run) postDue(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, hookOutTime)
	defer cancel()
	for _, p := range slices.Clone(r.journal.Posts) {
		op := plan.Operation{Do: plan.RunPost, Service: p.Service, Command: p.Command}
		if err := r.post(ctx, op); err != nil {
			r.warn("service %q: the command of ripplebak.post did not end, it is tried again by the next command: %v", p.Service, err)
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
	return r.app.hook(ctx, r.host, op)
}

// hook runs a command of a label in its own service's container, as it is now,
// for it may have been recreated since the plan was made.
func (a *App) hook(ctx context.Context, h *host, op plan.Operation) error {
	c, err := h.running(ctx, op.Service)
	if err != nil {
		return err
	}
	out, stderr, err := h.engine.Run(ctx, docker.ExecRequest{
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
	a.Log.Info().Str("service", op.Service).Str("hook", string(op.Do)).Str("output", a.Redactor().Redact(said)).Msg("command done")
	return nil
}
