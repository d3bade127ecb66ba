package docker

import (
	"sync"
	"time"
)

// pace says how long may be waited for a command's next output. Time counts
// from the last movement: output read, input written, or the reader coming
// back for more. While the source of the input is being waited for, the command
// is not to blame and time stands still.
type pace struct {
	mu      sync.Mutex
	stall   time.Duration // 0: for ever
	since   time.Time
	waiting bool // for the source of the input
}

// begin starts the clock.
func (p *pace) begin(stall time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stall, p.since = stall, time.Now()
}

// moved notes that something moved.
func (p *pace) moved() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.since = time.Now()
}

// source notes that the source of the input is being waited for, or no longer.
func (p *pace) source(waiting bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.waiting, p.since = waiting, time.Now()
}

// until is when waiting becomes a stall; zero: never.
func (p *pace) until() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.stall <= 0:
		return time.Time{}
	case p.waiting:
		return time.Now().Add(p.stall)
	}
	return p.since.Add(p.stall)
}
