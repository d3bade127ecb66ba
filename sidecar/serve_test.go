package sidecar

import (
	"context"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"github.com/ripplebak/ripplebak/sidecar/settings"
	"github.com/ripplebak/ripplebak/sidecar/state"
)

// served is a sidecar that serves on a machine without Docker, so that each
// run fails at once, under a clock that can be set.
type served struct {
	t      *testing.T
	dir    string
	log    *lockedBuffer
	offset atomic.Int64
	stop   func()
}

func (s *served) now() time.Time { return time.Now().Add(time.Duration(s.offset.Load())) }

// runs is how many runs were begun so far.
func (s *served) runs() int {
	synctest.Wait()
	return strings.Count(s.log.String(), "run started")
}

func serve(t *testing.T, dir string) *served {
	t.Helper()
	s := &served{t: t, dir: dir, log: &lockedBuffer{}}
	set, err := settings.Load([]string{"RIPPLEBAK_STATE_DIR=" + dir + "/state", "RIPPLEBAK_RUN_DIR=" + dir + "/run", "RIPPLEBAK_PROJECT=shop"}, os.ReadFile)
	if err != nil {
		t.Fatal(err)
	}
	app := &App{Settings: set, Log: zerolog.New(s.log), Now: s.now, Command: "serve"}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- app.Serve(ctx) }()
	s.stop = func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("serve ended with %v", err)
		}
	}
	return s
}

// The clock of a test begins on 1 January 2000 at midnight, UTC; runs are due
// at two.
func TestF37_ServeGoesByTheClockOnTheWall(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("DOCKER_HOST", "unix://"+dir+"/none.sock")
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, dir)
		defer func() { s.stop() }()
		want := func(n int, when string) {
			t.Helper()
			if got := s.runs(); got != n {
				t.Fatalf("%s: %d runs, want %d", when, got, n)
			}
		}
		time.Sleep(119 * time.Minute)
		want(0, "before it is due")
		time.Sleep(2 * time.Minute)
		want(1, "on time")
		time.Sleep(24 * time.Hour)
		want(2, "the next night")
		s.offset.Store(int64(24 * time.Hour)) // as after a night asleep
		time.Sleep(2 * time.Minute)
		want(3, "set forth by a day")
		s.offset.Store(int64(-6 * 24 * time.Hour))
		time.Sleep(2 * time.Minute)
		want(3, "set back by a week")
		time.Sleep(24 * time.Hour)
		want(4, "the night after")
	})
}

func TestMissedRunIsMadeUpUnlessRunsDie(t *testing.T) {
	for _, c := range []struct {
		unfinished, want int
	}{{0, 1}, {1, 1}, {2, 0}} {
		dir := t.TempDir()
		t.Setenv("DOCKER_HOST", "unix://"+dir+"/none.sock")
		synctest.Test(t, func(t *testing.T) {
			d, err := state.Open(dir + "/state")
			if err != nil {
				t.Fatal(err)
			}
			err = d.UpdateHistory(func(h *state.History) {
				h.LastAttempt, h.Unfinished = time.Now().Add(-48*time.Hour), c.unfinished
			})
			if err != nil {
				t.Fatal(err)
			}
			s := serve(t, dir)
			time.Sleep(time.Minute)
			if got := s.runs(); got != c.want {
				t.Errorf("%d runs died: %d runs were made up, want %d", c.unfinished, got, c.want)
			}
			s.stop()
		})
	}
}
