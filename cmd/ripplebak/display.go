package main

import (
	"fmt"
	"io"
	"math"
	"strings"
	"sync"
	"time"
)

// redrawEvery is the time between two frames.
const redrawEvery = 200 * time.Millisecond

// display owns standard error: on a terminal it keeps a line per item that is
// under way below everything else, and redraws them in place. What is written
// to it, the log and questions, goes above them.
//
// Where it is not live, it passes on what is written, and shows nothing of its
// own: the log has a line per change.
type display struct {
	out  io.Writer
	now  func() time.Time
	size func() (columns, rows int, err error)
	// name makes an item's key fit to be shown.
	name func(key string) string
	live bool

	mu    sync.Mutex
	items []*progressItem // in the order in which they began
	drawn int             // lines on the screen that are ours

	quit, done chan struct{} // of the goroutine that redraws; nil without one
}

// progressItem is how far an item is.
type progressItem struct {
	key, label   string
	expected     int64 // bytes; 0 if nobody knows
	files, bytes int64
	rate         float64 // bytes a second, smoothed
	seenBytes    int64   // at the last frame
	seenAt       time.Time
	measured     bool
}

func newDisplay(out io.Writer, now func() time.Time, size func() (int, int, error), name func(string) string, live bool) *display {
	return &display{out: out, now: now, size: size, name: name, live: live}
}

// start begins to redraw, until close.
func (d *display) start() {
	if !d.live || d.quit != nil {
		return
	}
	d.quit, d.done = make(chan struct{}), make(chan struct{})
	go func() {
		defer close(d.done)
		tick := time.NewTicker(redrawEvery)
		defer tick.Stop()
		for {
			select {
			case <-d.quit:
				return
			case <-tick.C:
				d.draw()
			}
		}
	}()
}

// close takes the lines off the screen and waits for the goroutine.
func (d *display) close() {
	if d.quit != nil {
		close(d.quit)
		<-d.done
		d.quit = nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.items = nil
	d.emit(d.clear())
}

// Write writes above the items. They come back with the next frame.
func (d *display) Write(p []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	text := p
	if d.drawn > 0 {
		text = append([]byte(d.clear()), p...)
	}
	if _, err := d.out.Write(text); err != nil {
		return 0, err
	}
	return len(p), nil // of what was given: writers of logs panic at more
}

// Begin, Advance and End are what the sidecar reports; see sidecar.Progress.
func (d *display) Begin(key string, bytes int64) {
	if !d.live {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	it := d.item(key)
	if it == nil {
		it = &progressItem{}
		d.items = append(d.items, it)
	}
	*it = progressItem{key: key, label: d.name(key), expected: bytes, seenAt: d.now()}
}

func (d *display) Advance(key string, files, bytes int64) {
	if !d.live {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if it := d.item(key); it != nil {
		it.files, it.bytes = files, bytes
	}
}

func (d *display) End(key, _ string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i, it := range d.items {
		if it.key == key {
			d.items = append(d.items[:i], d.items[i+1:]...)
			return
		}
	}
}

func (d *display) item(key string) *progressItem {
	for _, it := range d.items {
		if it.key == key {
			return it
		}
	}
	return nil
}

// clear returns what takes our lines off the screen.
func (d *display) clear() string {
	if d.drawn == 0 {
		return ""
	}
	n := d.drawn
	d.drawn = 0
	return fmt.Sprintf("\r\x1b[%dA\x1b[J", n)
}

// draw shows a frame, in one write.
func (d *display) draw() {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.now()
	for _, it := range d.items {
		it.measure(now)
	}
	columns, rows, err := d.size()
	if err != nil || columns <= 0 || rows <= 1 {
		columns, rows = 80, 24
	}
	lines := progressLines(d.items, columns, rows-1)
	frame := d.clear()
	if len(lines) > 0 {
		// A terminal that has just become narrower must not break lines, for
		// then they could no longer be counted.
		frame += "\x1b[?7l" + strings.Join(lines, "\n") + "\n\x1b[?7h"
	}
	d.drawn = len(lines)
	d.emit(frame)
}

// emit writes to the screen. An error is that of a terminal which is gone, and
// must not stop the work; whoever writes a result will be told.
func (d *display) emit(text string) {
	if text != "" {
		_, _ = io.WriteString(d.out, text)
	}
}

// rateMemory is how fast the rate forgets, in seconds.
const rateMemory = 5

// measure moves the rate towards what came since the last frame.
func (it *progressItem) measure(now time.Time) {
	passed := now.Sub(it.seenAt).Seconds()
	if passed <= 0 {
		return
	}
	if it.bytes < it.seenBytes { // it began anew
		it.rate, it.measured = 0, false
	} else {
		current := float64(it.bytes-it.seenBytes) / passed
		if it.measured {
			it.rate += (1 - math.Exp(-passed/rateMemory)) * (current - it.rate)
		} else {
			it.rate, it.measured = current, current > 0
		}
	}
	it.seenBytes, it.seenAt = it.bytes, now
}
