package sidecar

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"github.com/ripplebak/ripplebak/sidecar/settings"
	"github.com/ripplebak/ripplebak/sidecar/state"
)

// jobs is how many prunes were begun so far.
func (s *served) jobs() int {
	synctest.Wait()
	return strings.Count(s.log.String(), `"job":"prune","message":"job started"`)
}

// The clock of a test begins on Saturday 1 January 2000 at midnight, UTC; a
// prune is due on Sundays at five, a backup each night at two.
func TestJobsRunOnTheirScheduleAcrossRestarts(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("DOCKER_HOST", "unix://"+dir+"/none.sock")
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, dir)
		want := func(jobs, runs int, when string) {
			t.Helper()
			if got := s.jobs(); got != jobs {
				t.Fatalf("%s: %d jobs, want %d\n%s", when, got, jobs, s.log)
			}
			if got := s.runs(); got != runs {
				t.Fatalf("%s: %d runs, want %d", when, got, runs)
			}
		}
		time.Sleep(28 * time.Hour)
		want(0, 2, "before it is due")
		time.Sleep(2 * time.Hour)
		want(1, 2, "on time")
		if !strings.Contains(s.log.String(), "job failed: no repository is named") {
			t.Errorf("the failure was not said:\n%s", s.log)
		}
		time.Sleep(24 * time.Hour)
		want(1, 3, "backups go on after a job that failed")
		s.stop()
		time.Sleep(2 * 24 * time.Hour)
		s = serve(t, dir)
		time.Sleep(time.Hour)
		want(0, 1, "a restart does not repeat it")
		s.stop()
		time.Sleep(7 * 24 * time.Hour)
		s = serve(t, dir)
		time.Sleep(5 * time.Minute)
		want(1, 1, "what was missed is made up, after the backup")
		if log := s.log.String(); strings.Index(log, "job started") < strings.Index(log, "run started") {
			t.Errorf("the job came first:\n%s", log)
		}
		s.stop()
		h, err := state.At(dir + "/state").History()
		if err != nil {
			t.Fatal(err)
		}
		if r := h.Job("prune"); r.LastAttempt.IsZero() || !r.LastGood.IsZero() || !strings.Contains(r.LastError, "no repository is named") {
			t.Errorf("history: %+v", r)
		}
	})
}

// A clock that was set back by a year puts a job off by one turn at most.
func TestF37_JobsOfAClockThatWasSetBack(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	app := &App{Settings: &settings.Settings{PruneSchedule: "@weekly", CheckSchedule: settings.Off, Location: time.UTC}, Now: func() time.Time { return now }, Log: zerolog.Nop()}
	jobs, err := app.scheduledJobs()
	if err != nil || len(jobs) != 1 {
		t.Fatal(jobs, err)
	}
	j := jobs[0]
	j.last = now.AddDate(1, 0, 0)
	if j.due(now) {
		t.Error("due at once")
	}
	if !j.due(now.AddDate(0, 0, 8)) {
		t.Error("not due a week later")
	}
	for cron, want := range map[string]string{settings.Off: "", "@never": "RIPPLEBAK_PRUNE_SCHEDULE: bad schedule"} {
		app.Settings.PruneSchedule = cron
		jobs, err := app.scheduledJobs()
		if len(jobs) > 0 || want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: %v, %v", cron, jobs, err)
		}
	}
}
