package state

import "time"

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

// Job returns the record of a job; a zero one where there is none.
func (h *History) Job(name string) Job { return h.Jobs[name] }

// SetJob replaces the record of a job.
func (h *History) SetJob(name string, j Job) {
	if h.Jobs == nil {
		h.Jobs = make(map[string]Job)
	}
	h.Jobs[name] = j
}
