package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/ripplebak/ripplebak/sidecar"
)

// screen is what a terminal shows of what is written to it: lines, a cursor
// that moves up and to the left, and clearing below it.
type screen struct {
	mu     sync.Mutex
	lines  []string
	row    int
	wraps  bool
	frames int // writes that left wrapping off and on again
	writes int
}

func newScreen() *screen { return &screen{lines: []string{""}, wraps: true} }

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writes++
	text := string(p)
	if strings.Contains(text, "\x1b[?7l") {
		s.frames++
	}
	for len(text) > 0 {
		var up int
		switch {
		case strings.HasPrefix(text, "\x1b[?7l"):
			s.wraps, text = false, text[5:]
		case strings.HasPrefix(text, "\x1b[?7h"):
			s.wraps, text = true, text[5:]
		case strings.HasPrefix(text, "\x1b[J"):
			s.lines, text = append(s.lines[:s.row], ""), text[3:]
		case matches(text, &up):
			if s.row -= up; s.row < 0 {
				return 0, errors.New("cursor above the screen")
			}
			text = text[strings.IndexByte(text, 'A')+1:]
		case text[0] == '\x1b':
			return 0, fmt.Errorf("unknown escape %q", text[:min(8, len(text))])
		case text[0] == '\r':
			text = text[1:]
		case text[0] == '\n':
			if s.row++; s.row == len(s.lines) {
				s.lines = append(s.lines, "")
			}
			text = text[1:]
		default:
			_, n := utf8.DecodeRuneInString(text)
			s.lines[s.row] += text[:n]
			text = text[n:]
		}
	}
	return len(p), nil
}

func matches(text string, up *int) bool {
	n, err := fmt.Sscanf(text, "\x1b[%dA", up)
	return err == nil && n == 1
}

func (s *screen) show() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.TrimRight(strings.Join(s.lines, "\n"), "\n")
}

// clock is a clock that a test sets.
type clock struct{ at time.Time }

func (c *clock) now() time.Time { return c.at }

func liveDisplay(s *screen, columns, rows int) (*display, *clock) {
	c := &clock{noon()}
	return newDisplay(s, c.now, func() (int, int, error) { return columns, rows, nil }, printable, true), c
}

func TestDisplayRedrawsInPlaceBelowTheLog(t *testing.T) {
	s := newScreen()
	d, c := liveDisplay(s, 100, 24)
	d.Begin("volume uploads", 100<<20)
	d.Begin("dump db/shop", 0)
	c.at = c.at.Add(time.Second)
	d.Advance("volume uploads", 1200, 10<<20)
	d.draw()
	want := "volume uploads  10MiB of 100MiB            1200 files      10MiB/s  ETA 9s\n" +
		"dump db/shop    0B                                            0B/s"
	if got := s.show(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	fmt.Fprintln(d, "a line of the log")
	if got := s.show(); got != "a line of the log" {
		t.Errorf("the log's line does not stand alone:\n%s", got)
	}
	d.draw()
	if got := s.show(); got != "a line of the log\n"+want {
		t.Errorf("got\n%s", got)
	}
	d.End("volume uploads", "good")
	d.draw()
	if got := s.show(); strings.Contains(got, "uploads") || !strings.HasSuffix(got, "0B/s") {
		t.Errorf("got\n%s", got)
	}
	d.close()
	if got := s.show(); got != "a line of the log" || !s.wraps {
		t.Errorf("after the end, wrapping %v:\n%s", s.wraps, got)
	}
	before := s.writes
	d.draw()
	d.close()
	if s.writes != before {
		t.Error("it drew when there was nothing to draw")
	}
}

func TestDisplayFitsTheTerminal(t *testing.T) {
	for _, columns := range []int{1, 2, 10, 40, 80, 200} {
		for _, rows := range []int{2, 3, 10} {
			s := newScreen()
			d, c := liveDisplay(s, columns, rows)
			for i := range 20 {
				d.Begin(fmt.Sprintf("volume %d \x1b[2J%s", i, strings.Repeat("ü", 50)), 1<<40)
				d.Advance(fmt.Sprintf("volume %d", i), 1<<40, 1<<50)
			}
			for range 3 {
				c.at = c.at.Add(time.Second)
				d.draw()
				shown := strings.Split(s.show(), "\n")
				if len(shown) > rows-1 {
					t.Errorf("%dx%d: %d lines", columns, rows, len(shown))
				}
				for _, l := range shown {
					if utf8.RuneCountInString(l) >= columns && columns > 1 {
						t.Errorf("%dx%d: a line of %d", columns, rows, utf8.RuneCountInString(l))
					}
				}
				if rows == 10 && columns >= 40 && !strings.Contains(s.show(), "and 12 more") {
					t.Errorf("it does not say how many are not shown:\n%s", s.show())
				}
			}
		}
	}
}

func TestDisplayWithoutASizeTakesAnUsualOne(t *testing.T) {
	s := newScreen()
	d, _ := liveDisplay(s, 0, 0)
	d.size = func() (int, int, error) { return 0, 0, errors.New("not a terminal") }
	d.Begin("volume x", 0)
	d.draw()
	if !strings.HasPrefix(s.show(), "volume x") {
		t.Errorf("got %q", s.show())
	}
}

func TestRateFollowsAndSurvivesANewBeginning(t *testing.T) {
	it := &progressItem{seenAt: noon(), expected: 1 << 30}
	at := noon()
	step := func(bytes int64) {
		at = at.Add(time.Second)
		it.bytes += bytes
		it.measure(at)
	}
	for range 10 {
		step(10 << 20)
	}
	if it.rate != 10<<20 {
		t.Errorf("a steady rate is %f", it.rate)
	}
	for range 30 {
		step(0)
	}
	if it.rate > 100<<10 {
		t.Errorf("a stalled item has the rate %f", it.rate)
	}
	it.bytes = 5 // a second pass
	step(0)
	if it.rate != 0 {
		t.Errorf("after a new beginning the rate is %f", it.rate)
	}
	it.measure(at) // no time has passed
	it.measure(at.Add(-time.Hour))
	if _, ok := it.eta(); ok || it.rate != 0 {
		t.Errorf("rate %f", it.rate)
	}
	it.rate = 2
	if eta, ok := it.eta(); ok {
		t.Errorf("an ETA of %s is no help", eta)
	}
}

func TestDisplayDrawsFiveTimesASecondAtMost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScreen()
		d := newDisplay(s, time.Now, func() (int, int, error) { return 80, 24, nil }, printable, true)
		d.start()
		d.Begin("volume x", 0)
		for i := range 2000 {
			d.Advance("volume x", int64(i), int64(i)<<10)
			time.Sleep(time.Millisecond) // the bubble's clock
		}
		d.close()
		if s.frames < 9 || s.frames > 10 {
			t.Errorf("%d frames in two seconds", s.frames)
		}
	})
}

func TestDisplayIsSafeForGoroutines(t *testing.T) {
	s := newScreen()
	d := newDisplay(s, time.Now, func() (int, int, error) { return 80, 24, nil }, printable, true)
	d.start()
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			key := fmt.Sprintf("volume %d", g)
			for i := range 200 {
				d.Begin(key, 10)
				d.Advance(key, int64(i), int64(i))
				fmt.Fprintf(d, "line %d of %d\n", i, g)
				d.draw()
				d.End(key, "good")
			}
		})
	}
	wg.Wait()
	d.close()
	if n := strings.Count(s.show(), "line "); n != 1600 {
		t.Errorf("%d of 1600 lines are there", n)
	}
}

func TestNoProgressWithoutATerminal(t *testing.T) {
	work := func(_ context.Context, app *sidecar.App) error {
		app.Progress.Begin("volume uploads", 100)
		app.Progress.Advance("volume uploads", 1, 50)
		if d, ok := app.Progress.(*display); ok {
			d.draw()
		}
		return nil
	}
	for _, c := range []struct {
		terminal bool
		format   string
		want     bool
	}{{true, "", true}, {false, "", false}, {false, "console", false}, {true, "json", false}} {
		f := fixed()
		f.during = work
		p, _, _ := newProgram(f)
		var stderr bytes.Buffer
		p.err, p.errTerminal = &stderr, c.terminal
		p.environ = append(p.environ, "RIPPLEBAK_LOG_FORMAT="+c.format)
		p.main(t.Context(), []string{"backup"})
		if got := strings.Contains(stderr.String(), "volume uploads"); got != c.want {
			t.Errorf("%+v: progress shown: %v: %q", c, got, stderr.String())
		}
	}
}
