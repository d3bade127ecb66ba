package main

import (
	"context"
	"os"
	"os/signal"
	"sync"
	"syscall"
)

// signals lets the running command be told of signals.
type signals struct {
	mu   sync.Mutex
	tell func(text string)
}

// say hands a text to whoever can show it.
func (s *signals) say(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tell != nil {
		s.tell(text)
	}
}

func (s *signals) set(tell func(string)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tell = tell
}

// untilSignal returns a context that ends with errInterrupted at the first
// SIGINT, SIGTERM or SIGHUP. Further ones change nothing: services that were stopped
// must run again before the process may end, and until then it only says so.
func (p *program) untilSignal(parent context.Context) (ctx context.Context, stop func()) {
	caught := make(chan os.Signal, 4)
	signal.Notify(caught, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	// Who reads our output may leave; that must be an error of a write, and not
	// the end of a run with services stopped.
	signal.Ignore(syscall.SIGPIPE)
	ctx, end := p.until(parent, caught)
	return ctx, func() {
		signal.Stop(caught)
		end()
	}
}

func (p *program) until(parent context.Context, caught <-chan os.Signal) (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(parent)
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		text := "interrupted: ending, and starting first what was stopped"
		for {
			select {
			case <-quit:
				return
			case <-caught:
				cancel(errInterrupted)
				p.signals.say(text)
				text = "still at it: the program ends as soon as what was stopped runs again"
			}
		}
	}()
	return ctx, func() {
		close(quit)
		<-done
		cancel(nil)
	}
}
