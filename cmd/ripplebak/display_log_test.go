package main

import (
	"bytes"
	"testing"
	"time"

	"github.com/rs/zerolog"
)

// A line of the log above lines that are drawn: zerolog's console writer
// panics when a write returns more than it was given.
func TestLogAboveProgress(t *testing.T) {
	s := newScreen()
	d := newDisplay(s, time.Now, func() (int, int, error) { return 80, 24, nil }, func(key string) string { return key }, true)
	d.Begin("volume data", 100)
	d.draw()
	if d.drawn != 1 {
		t.Fatalf("%d lines are drawn, want 1", d.drawn)
	}
	log := zerolog.New(zerolog.ConsoleWriter{Out: d, NoColor: true, PartsExclude: []string{zerolog.TimestampFieldName}})
	log.Info().Msg("item saved")
	if !bytes.Contains([]byte(s.lines[0]), []byte("item saved")) {
		t.Errorf("the screen shows %q", s.lines)
	}
	d.close()
}
