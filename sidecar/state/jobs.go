package state

import (
	"fmt"
	"time"
)

// Job is what became of a job of serve.
type Job struct {
	Since       time.Time `json:"since,omitzero"`        // when it was first scheduled
	LastAttempt time.Time `json:"last_attempt,omitzero"` // when it was last begun
	LastGood    time.Time `json:"last_good,omitzero"`    // when it last succeeded
	LastError   string    `json:"last_error,omitempty"`  // why it has not since
	// Begun is when what is under way was begun, or what was cut short and goes
	// on; zero where neither is.
	Begun time.Time `json:"begun,omitzero"`
}

// overdueIntervals is for how many of its intervals a job may fail.
const overdueIntervals = 3

// Overdue is for how long what is to be done at an interval may go undone before
// that is a fault: three intervals, and a day at least.
func Overdue(interval time.Duration) time.Duration {
	return max(overdueIntervals*interval, 24*time.Hour)
}

// Healthy returns nil while the job, which is due at an interval, succeeded not
// longer ago than Overdue says. Before it first did, the time since it was first
// scheduled counts.
func (j Job) Healthy(name string, interval time.Duration, now time.Time) error {
	since, what := j.LastGood, "last succeeded"
	if since.IsZero() {
		since, what = j.Since, "has not succeeded since it was first scheduled"
	}
	age, limit := now.Sub(since), Overdue(interval)
	if since.IsZero() || age <= limit {
		return nil
	}
	why := ""
	switch {
	case j.LastError != "":
		why = "; it failed when it was last done: " + j.LastError
	case !j.Begun.IsZero():
		why = fmt.Sprintf("; it was begun %s ago and does not come to its end between two backups: do backups more seldom, or by another machine what takes so long", now.Sub(j.Begun).Round(time.Minute))
	}
	return fmt.Errorf("%s %s, %s ago, the limit is %s, for it is due every %s%s", name, what, age.Round(time.Minute), limit, interval, why)
}

// Job returns the record of a job; a zero one where there is none.
func (h *History) Job(name string) Job { return h.Jobs[name] }

// SetJob replaces the record of a job.
func (h *History) SetJob(name string, j Job) {
	if h.Jobs == nil {
		h.Jobs = make(map[string]Job)
	}
	h.Jobs[name] = j
}
