package sidecar

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/ripplebak/ripplebak/manifest"
	"github.com/ripplebak/ripplebak/sidecar/schedule"
	"github.com/ripplebak/ripplebak/sidecar/state"
)

// timetable is what serve runs when: each project on the sidecar's schedule, and
// the services that have schedules of their own on those. It is drawn up by the
// labels of containers as the Engine lists them, which only say when to look: what
// a run saves, its plan decides.
type timetable struct {
	app   *App
	dir   *state.Dir
	own   *schedule.Schedule // the sidecar's
	lines []*line
	// skipped are the projects of which it was said that they are left out.
	skipped []string
}

// line is the runs of a project on one schedule.
type line struct {
	project  string // empty: the only one
	expr     string // manifest.DefaultSchedule: the sidecar's
	schedule *schedule.Schedule
	next     time.Time
}

// newTimetable is the timetable as far as it is known without the Engine: what
// was served before. What was missed meanwhile is due at once.
func (a *App) newTimetable(dir *state.Dir, own *schedule.Schedule) *timetable {
	t := &timetable{app: a, dir: dir, own: own}
	for _, p := range a.projectsBefore(dir) {
		list := []string{}
		if h, err := dir.Of(p).History(); err == nil {
			list = slices.Sorted(maps.Keys(h.Schedules))
		}
		t.serve(p, list)
	}
	return t
}

// next is when the next run is due.
func (t *timetable) next() (next time.Time) {
	for _, l := range t.lines {
		if next.IsZero() || l.next.Before(next) {
			next = l.next
		}
	}
	if next.IsZero() {
		next = t.own.Next(t.app.Now())
	}
	return next
}

// projects are those that are served.
func (t *timetable) projects() []string {
	var out []string
	for _, l := range t.lines {
		if !slices.Contains(out, l.project) {
			out = append(out, l.project)
		}
	}
	return out
}

// due are the schedules of a project on which a run is due.
func (t *timetable) due(project string, now time.Time) []string {
	var out []string
	for _, l := range t.lines {
		if l.project == project && !now.Before(l.next) {
			out = append(out, l.expr)
		}
	}
	return out
}

// done puts the project's next runs down. What fell due on a schedule during a
// run is not run once more behind it.
func (t *timetable) done(project string, exprs []string) {
	now := t.app.Now()
	for _, l := range t.lines {
		if l.project == project && slices.Contains(exprs, l.expr) {
			l.next = l.schedule.Next(now)
		}
	}
}

// setBack looks whether the clock was set back.
func (t *timetable) setBack(now time.Time) (changed bool) {
	for _, l := range t.lines {
		if again := l.schedule.Next(now); again.Before(l.next) {
			l.next, changed = again, true
		}
	}
	return changed
}

// survey brings the timetable up to date with the containers that there are.
func (t *timetable) survey(ctx context.Context, h *host) error {
	found, err := t.app.listed(ctx, h)
	if err != nil {
		return err
	}
	before := t.projects()
	for _, project := range slices.Sorted(maps.Keys(found.served)) {
		t.serve(project, found.served[project])
	}
	for _, p := range before {
		if _, ok := found.served[p]; !ok {
			t.forget(p)
		}
	}
	t.skip(found.skipped)
	return nil
}

// skip says, once, which projects are left out.
func (t *timetable) skip(projects []string) {
	for _, p := range projects {
		if !slices.Contains(t.skipped, p) {
			t.app.Log.Info().Str("project", p).Msg("project is left out: " + notLabelled)
		}
	}
	t.skipped = projects
}

// serve puts a project down with the sidecar's schedule and those of its
// services, and takes the others out.
func (t *timetable) serve(project string, exprs []string) {
	exprs = append([]string{manifest.DefaultSchedule}, exprs...)
	before := len(t.lines)
	t.lines = slices.DeleteFunc(t.lines, func(l *line) bool { return l.project == project && !slices.Contains(exprs, l.expr) })
	removed := len(t.lines) < before
	var added []*line
	for _, expr := range exprs {
		if slices.ContainsFunc(t.lines, func(l *line) bool { return l.project == project && l.expr == expr }) {
			continue
		}
		s := t.own
		if expr != manifest.DefaultSchedule {
			var err error
			if s, err = schedule.Parse(expr, t.app.Settings.Location); err != nil {
				continue // which is a problem of the plan
			}
		}
		l := &line{project: project, expr: expr, schedule: s, next: s.Next(t.app.Now())}
		added = append(added, l)
	}
	t.lines = append(t.lines, added...)
	if len(added) > 0 || removed {
		t.note(project, added)
	}
}

// forget takes a project out that is no longer there.
func (t *timetable) forget(project string) {
	t.lines = slices.DeleteFunc(t.lines, func(l *line) bool { return l.project == project })
	t.app.noteGone(t.dir, project)
}

// note writes down what of a project is served from when on, and has what was
// missed run at once.
func (t *timetable) note(project string, added []*line) {
	a, now := t.app, t.app.Now()
	mine := map[string]*line{}
	for _, l := range t.lines {
		if l.project == project {
			mine[l.expr] = l
		}
	}
	dir := t.dir.Of(project)
	known, err := dir.History()
	for _, l := range added {
		a.logServed(l)
		if err == nil && a.missed(known, l) {
			l.next = now
		}
	}
	err = a.updateHistory(dir, func(h *state.History) {
		h.Interval, h.Gone = t.own.Interval(now), false
		if h.ServingSince.IsZero() {
			h.ServingSince = now
		}
		intervals := map[string]time.Duration{}
		for expr, l := range mine {
			if expr != manifest.DefaultSchedule {
				intervals[expr] = l.schedule.Interval(now)
			}
		}
		h.Serve(intervals, now)
	})
	if err != nil {
		a.Log.Error().Msg("the state volume cannot be written, so that health and missed runs are not known: " + a.Redactor().Redact(err.Error()))
	}
}

// logServed says what is served from now on. The sidecar's schedule is said when
// serve comes up.
func (a *App) logServed(l *line) {
	log := a.Log.Info()
	if l.project != "" {
		log = log.Str("project", l.project)
	}
	switch {
	case l.expr != manifest.DefaultSchedule:
		log.Str("schedule", l.expr).Time("next", l.next).Msg("services with a schedule of their own are served")
	case l.project != "":
		log.Time("next", l.next).Msg("project is served")
	}
}

// missed reports whether a run was due since the last one that was tried.
func (a *App) missed(h state.History, l *line) bool {
	last := h.LastAttempt
	if last.IsZero() {
		last = h.ServingSince
	}
	if l.expr != manifest.DefaultSchedule {
		last = h.Known(l.expr).Latest()
	}
	if last.IsZero() || !l.schedule.Missed(last, a.Now()) {
		return false
	}
	if !h.MayMakeUp() {
		a.Log.Error().Int("runs", h.Unfinished).Msg("the last runs died without an end: a missed one is not made up, look at the logs and at the memory that the sidecar may use")
		return false
	}
	a.Log.Info().Msg("a run was missed while the sidecar was down: making it up")
	return true
}

// scheduleIn is the schedule that labels ask for, as the Engine lists them; empty
// for the sidecar's.
func scheduleIn(all map[string]string) string {
	return strings.Join(strings.Fields(all[labelSchedule]), " ")
}
