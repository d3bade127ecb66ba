package sidecar

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ripplebak/ripplebak/archive"
	"github.com/ripplebak/ripplebak/compose"
	"github.com/ripplebak/ripplebak/delay"
	"github.com/ripplebak/ripplebak/dump"
	"github.com/ripplebak/ripplebak/plan"
	"github.com/ripplebak/ripplebak/sidecar/state"
	"github.com/ripplebak/ripplebak/volume"
)

// placedDump is a dump that lies in the place of a server's files, which are
// held aside until it is known whether the server comes up with it.
type placedDump struct {
	entry state.VolumeRestore
	out   *RestoredItem
	end   func(error)
}

// place notes where the dump of an item goes that comes back as files.
func (r *restore) place(engine dump.Engine, key string, dumped dump.Facts, p plan.Probe) []string {
	files, ok := engine.(dump.FileEngine)
	if !ok {
		return nil
	}
	placement, err := files.Place(dumped, targetOfProbe(p))
	if err != nil {
		return []string{fmt.Sprintf("%s: %v", key, err)}
	}
	r.placements[key] = placement
	return nil
}

// targetOfProbe is what the server has said of itself; nil where it could not
// be asked.
func targetOfProbe(p plan.Probe) *dump.Facts {
	if p.Err != nil || p.Missing != "" || p.Container == "" {
		return nil
	}
	return &p.Facts
}

// placeDump puts a dump in the place of the files of its server, which is down.
func (r *restore) placeDump(ctx context.Context, op plan.RestoreOperation) error {
	key := op.Items[0]
	out, end := r.item(key)
	entry, err := r.hold(ctx, key, out)
	if err == nil {
		r.placed[key] = &placedDump{entry: entry, out: out, end: end}
		return nil
	}
	end(err)
	switch cause := context.Cause(ctx); {
	case cause != nil:
		return cause
	case r.torn():
		return err
	}
	return nil
}

// hold fills in the files. Until the journal says that they are held, nothing
// runs upon the volume, and a recovery only has to look at the volume.
func (r *restore) hold(ctx context.Context, key string, out *RestoredItem) (entry state.VolumeRestore, err error) {
	it, _ := r.plan.Item(key)
	entry = state.VolumeRestore{ID: r.id, Key: key, Docker: it.Placed.Docker}
	if err := r.unused(ctx, entry.Docker); err != nil {
		return entry, err
	}
	r.journal.Volumes = append(r.journal.Volumes, entry)
	if err := r.host.state.WriteJournal(&r.journal); err != nil {
		r.forgetVolume() // nothing was begun
		return entry, err
	}
	c, closeHelper, err := r.takeHelper(ctx, entry.Docker)
	if err != nil {
		r.volumeDone()
		return entry, err
	}
	defer func() {
		if err := closeHelper(); err != nil {
			out.Notes = append(out.Notes, r.app.Redactor().Redact(err.Error()))
		}
	}()
	if err := r.fillFiles(ctx, it, c, out); err != nil {
		return entry, r.settleVolume(ctx, c, entry, out, err)
	}
	held := entry
	held.Held = true
	if _, ran := r.plan.Stops(it.Service); ran {
		held.Service = it.Service
	}
	r.journal.Volumes[len(r.journal.Volumes)-1] = held
	if err := r.host.state.WriteJournal(&r.journal); err != nil {
		r.journal.Volumes[len(r.journal.Volumes)-1] = entry
		return entry, r.settleVolume(ctx, c, entry, out, err)
	}
	r.app.crash("after-place")
	return held, nil
}

func (r *restore) fillFiles(ctx context.Context, it plan.RestoreItem, c *helper, out *RestoredItem) error {
	src := r.sources[it.Key]
	node, err := r.vault.repo.Resolve(ctx, *src.node.Subtree, dumpFileOf(src.item, dump.RoleDatabase))
	if err != nil {
		return err
	}
	var files []archive.File
	for _, path := range it.Placed.Place {
		files = append(files, archive.File{Path: path, Node: node})
	}
	report, err := archive.RestoreFiles(ctx, r.vault.repo, files, c.peer, volume.RestoreRequest{
		Root: r.host.mountPoint(0), ID: r.id, Remove: it.Placed.Remove, Hold: true,
		Progress: func(p volume.RestoreProgress) {
			r.app.progress().Advance(it.Key, p.Listed, p.Fetched)
			if p.Fetched > 0 {
				r.app.crash("mid-restore")
			}
		},
	})
	if err == nil {
		took(out, report)
	}
	return err
}

// confirmDump looks whether the server has come up with the dump. If so its old
// files go, else they come back.
func (r *restore) confirmDump(ctx context.Context, op plan.RestoreOperation) error {
	key := op.Items[0]
	p := r.placed[key]
	if p == nil {
		return nil // it has failed before
	}
	err := r.dead[op.Service]
	if err == nil {
		r.app.crash("before-confirm")
		err = r.came(ctx, op.Service, key, p.out)
	}
	if err == nil {
		err = r.keep(ctx, p)
	}
	if err != nil {
		err = r.takeBack(ctx, op.Service, p, err)
	}
	delete(r.placed, key)
	p.end(err)
	if cause := context.Cause(ctx); err != nil && cause != nil {
		return cause
	}
	if err != nil && r.torn() {
		return err
	}
	return nil
}

// Times of looking whether a server has come up.
const (
	camePoll    = 300 * time.Millisecond
	cameUnasked = 20 * time.Second // how long a server that runs may not answer
)

// came waits until the server has loaded its data, and has the engine judge it.
func (r *restore) came(ctx context.Context, service, key string, out *RestoredItem) error {
	engine, ok := r.engineOf(service)
	files, isFiles := engine.(dump.FileEngine)
	if !ok || !isFiles {
		return fmt.Errorf("service %q has no engine that restores files", service)
	}
	limit := r.app.Settings.ReadyTimeout
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("service %q had not loaded its data after %s: look at \"docker compose logs %s\"", service, limit, service))
	defer cancel()
	unasked := r.app.Now().Add(cameUnasked)
	for {
		container, err := r.host.running(ctx, service)
		if err != nil {
			return err
		}
		facts, err := r.app.probe(ctx, r.host, engine, dump.Request{Service: service, User: r.userOf(service), Argv: r.found.argvOf(service)}, container)
		if err == nil {
			var notes []string
			if notes, err = files.Came(r.proofs[key], facts); !errors.Is(err, dump.ErrLoading) {
				out.Notes = append(out.Notes, notes...)
				return err
			}
		} else if r.app.Now().After(unasked) {
			return err
		}
		if delay.For(ctx, camePoll) != nil {
			return errors.Join(context.Cause(ctx), err)
		}
	}
}

// keep lets go of the old files.
func (r *restore) keep(ctx context.Context, p *placedDump) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*helperStart)
	defer cancel()
	c, err := r.app.startHelper(ctx, r.host, r.listener, r.id, []string{p.entry.Docker}, true)
	if err != nil {
		return err
	}
	_, err = c.peer.Keep(ctx, r.host.mountPoint(0), p.entry.ID)
	if cerr := c.close(ctx); cerr != nil {
		r.app.Log.Warn().Msg(r.app.Redactor().Redact(cerr.Error()))
	}
	if err == nil {
		r.forgetHeld(p.entry)
		r.noteLess()
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
	if err == nil {
		err = r.unused(ctx, p.entry.Docker)
	}
	var outcome volume.Outcome
	if err == nil {
		r.letGo(p.entry)
		outcome, err = r.app.recoverVolume(ctx, r.host, r.listener, p.entry)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", errUnsettled, errors.Join(why, err))
	}
	r.forgetHeld(p.entry)
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
		err := r.takeBack(ctx, it.Service, p, errInterrupted)
		p.end(err)
		if !errors.Is(err, errInterrupted) || errors.Is(err, errUnsettled) {
			errs = append(errs, err)
		}
	}
	clear(r.placed)
	return errors.Join(errs...)
}

var errInterrupted = errors.New("the restore was broken off")

// letGo notes that the old data is about to come back: from here on until that
// is done, nothing may run upon the volume.
func (r *restore) letGo(entry state.VolumeRestore) {
	for i, v := range r.journal.Volumes {
		if v.ID == entry.ID && v.Docker == entry.Docker {
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
	users, err := h.engine.VolumeUsers(ctx, v.Docker)
	if err != nil {
		return err
	}
	for _, c := range users {
		_, isHelper := c.Labels[compose.LabelHelper]
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
