package sidecar

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ripplebak/ripplebak/docker"
	"github.com/ripplebak/ripplebak/manifest"
	"github.com/ripplebak/ripplebak/plan"
	"github.com/ripplebak/ripplebak/sidecar/state"
)

// hookOutTime is how long a command may take that is made up for on the way out
// of a run that was broken off.
const hookOutTime = 30 * time.Second

// What post commands are told. It may be read by whoever may inspect the
// container, and it is no secret.
const (
	outcomeSuccess  = "RIPPLEBAK_OUTCOME=success"
	outcomeFailure  = "RIPPLEBAK_OUTCOME=failure"
	outcomeSnapshot = "RIPPLEBAK_SNAPSHOT="
)

// pre runs the command before a service's items. If it fails they fail: what
// it was to prepare is not prepared. The command that ends it is in the journal
// before.
func (r *run) pre(ctx context.Context, op plan.Operation) error {
	for _, post := range r.plan.Operations {
		if post.Do == plan.RunPost && post.Service == op.Service {
			r.notePost(state.Post{Service: post.Service, Command: post.Command})
		}
	}
	err := r.app.hook(ctx, r.host, op)
	if err == nil {
		return nil
	}
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	for _, key := range r.prepared(op.Service) {
		r.fail(key, fmt.Errorf("service %q: the command of ripplebak.pre failed: %w", op.Service, err))
	}
	return nil
}

// prepared are the keys of what a service's commands are for: its items, or, if
// it has none, those for which it goes down with others.
func (r *run) prepared(service string) []string {
	var keys []string
	for _, it := range r.plan.Items {
		if it.Skip == "" && owns(it, service) {
			keys = append(keys, it.Key)
		}
	}
	if keys != nil {
		return keys
	}
	for _, down := range r.plan.Operations {
		if down.Do != plan.Quiesce || down.Service != service {
			continue
		}
		for _, op := range r.plan.Operations {
			if op.Window == down.Window {
				keys = append(keys, op.Items...)
			}
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// post runs the command after a service's items, also when they failed.
func (r *run) post(ctx context.Context, op plan.Operation) error {
	outcome := outcomeSuccess
	if slices.ContainsFunc(r.prepared(op.Service), r.broken) {
		outcome = outcomeFailure
	}
	p := state.Post{Service: op.Service, Command: op.Command}
	err := r.endWith(ctx, p, outcome)
	if errors.Is(err, errNotRun) {
		r.warn("service %q: the command of %s is tried again at the end: %v", p.Service, nameOf(p), err)
		return nil
	}
	return err
}

// wasRun says whether a command that failed had begun.
func wasRun(err error) bool {
	var exit *docker.ExitError
	return errors.As(err, &exit) || errors.Is(err, docker.ErrDeadline)
}

// broken says whether an item is known to be no good by now.
func (r *run) broken(key string) bool {
	_, res := r.item(key)
	r.mu.Lock()
	defer r.mu.Unlock()
	return res.item.State == manifest.Failed || res.item.State == manifest.Partial
}

// errNotRun means that a command could not be run at all, as that of a service
// that is down.
var errNotRun = errors.New("it could not be run")

// endWith runs a post command and takes it off the journal, unless the run was
// broken off meanwhile, or the command ends what a pre command has begun and
// could not be run: then it is run again on the way out.
func (r *run) endWith(ctx context.Context, p state.Post, env ...string) error {
	err := r.app.hook(ctx, r.host, postOf(p), env...)
	if cause := context.Cause(ctx); cause != nil && err != nil {
		return cause
	}
	if err != nil && !p.OfRun && slices.Contains(r.journal.Posts, p) && !wasRun(err) {
		return fmt.Errorf("%w: %w", errNotRun, err)
	}
	if err != nil {
		r.warn("service %q: the command of %s failed: %v", p.Service, nameOf(p), err)
	}
	before := len(r.journal.Posts)
	r.journal.Posts = slices.DeleteFunc(r.journal.Posts, func(other state.Post) bool { return other == p })
	if len(r.journal.Posts) < before {
		r.notePosts()
	}
	return nil
}

// notePost puts a command into the journal, before those that were noted
// earlier: what was begun last is ended first.
func (r *run) notePost(p state.Post) {
	r.journal.Posts = slices.Insert(r.journal.Posts, 0, p)
	r.notePosts()
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
		if p.OfRun {
			continue // it comes after the run
		}
		r.tryEnd(ctx, p, outcomeFailure)
	}
}

func (r *run) tryEnd(ctx context.Context, p state.Post, env ...string) {
	if err := r.endWith(ctx, p, env...); err != nil {
		r.warn("service %q: the command of %s did not end, it is tried again by the next command: %v", p.Service, nameOf(p), err)
	}
}

// preRun runs the command before the run. If it fails the run has failed, and
// nothing has been touched.
func (r *run) preRun(ctx context.Context, op plan.Operation) error {
	err := r.app.hook(ctx, r.host, op)
	if cause := context.Cause(ctx); cause != nil && err != nil {
		return cause
	}
	if err != nil {
		return fmt.Errorf("service %q: the command of RIPPLEBAK_PRE failed, so nothing was backed up: %w", op.Service, err)
	}
	return nil
}

// ofRun is the command after the run, if the plan has one.
func (r *run) ofRun() (state.Post, bool) {
	for _, op := range r.plan.Operations {
		if op.Do == plan.PostRun {
			return state.Post{Service: op.Service, Command: op.Command, OfRun: true}, true
		}
	}
	return state.Post{}, false
}

// notePostRun puts the command after the run into the journal, before anything
// is done: it is run whatever becomes of us.
func (r *run) notePostRun() {
	if p, ok := r.ofRun(); ok {
		r.notePost(p)
	}
}

// postRun runs the command after the run and tells it what became of the run.
func (r *run) postRun(ctx context.Context, report *BackupReport, err error) {
	p, ok := r.ofRun()
	if !ok {
		return
	}
	env := []string{outcomeSuccess}
	if err != nil || r.down != nil {
		env[0] = outcomeFailure
	}
	if report != nil && report.Snapshot != "" {
		env = append(env, outcomeSnapshot+report.Snapshot)
	}
	said := len(r.warnings)
	if r.endWith(ctx, p, env...) != nil {
		out, cancel := context.WithTimeout(context.WithoutCancel(ctx), hookOutTime)
		defer cancel()
		r.tryEnd(out, p, env...)
	}
	if report != nil {
		report.Warnings = append(report.Warnings, r.warnings[said:]...)
	}
}

// postOf is the operation of a noted command.
func postOf(p state.Post) plan.Operation {
	do := plan.RunPost
	if p.OfRun {
		do = plan.PostRun
	}
	return plan.Operation{Do: do, Service: p.Service, Command: p.Command}
}

// nameOf is where a noted command is from.
func nameOf(p state.Post) string {
	if p.OfRun {
		return "RIPPLEBAK_POST"
	}
	return "ripplebak.post"
}

func owns(it plan.Item, service string) bool {
	if it.Volume == nil {
		return it.Service == service
	}
	return slices.Contains(it.Volume.Owners, service)
}
