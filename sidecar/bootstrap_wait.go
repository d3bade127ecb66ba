package sidecar

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/ripplebak/ripplebak/compose"
	"github.com/ripplebak/ripplebak/delay"
	"github.com/ripplebak/ripplebak/docker"
	"github.com/ripplebak/ripplebak/dump"
	"github.com/ripplebak/ripplebak/manifest"
	"github.com/ripplebak/ripplebak/plan"
)

// defaultPatience is how long somebody has to run a command, images that are
// pulled for it included. askPoll is how often it is looked whether it was run,
// steadyLooks how many times in a row everything has to be found well.
const (
	defaultPatience = time.Hour
	askPoll         = 500 * time.Millisecond
	steadyLooks     = 3
)

func (b *bootstrap) ask(a Asked) error {
	b.app.Log.Debug().Str("host_command", a.Command).Msg("somebody is asked to run a command")
	if b.opt.Ask == nil {
		return errors.New("there is nobody to run a command on the host")
	}
	return b.opt.Ask(a)
}

// waiting is one wait for what somebody has to do.
type waiting struct {
	b     *bootstrap
	asked Asked
	until time.Time
	done  bool // somebody was asked
	why   string
}

func (b *bootstrap) wait(a Asked) *waiting {
	patience := b.opt.Patience
	if patience <= 0 {
		patience = defaultPatience
	}
	return &waiting{b: b, asked: a, until: b.app.Now().Add(patience)}
}

// turn asks once, and lets some time pass. why says what is still waited for.
func (w *waiting) turn(ctx context.Context, why string) error {
	if !w.done {
		if err := w.b.ask(w.asked); err != nil {
			return err
		}
		w.done = true
	}
	if why != w.why && w.why != "" {
		w.b.app.Log.Info().Msg(w.b.app.Redactor().Redact(why))
	}
	w.why = why
	if w.b.app.Now().After(w.until) {
		return fmt.Errorf("%s, and it was waited long enough: run the same command again, it goes on", why)
	}
	return delay.For(ctx, askPoll)
}

// askToStart has somebody start the databases, unless they run already, and
// waits until they are ready.
func (b *bootstrap) askToStart(ctx context.Context, op plan.RestoreOperation) error {
	then := "It goes on when the containers are there."
	if len(op.Databases) > 0 {
		then = "It goes on when these are ready: " + strings.Join(op.Databases, ", ")
	}
	w := b.wait(Asked{Command: op.Command, Then: then})
	for {
		why, err := b.notThere(ctx, op)
		if err != nil || why == "" {
			return err
		}
		if err := w.turn(ctx, why); err != nil {
			return err
		}
	}
}

// notThere says which container is not there yet, or which database not ready;
// empty: none.
func (b *bootstrap) notThere(ctx context.Context, op plan.RestoreOperation) (string, error) {
	for _, s := range op.Containers {
		cs, err := b.host.containersOf(ctx, s)
		if err != nil {
			return "", err
		}
		if len(cs) == 0 {
			return fmt.Sprintf("service %q has no container yet", s), nil
		}
	}
	for _, s := range op.Databases {
		id, err := b.host.running(ctx, s)
		if err == nil {
			err = b.app.waitReady(ctx, b.host, b.engineIn(s), s, id)
		}
		if err != nil {
			if cause := context.Cause(ctx); cause != nil {
				return "", cause
			}
			return err.Error(), nil
		}
	}
	return "", nil
}

// engineIn is the engine of a service's databases.
func (b *bootstrap) engineIn(service string) dump.Engine {
	for _, it := range b.plan.Items {
		if it.Kind == manifest.Dump && it.Service == service {
			if e, ok := dump.Lookup(it.Source.Item.DumpInfo.Engine); ok {
				return e
			}
		}
	}
	return nil
}

// askToStartRest has somebody start everything, and waits until all of it is
// healthy, which it has to stay for a moment. Once all containers are there it
// waits for the time only that a database has, too.
func (b *bootstrap) askToStartRest(ctx context.Context, op plan.RestoreOperation) error {
	w := b.wait(Asked{Command: op.Command, Then: "It ends when everything is healthy."})
	began := b.app.Now()
	var complete time.Time // since when every service has a container that was started
	for steady := 0; ; {
		why, missing, err := b.unwell(ctx, op.Containers, began)
		if err != nil {
			return err
		}
		if missing {
			complete = time.Time{}
		} else if complete.IsZero() {
			complete = b.app.Now()
		}
		if steady++; why != "" {
			steady = 0
		}
		switch {
		case steady == steadyLooks:
			return nil
		case why == "":
			if err := delay.For(ctx, askPoll); err != nil {
				return err
			}
			continue
		case !missing && b.app.Now().Sub(complete) > b.app.Settings.ReadyTimeout:
			return fmt.Errorf("all data is restored, but %s: look at \"docker compose logs\"; the same command looks again", why)
		}
		if err := w.turn(ctx, why); err != nil {
			return err
		}
	}
}

// unwell says which service does not run as it should; missing, that it has not
// been started at all.
func (b *bootstrap) unwell(ctx context.Context, services []string, since time.Time) (why string, missing bool, err error) {
	for _, s := range services {
		cs, err := b.host.containersOf(ctx, s)
		if err != nil {
			return "", false, err
		}
		if len(cs) == 0 {
			return fmt.Sprintf("service %q has no container yet", s), true, nil
		}
		for _, c := range cs {
			text := ailment(c, since)
			if text == "" {
				continue
			}
			if c.State == compose.StateCreated {
				return fmt.Sprintf("service %q %s", s, text), true, nil
			}
			if why == "" {
				why = fmt.Sprintf("service %q %s", s, text)
			}
		}
	}
	return why, false, nil
}

// ailment says what a container lacks; one that was started since and has ended
// well had a single thing to do.
func ailment(c docker.Container, since time.Time) string {
	switch {
	case c.State == compose.StateCreated:
		return "is not started yet"
	case c.State == compose.StateExited && c.ExitCode == 0 && c.FinishedAt.After(since):
		return ""
	case c.State == compose.StateExited:
		return fmt.Sprintf("has ended with code %d", c.ExitCode)
	case c.State != compose.StateRunning:
		return "is " + c.State
	case c.HasHealthcheck && c.Health != "healthy":
		return "is not healthy yet"
	}
	return ""
}
