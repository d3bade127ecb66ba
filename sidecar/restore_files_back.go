package sidecar

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ripplebak/ripplebak/compose"
	"github.com/ripplebak/ripplebak/docker"
	"github.com/ripplebak/ripplebak/sidecar/state"
	"github.com/ripplebak/ripplebak/volume"
)

// keep lets go of the old files. Of several volumes the journal says first that
// all of them are kept: from then on it only goes forward.
func (r *restore) keep(ctx context.Context, p *placedDump) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*helperStart)
	defer cancel()
	several := len(p.entries) > 1
	if several {
		if err := r.decideKeep(p); err != nil {
			return err
		}
	}
	for _, entry := range p.entries {
		err := r.app.keepVolume(ctx, r.host, r.listener, r.id, entry)
		if err != nil && several {
			return fmt.Errorf("%w: %w", errUnsettled, err)
		}
		if err != nil {
			return err
		}
		r.forgetHeld(entry)
		r.noteLess()
		r.app.crash("mid-keep")
	}
	return nil
}

func (r *restore) decideKeep(p *placedDump) error {
	mark := func(keep bool) {
		for i, v := range r.journal.Volumes {
			if p.has(v) {
				r.journal.Volumes[i].Keep = keep
			}
		}
	}
	mark(true)
	err := r.host.state.WriteJournal(&r.journal)
	if err != nil {
		mark(false)
		// It may be on disk all the same, and must not hold when the old is back.
		err = errors.Join(err, r.host.state.WriteJournal(&r.journal))
	}
	return err
}

// keepVolume lets go of the old files of a volume.
func (a *App) keepVolume(ctx context.Context, h *host, l *volume.Listener, run string, v state.VolumeRestore) error {
	c, err := a.startHelper(ctx, h, l, run, []string{v.Docker}, true)
	if err != nil {
		return err
	}
	_, err = c.peer.Keep(ctx, c.mountPoint(0), v.ID)
	if cerr := c.close(ctx); cerr != nil {
		a.Log.Warn().Msg(a.Redactor().Redact(cerr.Error()))
	}
	return err
}

// takeBack stops the server again, brings its old files back, and starts it
// upon them where it ran before. Its error is why, unless the new data stays
// after all.
func (r *restore) takeBack(ctx context.Context, service string, p *placedDump, why error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), resumeTime)
	defer cancel()
	err := r.stopAgain(ctx, service)
	for _, entry := range p.entries {
		if err == nil {
			err = r.unused(ctx, entry.Docker)
		}
	}
	if err == nil {
		r.letGo(p)
	}
	var outcome volume.Outcome
	for _, entry := range p.entries {
		if err == nil {
			outcome, err = r.app.recoverVolume(ctx, r.host, r.listener, entry, false)
		}
	}
	if err != nil {
		return fmt.Errorf("%w: %w", errUnsettled, errors.Join(why, err))
	}
	for _, entry := range p.entries {
		r.forgetHeld(entry)
	}
	r.noteLess()
	its, _ := of(r.journal.Quiesced, service)
	if err := r.bringBack(ctx, its); err != nil {
		why = errors.Join(why, err)
	}
	if outcome == volume.RolledForward {
		p.out.Notes = append(p.out.Notes, "was interrupted and then finished: "+r.app.Redactor().Redact(why.Error()))
		return nil
	}
	return why
}

// stopAgain stops a service that was started upon new files. One that did not
// run before stays down.
func (r *restore) stopAgain(ctx context.Context, service string) error {
	if slices.ContainsFunc(r.journal.ToStop, func(q state.Quiesced) bool { return q.Service == service }) {
		return r.stopEngine(ctx, service)
	}
	if _, ran := r.plan.Stops(service); !ran {
		return nil // it was down before, and has not been started
	}
	_, err := r.app.takeDown(ctx, r.host, &r.journal, service, "stop", func(service string, at time.Time) { r.downAt[service] = at })
	if err != nil {
		return err
	}
	return r.app.noteDown(ctx, r.host, &r.journal, service)
}

// noteDown has the journal bring back what of a service has ended by itself,
// as a server does that cannot load its files.
func (a *App) noteDown(ctx context.Context, h *host, j *state.Journal, service string) error {
	cs, err := h.containersOf(ctx, service)
	if err != nil {
		return err
	}
	var ended []state.Quiesced
	for _, c := range cs {
		noted := slices.ContainsFunc(j.Quiesced, func(q state.Quiesced) bool { return q.Service == service && q.Number == numberOf(c) })
		if !isUp(c) && !noted {
			ended = append(ended, state.Quiesced{Service: service, Number: numberOf(c), Container: c.ID, How: "stop"})
		}
	}
	if len(ended) == 0 {
		return nil
	}
	j.Quiesced = append(ended, j.Quiesced...)
	return h.state.WriteJournal(j)
}

// takeAllBack brings back, on the way out, the files of every server of which
// it is not known whether it comes up with its dump.
func (r *restore) takeAllBack(ctx context.Context) error {
	var errs []error
	for key, p := range r.placed {
		it, _ := r.plan.Item(key)
		var err error
		if it.Alone() {
			err = r.takeAloneBack(ctx, p, errInterrupted)
		} else {
			err = r.takeBack(ctx, it.Service, p, errInterrupted)
		}
		p.end(err)
		if !errors.Is(err, errInterrupted) || errors.Is(err, errUnsettled) {
			errs = append(errs, err)
		}
	}
	clear(r.placed)
	return errors.Join(errs...)
}

// letGo notes that the old data is about to come back: from here on until that
// is done, nothing may run upon the volumes.
func (r *restore) letGo(p *placedDump) {
	for i, v := range r.journal.Volumes {
		if p.has(v) {
			r.journal.Volumes[i].Held = false
		}
	}
	r.noteLess()
}

// forgetHeld drops a volume that is whole.
func (r *restore) forgetHeld(entry state.VolumeRestore) {
	r.journal.Volumes = slices.DeleteFunc(r.journal.Volumes, func(v state.VolumeRestore) bool { return v.ID == entry.ID && v.Docker == entry.Docker })
}

// quiesceUsers stops what runs upon a volume whose old files are to come back.
// The journal knows of it, and has it started again.
func (a *App) quiesceUsers(ctx context.Context, h *host, j *state.Journal, v state.VolumeRestore) error {
	users, err := h.engine.VolumeUsers(ctx, cmp.Or(v.File, v.Docker))
	if err != nil && !errors.Is(err, docker.ErrNoVolume) { // of one that is gone nobody is a user
		return err
	}
	for _, c := range users {
		_, isHelper := c.Labels[compose.LabelHelper]
		if isHelper && c.Running && writes(c, v.Docker) && !a.ownerLives(ctx, h, c.Labels[labelOwner]) {
			return fmt.Errorf("container %s of the restore that was interrupted may still write to the volume %s, and could not be removed: remove it with \"docker rm -f %s\"", c.Name, v.Docker, c.Name)
		}
		if !c.Running || isHelper || c.ID == h.selfID() || c.Labels[compose.LabelSidecar] == "true" {
			continue
		}
		service := c.Labels[compose.LabelService]
		if c.Project() != h.project || service == "" || c.Labels[compose.LabelOneOff] == "True" {
			return fmt.Errorf("container %s uses the volume %s, in which an interrupted restore has to be undone: stop it", c.Name, v.Docker)
		}
		if _, err := a.takeDown(ctx, h, j, service, "stop", func(string, time.Time) {}); err != nil {
			return err
		}
	}
	if v.Service == "" {
		return nil
	}
	return a.noteDown(ctx, h, j, v.Service)
}
