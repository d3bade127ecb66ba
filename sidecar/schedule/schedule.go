// Package schedule turns a cron expression into the times at which a backup
// is due.
//
// It parses with robfig/cron and adds what a backup needs on top: an
// expression that cannot work is an error when the sidecar starts and not a
// night without a backup, and a job that names its hour runs exactly once a
// day, also on the nights when clocks change.
package schedule

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
)

// ErrExpression is what every refused expression is.
var ErrExpression = errors.New("bad schedule")

// MinInterval is the shortest interval that @every may name.
const MinInterval = time.Minute

// maxExpression bounds an expression, in bytes.
const maxExpression = 256

// Schedule says when a job is due next. It implements cron.Schedule.
type Schedule struct {
	expression string
	inner      cron.Schedule
	location   *time.Location
	// byWall is set for expressions that name their hours: those follow the
	// clock on the wall. The others (every hour, every ten minutes) follow
	// the time that really passes.
	byWall bool
}

// Parse reads a cron expression of five fields, or a descriptor such as
// @daily or "@every 6h", to be understood in the given zone. Expressions that
// never fire are errors. All errors are ErrExpression.
func Parse(expression string, location *time.Location) (*Schedule, error) {
	expr := strings.TrimSpace(expression)
	if err := precheck(expr); err != nil {
		return nil, fmt.Errorf("%w %q: %w", ErrExpression, clip(expression), err)
	}
	parser := cron.NewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow | cron.Descriptor)
	inner, err := parser.Parse(expr)
	if err != nil {
		return nil, fmt.Errorf("%w %q: %w", ErrExpression, clip(expression), err)
	}
	s := &Schedule{expression: expr, inner: inner, location: location, byWall: namesHour(expr)}
	if spec, ok := inner.(*cron.SpecSchedule); ok {
		// The expression cannot name a zone (precheck), so that the zone is ours.
		spec.Location = time.UTC
		if !s.byWall {
			spec.Location = location
		}
	}
	if s.Next(time.Date(2024, 1, 1, 0, 0, 0, 0, location)).IsZero() {
		return nil, fmt.Errorf("%w %q: it never fires: no such day exists", ErrExpression, clip(expression))
	}
	return s, nil
}

// precheck refuses what the parser would accept or panic at.
func precheck(expr string) error {
	fields := strings.Fields(expr)
	switch {
	case expr == "":
		return errors.New(`it is empty: write five fields, such as "0 2 * * *", or @daily`)
	case len(expr) > maxExpression:
		return fmt.Errorf("it is longer than %d bytes", maxExpression)
	case strings.HasPrefix(expr, "TZ=") || strings.HasPrefix(expr, "CRON_TZ="):
		return errors.New("the zone is set by the variable TZ of the sidecar, not inside the expression")
	case fields[0] == "@every":
		return checkEvery(fields)
	case strings.HasPrefix(expr, "@"):
		return nil
	case len(fields) == 6:
		return fmt.Errorf("it has six fields, and the sixth is %q: there is no field for seconds; write minute, hour, day, month, weekday", fields[5])
	case len(fields) != 5:
		return fmt.Errorf("it has %d fields instead of five: minute, hour, day, month, weekday", len(fields))
	}
	return nil
}

func checkEvery(fields []string) error {
	if len(fields) != 2 {
		return errors.New(`write "@every" and one duration, such as "@every 6h"`)
	}
	d, err := time.ParseDuration(fields[1])
	if err != nil {
		return fmt.Errorf("%q is no duration: write for example 90m or 6h", fields[1])
	}
	if d < MinInterval {
		return fmt.Errorf("an interval of %s is too short: the least is %s", d, MinInterval)
	}
	return nil
}

// namesHour reports whether the expression fires at hours that it names.
func namesHour(expr string) bool {
	switch expr {
	case "@hourly":
		return false
	case "@daily", "@midnight", "@weekly", "@monthly", "@yearly", "@annually":
		return true
	}
	fields := strings.Fields(expr)
	return len(fields) == 5 && !strings.HasPrefix(fields[1], "*")
}

// String returns the expression.
func (s *Schedule) String() string { return s.expression }

// Next returns the first time after t at which the job is due, in the
// schedule's zone; the zero time if there is none.
//
// An expression that names its hour is read as times on the wall. A time that
// the clocks skip is moved behind the gap, a time that they repeat is taken
// when it comes first, so that a daily job has one time a day, always.
func (s *Schedule) Next(t time.Time) time.Time {
	t = t.In(s.location)
	if !s.byWall {
		return s.inner.Next(t)
	}
	wall := time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), time.UTC)
	// The wall can be ahead of what has fired: behind a gap that moved a time,
	// and in the repeated hour. Looking from a day before finds both.
	for next := s.inner.Next(wall.Add(-25 * time.Hour)); !next.IsZero(); next = s.inner.Next(next) {
		if at := s.onWall(next); at.After(t) {
			return at
		}
	}
	return time.Time{}
}

// onWall returns the instant at which clocks show the wall time w, given in
// UTC: the first one if they show it twice, behind the gap if never.
func (s *Schedule) onWall(w time.Time) time.Time {
	_, before := w.Add(-26 * time.Hour).In(s.location).Zone()
	_, after := w.Add(26 * time.Hour).In(s.location).Zone()
	early := w.Add(-time.Duration(before) * time.Second).In(s.location)
	late := w.Add(-time.Duration(after) * time.Second).In(s.location)
	if late.Before(early) {
		early, late = late, early
	}
	for _, at := range []time.Time{early, late} {
		if sameWall(at, w) {
			return at
		}
	}
	// Both miss: the time is in a gap. The offset of before the change puts
	// it behind the gap by as much as it was inside.
	return w.Add(-time.Duration(before) * time.Second).In(s.location)
}

func sameWall(at, w time.Time) bool {
	return at.Day() == w.Day() && at.Hour() == w.Hour() && at.Minute() == w.Minute()
}

// Interval is the longest time between two runs that a healthy sidecar shows
// from t on, looked at over the next runs.
func (s *Schedule) Interval(t time.Time) time.Duration {
	var longest time.Duration
	at := s.Next(t)
	for range 8 {
		next := s.Next(at)
		if next.IsZero() {
			break
		}
		longest = max(longest, next.Sub(at))
		at = next
	}
	return longest
}

// Missed reports whether a run was due after last and not later than now.
func (s *Schedule) Missed(last, now time.Time) bool {
	due := s.Next(last)
	return !due.IsZero() && !due.After(now)
}

func clip(s string) string {
	if len(s) > 80 {
		return s[:80] + "..."
	}
	return s
}
