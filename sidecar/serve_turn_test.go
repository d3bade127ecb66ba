package sidecar

import (
	"context"
	"errors"
	"os"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"github.com/ripplebak/ripplebak/repository"
	"github.com/ripplebak/ripplebak/sidecar/schedule"
	"github.com/ripplebak/ripplebak/sidecar/settings"
	"github.com/ripplebak/ripplebak/sidecar/state"
)

// jobbing is a serve of which only the jobs run.
type jobbing struct {
	t    *testing.T
	app  *App
	dir  *state.Dir
	log  *lockedBuffer
	jobs []*job
}

func newJobbing(t *testing.T, path string, jobs ...*job) *jobbing {
	t.Helper()
	dir, err := state.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	b := &jobbing{t: t, dir: dir, log: &lockedBuffer{}, jobs: jobs}
	b.app = &App{Settings: &settings.Settings{LockWait: 45 * time.Minute, Location: time.UTC}, Log: zerolog.New(b.log), Now: time.Now}
	for _, j := range jobs {
		if j.schedule, err = schedule.Parse("@weekly", time.UTC); err != nil {
			t.Fatal(err)
		}
	}
	b.app.takeUp(dir, jobs)
	return b
}

func (b *jobbing) record(name string) state.Job {
	b.t.Helper()
	h, err := b.dir.History()
	if err != nil {
		b.t.Fatal(err)
	}
	return h.Job(name)
}

// TestF42_JobsMakeWayForTheNextBackup: a job that would take longer comes to a
// rest before the next backup is due, or is ended; it goes on after the backup,
// also after a restart, and another that is due has a turn in between. None of it
// is an error.
func TestF42_JobsMakeWayForTheNextBackup(t *testing.T) {
	path := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		var turns []turn
		stubborn := false
		long := &job{name: "long", run: func(ctx context.Context, now turn) error {
			turns = append(turns, now)
			if len(turns) == 4 {
				return nil
			}
			select {
			case <-now.stop:
			case <-ctx.Done():
				t.Error("it was ended before it was asked")
			}
			if stubborn {
				<-ctx.Done()
				return context.Cause(ctx)
			}
			return repository.ErrPruneStopped
		}}
		shorts := 0
		short := &job{name: "short", run: func(context.Context, turn) error { shorts++; return nil }}
		b := newJobbing(t, path, long, short)
		time.Sleep(8 * 24 * time.Hour)
		begun := time.Now()
		next := begun.Add(time.Hour)
		b.app.runDue(t.Context(), b.dir, b.jobs, next)
		if left := time.Until(next); left != restTime {
			t.Errorf("it came to rest %s before the backup", left)
		}
		if r := b.record("long"); !r.Begun.Equal(begun) || r.LastAttempt.After(r.Since) || r.LastError != "" {
			t.Errorf("history: %+v", r)
		}
		if w := turns[0]; w.again || !w.began.Equal(begun) || w.wait != 45*time.Minute {
			t.Errorf("the first turn: %+v", w)
		}
		time.Sleep(time.Hour) // the backup
		stubborn = true
		b.app.runDue(t.Context(), b.dir, b.jobs, time.Now().Add(time.Hour))
		if shorts != 1 || len(turns) != 1 {
			t.Errorf("%d and %d turns: the other was due too", len(turns), shorts)
		}
		next = time.Now().Add(10 * time.Minute)
		b.app.runDue(t.Context(), b.dir, b.jobs, next)
		if left := time.Until(next); left != 30*time.Second {
			t.Errorf("it was ended %s before the backup", left)
		}
		if w := turns[1]; !w.again || !w.began.Equal(begun) || w.wait != 9*time.Minute {
			t.Errorf("the second turn: %+v", w)
		}

		b = newJobbing(t, path, long, short) // a restart
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Hour, cancel)
		stubborn, long.ran = false, time.Time{}
		long.run = func(run func(context.Context, turn) error) func(context.Context, turn) error {
			return func(ctx context.Context, now turn) error {
				if len(turns) == 2 {
					turns = append(turns, now)
					<-ctx.Done()
					return ctx.Err()
				}
				return run(ctx, now)
			}
		}(long.run)
		b.app.runDue(ctx, b.dir, b.jobs, time.Now().Add(24*time.Hour))
		if log := b.log.String(); len(turns) != 3 || !turns[2].again || !turns[2].began.Equal(begun) || !strings.Contains(log, "the next start makes it up") {
			t.Errorf("%d turns, log:\n%s", len(turns), log)
		}
		b.app.runDue(t.Context(), b.dir, b.jobs, time.Now().Add(24*time.Hour))
		if r := b.record("long"); len(turns) != 4 || !turns[3].began.Equal(begun) || r.LastGood.IsZero() || !r.Begun.IsZero() {
			t.Errorf("after %d turns: %+v", len(turns), r)
		}
		b.app.runDue(t.Context(), b.dir, b.jobs, time.Now().Add(24*time.Hour))
		if len(turns) != 4 {
			t.Error("it ran once more after it was done")
		}
		if log := b.log.String(); strings.Contains(log, `"level":"error"`) || !strings.Contains(log, `"job goes on"`) {
			t.Errorf("log:\n%s", log)
		}
	})
}

// TestJobsThatFailBeginAnew: a failure is no turn that was cut short.
func TestJobsThatFailBeginAnew(t *testing.T) {
	path := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		b := newJobbing(t, path, &job{name: "check", run: func(ctx context.Context, now turn) error {
			<-ctx.Done() // what it found counts, though the time is up
			return errors.Join(ErrDamaged, context.Cause(ctx))
		}})
		time.Sleep(8 * 24 * time.Hour)
		b.app.runDue(t.Context(), b.dir, b.jobs, time.Now().Add(time.Hour))
		if r := b.record("check"); !r.Begun.IsZero() || r.LastAttempt.IsZero() || !strings.Contains(r.LastError, "damaged") {
			t.Errorf("%+v", r)
		}
	})
}

// TestF39_ScheduledPruneThatIsStoppedIsHarmless: nothing is lost or left locked,
// and the next turn ends the work.
func TestF39_ScheduledPruneThatIsStoppedIsHarmless(t *testing.T) {
	s := agedShop(t)
	s.storedBefore("repo", 72*time.Hour)
	before := s.packs()
	stop := make(chan struct{})
	hit := s.crashAt("mid-prune", func() { close(stop) })
	now := turn{began: time.Now(), stop: stop}
	if err := s.app.scheduledPrune(t.Context(), now); !errors.Is(err, repository.ErrPruneStopped) || !hit() {
		t.Fatalf("ended with %v, passed: %v", err, hit())
	}
	s.wantQuiet()
	if _, err := s.app.Check(t.Context(), CheckOptions{ReadData: true}); err != nil {
		t.Error(err)
	}
	now.again, now.stop = true, nil
	if err := s.app.scheduledPrune(t.Context(), now); err != nil || s.packs() >= before-250_000 {
		t.Errorf("the next turn: %v, %d bytes before, %d after", err, before, s.packs())
	}
	if r, err := s.app.Check(t.Context(), CheckOptions{ReadData: true}); err != nil || r.Notes > 0 {
		t.Errorf("%+v, %v", r, err)
	}
}

// TestPruneWaitsForLocksOnce: what was waited for the run lock is not waited for
// the repository's again.
func TestPruneWaitsForLocksOnce(t *testing.T) {
	if testing.Short() {
		t.Skip("it waits for locks")
	}
	s := agedShop(t)
	away := s.elsewhere()
	v, err := away.openVault(t.Context(), nil, false)
	if err != nil {
		t.Fatal(err)
	}
	if err := away.lockShared(t.Context(), v, nil, 0); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := v.close(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	run, err := s.host().state.Lock(t.Context(), state.Owner{Run: "a backup"}, 0)
	if err != nil {
		t.Fatal(err)
	}
	const wait = 4 * time.Second
	time.AfterFunc(wait-500*time.Millisecond, func() {
		if err := run.Release(); err != nil {
			t.Error(err)
		}
	})
	started := time.Now()
	err = s.app.scheduledPrune(t.Context(), turn{wait: wait})
	var locked *repository.LockedError
	if took := time.Since(started); !errors.As(err, &locked) || took > wait+2*time.Second {
		t.Errorf("after %s: %v", took, err)
	}
}

// TestScheduledCheckGoesOnWhereItWasCutShort: what it has read until then is
// kept, whatever ended it, and not read again in the same turn.
func TestScheduledCheckGoesOnWhereItWasCutShort(t *testing.T) {
	s := newShop(t)
	s.service("app", map[string]string{"enable": "true"}, "data")
	s.cheap()
	for i := range 8 {
		if err := os.WriteFile(s.path("volumes", "shop_data", string(rune('a'+i))), noise(byte(i), 50_000), 0o644); err != nil {
			t.Fatal(err)
		}
		s.mustBackup()
	}
	began := time.Now().Truncate(time.Minute)
	read := func() (n int) {
		times, err := state.At(s.path("state")).PackTimes(s.history().Repository)
		if err != nil {
			t.Fatal(err)
		}
		for _, id := range s.packIDs() {
			if at, whole := times.When(id); whole && !at.Before(began) {
				n++
			}
		}
		return n
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cut := make(chan struct{})
	s.app.Now = func() time.Time {
		select {
		case <-cut: // the first pack is read
			cancel(errTimeUp)
		default:
		}
		return time.Now()
	}
	report, err := s.app.check(ctx, nil, CheckOptions{part: func(packs []repository.PackInfo, _ *state.PackTimes, _ []string) []repository.PackInfo {
		close(cut)
		return packs
	}})
	all, first := len(s.packIDs()), read()
	if err == nil || report == nil || !report.stopped || first == 0 || first >= all || s.history().Check.Error != "" || !s.history().Check.Last.IsZero() {
		t.Fatalf("%d of %d packs read, %v, %+v, %+v", first, all, err, report, s.history().Check)
	}
	s.app.Now = time.Now
	s.app.Settings.CheckSchedule, s.app.Settings.CheckPeriod = "@yearly", 24*time.Hour // so that all is due
	if err := s.app.scheduledCheck(t.Context(), turn{began: began, again: true}); err != nil {
		t.Fatal(err)
	}
	if n := read(); n != all || !strings.Contains(s.log.String(), `"packs_read":`+strconv.Itoa(all-first)+",") {
		t.Errorf("%d of %d packs are read, %d of them before", n, all, first)
	}
}

// TestWhatACheckReadIsSavedMeanwhile: one that is killed loses a minute.
func TestWhatACheckReadIsSavedMeanwhile(t *testing.T) {
	dir, err := state.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	times, err := dir.PackTimes("id")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	m := &checkMemory{dir: dir, times: times, now: func() time.Time { return now }, saved: now, warn: func(err error) { t.Error(err) }}
	packs := somePacks(4)
	opt := m.options(CheckOptions{})
	opt.Select(packs)
	for i, want := range []int{0, 0, 3, 3} {
		opt.Verified(packs[i].ID)
		now = now.Add(40 * time.Second)
		onDisk, err := dir.PackTimes("id")
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, p := range packs {
			if _, read := onDisk.When(p.ID); read {
				n++
			}
		}
		if n != want {
			t.Errorf("after %d packs %d are saved, want %d", i+1, n, want)
		}
	}
}

// TestDamageFoundBeforeACheckWasCutShortIsRemembered.
func TestDamageFoundBeforeACheckWasCutShortIsRemembered(t *testing.T) {
	dir, err := state.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	app := &App{Settings: &settings.Settings{}, Log: zerolog.Nop(), Now: time.Now}
	pack := somePacks(1)[0].ID.String()
	for _, r := range []*CheckReport{{OK: true}, {Errors: 1, BadPacks: []string{pack}, Findings: []CheckFinding{{Kind: "pack", File: "pack x", Detail: "rotten"}}}} {
		app.recordStopped(&checkMemory{dir: dir, now: time.Now}, r, errTimeUp, true)
		h, err := dir.History()
		if err != nil {
			t.Fatal(err)
		}
		if (h.Check.Healthy() == nil) != r.OK || h.Check.Error != "" {
			t.Errorf("%+v: remembered %+v", r, h.Check)
		}
	}
}
