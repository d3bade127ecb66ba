package sidecar

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/ripplebak/ripplebak/compose"
	"github.com/ripplebak/ripplebak/docker"
	"github.com/ripplebak/ripplebak/sidecar/state"
)

// Times of stopping and coming back.
const (
	// resumeTime bounds how long bringing services back may take on the way out.
	resumeTime = 90 * time.Second
	// stopEnds is how long a stop that was begun is waited for when the run
	// ends: somebody waits for us as well.
	stopEnds = 20 * time.Second
	// engineGrace is how long the Engine gives a container that names no time
	// of its own, before it kills it; graceMargin is what the killing takes.
	engineGrace = 10 * time.Second
	graceMargin = 3 * time.Second
	// stopPoll is the pause between two looks at a container that is about to end.
	stopPoll = 200 * time.Millisecond
)

// outlive returns a context that ends no sooner than limit after ctx has: what
// is half done then would be worse than what is late.
func outlive(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	longer, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	expired := make(chan struct{})
	over := make(chan struct{})
	go func() {
		defer close(over)
		select {
		case <-expired:
			return
		case <-ctx.Done():
		}
		t := time.NewTimer(limit)
		defer t.Stop()
		select {
		case <-expired:
		case <-t.C:
			cancel(context.Cause(ctx))
		}
	}()
	return longer, sync.OnceFunc(func() {
		close(expired)
		<-over
		cancel(context.Canceled)
	})
}

// quiet stops or pauses a service's containers, which are in the journal
// already, all at once. Once the Engine was asked, its answer is waited for
// though the run may end meanwhile: whoever started a container that is about
// to end would find it running, and leave it to its end.
func (h *host) quiet(ctx context.Context, list []state.Quiesced) error {
	ctx, cancel := outlive(ctx, stopEnds)
	defer cancel()
	errs := make([]error, len(list))
	var asked sync.WaitGroup
	for i := range list {
		asked.Go(func() { errs[i] = h.quietOne(ctx, &list[i]) })
	}
	asked.Wait()
	return errors.Join(errs...)
}

func (h *host) quietOne(ctx context.Context, q *state.Quiesced) (err error) {
	if q.How == howPause {
		err = h.engine.Pause(ctx, q.Container)
	} else {
		err = h.engine.Stop(ctx, q.Container, nil)
	}
	if err == nil {
		return nil
	}
	if !errors.Is(err, docker.ErrEngineGone) && ctx.Err() == nil {
		q.At = time.Time{} // it was refused, so nothing is under way
	}
	return fmt.Errorf("%s service %q: %w", q.How, q.Service, err)
}

// howPause is the word of the journal for what was paused.
const howPause = "pause"

// bringBackAll brings back what is in the list, of which dependencies come
// first: everything at once whose dependencies are back. One that cannot come
// back keeps no other from being tried. left is what is still down, in the
// order of the list; back is called for each service of which all is up, never
// twice at a time, with whether somebody else had started one of its containers.
func (h *host) bringBackAll(ctx context.Context, list []state.Quiesced, needs func(service string) []string, back func(service string, awake bool)) (left []state.Quiesced, err error) {
	var mu sync.Mutex
	var tried sync.WaitGroup
	errs := make([]error, len(list))
	done := map[string]chan struct{}{}
	for _, service := range servicesOf(list) {
		var first []chan struct{}
		for _, n := range needs(service) {
			if c, ok := done[n]; ok {
				first = append(first, c)
			}
		}
		over := make(chan struct{})
		done[service] = over
		tried.Go(func() {
			defer close(over)
			for _, c := range first {
				<-c
			}
			up, woken := true, false
			for i, q := range list {
				if q.Service == service {
					var awake bool
					awake, errs[i] = h.bringBack(ctx, q)
					up, woken = up && errs[i] == nil, woken || awake
				}
			}
			if up {
				mu.Lock()
				defer mu.Unlock()
				back(service, woken)
			}
		})
	}
	tried.Wait()
	for i, q := range list {
		if errs[i] != nil {
			left = append(left, q)
		}
	}
	return left, errors.Join(errs...)
}

// servicesOf are the services of a list, each once, in its order.
func servicesOf(list []state.Quiesced) []string {
	var out []string
	for _, q := range list {
		if !slices.Contains(out, q.Service) {
			out = append(out, q.Service)
		}
	}
	return out
}

// of splits a list into what is of a service and what is not.
func of(list []state.Quiesced, service string) (its, others []state.Quiesced) {
	for _, q := range list {
		if q.Service == service {
			its = append(its, q)
		} else {
			others = append(others, q)
		}
	}
	return its, others
}

// needs are the services that have to be up before one is started: those that
// it depends on, and the one in whose network it lives.
func (d *discovery) needs(service string) []string {
	s, _ := d.project.Service(service)
	var out []string
	for _, dep := range s.DependsOn {
		out = append(out, dep.Service)
	}
	for _, other := range d.project.Services {
		for _, c := range other.Containers {
			if s.NetworkMode == "container:"+c.ID || s.NetworkMode == "container:"+c.Name {
				out = append(out, other.Name)
			}
		}
	}
	return out
}

// bringBack starts or unpauses what was quiesced: the same container, or the
// one that has taken its place. What runs already is left alone, which awake
// tells, and what is gone altogether is no longer ours to bring back.
func (h *host) bringBack(ctx context.Context, q state.Quiesced) (awake bool, err error) {
	cs, err := h.containersOf(ctx, q.Service)
	if err != nil {
		return false, fmt.Errorf("bring back service %q: %w", q.Service, err)
	}
	target := targetOf(cs, q)
	if target == nil {
		return false, nil
	}
	awake = target.Running && !target.Paused
	if q.How == howPause && target.Paused {
		err = h.engine.Unpause(ctx, target.ID)
	} else {
		err = h.stopIsOver(ctx, q, *target)
		if err == nil {
			err = h.engine.Start(ctx, target.ID)
		}
	}
	if err != nil && !errors.Is(err, docker.ErrNoContainer) {
		return awake, fmt.Errorf("bring back service %q: %w; start it with %q", q.Service, err, compose.Project{Name: h.project}.Up(q.Service))
	}
	return awake, nil
}

// targetOf is the container that was quiesced, or the one in its place.
func targetOf(cs []docker.Container, q state.Quiesced) (target *docker.Container) {
	for i, c := range cs {
		if c.ID == q.Container {
			return &cs[i]
		}
		if numberOf(c) == q.Number {
			target = &cs[i]
		}
	}
	return target
}

// stopIsOver waits until no stop can be under way any more that the journal
// tells of and whose answer nobody got, because we were killed or the Engine
// went away: a container that still runs would end after all.
func (h *host) stopIsOver(ctx context.Context, q state.Quiesced, c docker.Container) error {
	if q.How == howPause || q.At.IsZero() || c.ID != q.Container || c.StartedAt.After(q.At) {
		return nil
	}
	grace := engineGrace
	if c.StopTimeout != nil {
		grace = time.Duration(*c.StopTimeout) * time.Second
	}
	for until := q.At.Add(grace + graceMargin); c.Running && h.now().Before(until); {
		select {
		case <-ctx.Done():
			return fmt.Errorf("it may still be about to stop: %w", context.Cause(ctx))
		case <-time.After(stopPoll):
		}
		var err error
		if c, err = h.engine.Inspect(ctx, c.ID); err != nil {
			return err
		}
	}
	return nil
}
