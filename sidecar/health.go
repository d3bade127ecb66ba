package sidecar

import (
	"errors"
	"fmt"

	"github.com/ripplebak/ripplebak/sidecar/state"
)

// Health returns nil while backups are as recent as they should be, no check has
// found damage that is still there, and neither the jobs of serve nor the copies
// have failed for too long (state.Overdue).
// It only looks: a health check must not make what it checks.
func (a *App) Health() error {
	h, err := a.at().History()
	if err != nil {
		return err
	}
	a.warnOfCopies(h)
	return errors.Join(a.runsHealthy(h), h.Check.Healthy(), a.jobsHealthy(h), a.copiesHealthy(h))
}

// runsHealthy looks at the runs of each project.
func (a *App) runsHealthy(h state.History) error {
	if !a.Settings.Several() {
		return h.Healthy(a.Now())
	}
	projects := a.projectsBefore(a.at())
	if len(projects) == 0 {
		return errNoProject
	}
	var errs []error
	for _, p := range projects {
		if err := h.Projects[p].Healthy(a.Now()); err != nil {
			errs = append(errs, &ProjectError{Project: p, Err: err})
		}
	}
	return errors.Join(errs...)
}

// jobsHealthy looks at the jobs that the settings ask for.
func (a *App) jobsHealthy(h state.History) error {
	jobs, err := a.scheduledJobs()
	errs := []error{err}
	now := a.Now()
	for _, j := range jobs {
		r := h.Job(j.name)
		if j.name == jobCheck && h.Check.Last.After(r.LastGood) {
			r.LastGood = h.Check.Last // by hand, or with damage, which is said by itself
		}
		errs = append(errs, r.Healthy(j.name, j.schedule.Interval(now), now))
	}
	return errors.Join(errs...)
}

// copiesHealthy looks at the copies that the settings name. What is copied after
// each run has the interval of the runs.
func (a *App) copiesHealthy(h state.History) error {
	var errs []error
	now := a.Now()
	for _, c := range a.Settings.Copies {
		r := h.Copy(c.Name)
		if text, behind := r.Behind(now); behind && r.Overdue(h.LongestInterval(), now) {
			errs = append(errs, fmt.Errorf("%s %s", c.Name, text))
		}
	}
	return errors.Join(errs...)
}
