package state

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// Runs is what is known of the backups and restores of one project.
type Runs struct {
	LastAttempt time.Time `json:"last_attempt,omitzero"`
	LastGood    time.Time `json:"last_good,omitzero"`
	LastError   string    `json:"last_error,omitempty"`
	// Unfinished counts runs that were begun since one last came to its end:
	// those that died, and the one under way.
	Unfinished int `json:"unfinished,omitempty"`
	// Reviewed is the time of the newest snapshot when somebody last looked at
	// what is to be forgotten: what changed suddenly until then is meant so.
	Reviewed time.Time `json:"reviewed,omitzero"`
	// Changed are the keys of items that had changed suddenly when they were last
	// saved, as long as nobody has looked: not every run saves all items.
	Changed []string `json:"changed,omitempty"`
	// ServingSince is when serve first came up, so that a new installation
	// is healthy until its first backup is due.
	ServingSince time.Time `json:"serving_since,omitzero"`
	// Interval is how far apart scheduled runs are.
	Interval time.Duration `json:"interval,omitempty"`
	// Schedules are the runs of what does not follow the sidecar's schedule, by
	// the expressions of labels.
	Schedules map[string]Scheduled `json:"schedules,omitempty"`
	// Former are those of schedules that no service names any more, or while its
	// container is made anew: one that comes back has not begun anew.
	Former map[string]Scheduled `json:"former,omitempty"`
	// Gone says that the project was there, and is not any more.
	Gone bool `json:"gone,omitempty"`
	// Restores are how long items took that were restored last, by key.
	Restores map[string]Measured `json:"restores,omitempty"`
	// LastRestore is what the last restore did; nil: none is known.
	LastRestore *LastRestore `json:"last_restore,omitempty"`
}

// Scheduled is what is known of the runs at one of the schedules of a project's
// services.
type Scheduled struct {
	// Since is when serve first saw the schedule.
	Since       time.Time     `json:"since"`
	LastAttempt time.Time     `json:"last_attempt,omitzero"`
	LastGood    time.Time     `json:"last_good,omitzero"`
	LastError   string        `json:"last_error,omitempty"`
	Interval    time.Duration `json:"interval"`
}

// Latest is when a run was last tried; before the first one, since when it is
// served.
func (s Scheduled) Latest() time.Time {
	if s.LastAttempt.IsZero() {
		return s.Since
	}
	return s.LastAttempt
}

// formerFor is for how long a schedule is known that no service names any more.
const formerFor = 90 * 24 * time.Hour

// Serve makes these the schedules of services, with their intervals.
func (r *Runs) Serve(intervals map[string]time.Duration, now time.Time) {
	served, former := map[string]Scheduled{}, map[string]Scheduled{}
	for expr, interval := range intervals {
		s := r.Known(expr)
		if s.Since.IsZero() {
			s.Since = now
		}
		s.Interval = interval
		served[expr] = s
	}
	for _, all := range []map[string]Scheduled{r.Former, r.Schedules} {
		for expr, s := range all {
			if _, ok := served[expr]; !ok && now.Sub(s.Latest()) < formerFor {
				former[expr] = s
			}
		}
	}
	r.Schedules, r.Former = served, former
}

// Known is what is known of a schedule, also of one that no service names now.
func (r Runs) Known(expr string) Scheduled {
	if s, ok := r.Schedules[expr]; ok {
		return s
	}
	return r.Former[expr]
}

// maxUnfinished is how many runs in a row may die before none is made up any
// more: one that is killed for want of memory, say, would stop services again
// each time that it is started anew.
const maxUnfinished = 2

// MayMakeUp reports whether a missed run may be made up at start.
func (r Runs) MayMakeUp() bool { return r.Unfinished < maxUnfinished }

// Failing reports whether the last run was no good one, and since when there was
// none.
func (r Runs) Failing() (since time.Time, failing bool) {
	since = r.LastGood
	if since.IsZero() {
		since = r.ServingSince
	}
	failing = r.LastError != "" || r.Unfinished > 0
	for _, s := range r.Schedules {
		if s.LastError == "" {
			continue
		}
		if failing = true; s.good().Before(since) {
			since = s.good()
		}
	}
	return since, failing
}

// AnyFailing is Failing of all projects together.
func (h History) AnyFailing() (since time.Time, failing bool) {
	since, failing = h.Failing()
	for _, r := range h.Projects {
		at, bad := r.Failing()
		if !bad || r.Gone {
			continue
		}
		if !failing || at.Before(since) {
			since, failing = at, true
		}
	}
	return since, failing
}

// LongestInterval is the longest of those between two runs of a project.
func (h History) LongestInterval() time.Duration {
	longest := h.Interval
	for _, r := range h.Projects {
		longest = max(longest, r.Interval)
	}
	return longest
}

func (s Scheduled) good() time.Time {
	if s.LastGood.IsZero() {
		return s.Since
	}
	return s.LastGood
}

// FailingBeside are the schedules of which the last run was no good one, without
// those that are named, sorted. The sidecar's own is named by standard.
func (r Runs) FailingBeside(standard string, named []string) []string {
	var out []string
	for expr, s := range r.Schedules {
		if s.LastError != "" && !slices.Contains(named, expr) {
			out = append(out, expr)
		}
	}
	slices.Sort(out)
	if r.LastError != "" && !slices.Contains(named, standard) {
		out = append(out, standard)
	}
	return out
}

// Healthy returns nil while backups are as recent as they should be: the last
// good one not older than twice the interval, at each of the schedules. Before
// the first good one, the time since serve came up counts.
func (r Runs) Healthy(now time.Time) error {
	if r.Interval == 0 {
		return fmt.Errorf("no schedule is known: serve has not come up yet")
	}
	errs := []error{recent("", r.LastGood, r.ServingSince, r.Interval, r.LastError, now)}
	for _, expr := range slices.Sorted(maps.Keys(r.Schedules)) {
		s := r.Schedules[expr]
		errs = append(errs, recent(" on the schedule "+expr, s.LastGood, s.Since, s.Interval, s.LastError, now))
	}
	return errors.Join(errs...)
}

// recent returns nil while the last good backup, or before it the start of
// serve, is not older than twice the interval.
func recent(which string, good, start time.Time, interval time.Duration, lastError string, now time.Time) error {
	limit := 2 * interval
	since, what := good, "the last good backup"+which
	if since.IsZero() {
		since, what = start, "no backup"+which+" has succeeded, and the start of serve"
	}
	if since.Sub(now) > limit {
		return fmt.Errorf("%s was at %s by the clock of then, which is in the future: the clock was set back, and how old it is cannot be told", what, since.Format(time.RFC3339))
	}
	if age := now.Sub(since); age > limit {
		why := ""
		if lastError != "" {
			why = "; the last run failed: " + lastError
		}
		return fmt.Errorf("%s is %s ago, the limit is %s%s", what, age.Round(time.Minute), limit.Round(time.Minute), why)
	}
	return nil
}
