package sidecar

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/ripplebak/ripplebak/compose"
	"github.com/ripplebak/ripplebak/docker"
	"github.com/ripplebak/ripplebak/dump"
	"github.com/ripplebak/ripplebak/sidecar/state"
	"github.com/ripplebak/ripplebak/volume"
)

// recover finishes or undoes what runs left that died: their helpers are
// removed, interrupted restores rolled forward or back, stopped services
// started. The caller holds the run lock, so no run of this host is under way
// in this state volume; what belongs to a container that runs all the same is
// left alone.
func (a *App) recover(ctx context.Context, h *host) error { return a.recoverTo(ctx, h, "") }

// recoverTo is recover; of the restore back everything is undone whose old data
// is still there.
func (a *App) recoverTo(ctx context.Context, h *host, back string) error {
	if err := h.state.ClearSpool(); err != nil {
		a.Log.Warn().Msg(err.Error())
	}
	if err := a.removeOrphans(ctx, h); err != nil {
		return err
	}
	journals, damaged := h.state.Journals()
	if damaged != nil {
		a.Log.Error().Str("error", a.Redactor().Redact(damaged.Error())).
			Msg("a journal cannot be read: look whether a service is down that should not be, and remove the file")
	}
	for _, j := range journals {
		if j.Project != h.project {
			continue
		}
		err := a.recoverJournal(ctx, h, j, back != "" && j.Run == back)
		switch {
		case err == nil:
		case ctx.Err() != nil, len(j.Volumes) > 0:
			// What is neither old nor new as a whole must not be saved or used.
			return fmt.Errorf("recover run %s: %w", j.Run, err)
		default:
			// It must not keep backups from being made night after night.
			a.Log.Error().Str("run", j.Run).Str("error", a.Redactor().Redact(err.Error())).
				Msg("an interrupted run could not be recovered in full, it is tried again by the next command")
		}
	}
	return nil
}

// recoverJournal recovers a run, unless it is another's to do.
func (a *App) recoverJournal(ctx context.Context, h *host, j *state.Journal, back bool) error {
	if !a.ownerLives(ctx, h, j.Container) {
		return a.recoverRun(ctx, h, j, back)
	}
	if len(j.Volumes) > 0 {
		return fmt.Errorf("it was restoring volumes, and its container %.12s, which runs, has not put them right yet: look at its logs", j.Container)
	}
	a.Log.Warn().Str("run", j.Run).Msg("a journal of another container that still runs is left alone")
	return nil
}

// ownerLives reports whether the container that owns something runs and is
// not ourselves. On doubt it does.
func (a *App) ownerLives(ctx context.Context, h *host, id string) bool {
	if id == "" || id == ownerOf(h) {
		return false
	}
	if strings.HasPrefix(id, ownerBare) {
		return true // of a process with a state directory, and a run lock, of its own
	}
	alive, known := h.containerRuns(ctx, id)
	return alive || !known
}

// removeOrphans removes helpers of this project whose owner is gone.
func (a *App) removeOrphans(ctx context.Context, h *host) error {
	helpers, err := h.engine.Helpers(ctx, map[string]string{labelProject: h.project})
	if err != nil {
		return err
	}
	for _, c := range helpers {
		if c.Labels[compose.LabelHelper] == "" {
			continue
		}
		if owner := c.Labels[labelOwner]; a.ownerLives(ctx, h, owner) {
			if at, known := c.Labels[labelState]; known && at != stateOf(h) {
				a.Log.Warn().Str("container", owner).Str("state", at).
					Msg("another sidecar works on this project, and keeps its state elsewhere: they cannot take turns, and one may start what the other has stopped; give them one state volume")
			}
			continue
		}
		if err := h.removeHelper(ctx, c.ID); err != nil {
			// One whose volume's filesystem is dead may stay for long.
			a.Log.Error().Str("helper", c.Name).Str("error", err.Error()).Msg("a helper of a run that died could not be removed")
			continue
		}
		a.Log.Warn().Str("helper", c.Name).Msg("removed a helper of a run that died")
	}
	return nil
}

// recoverRun works a journal off, and keeps on disk what is left of it.
func (a *App) recoverRun(ctx context.Context, h *host, j *state.Journal, back bool) error {
	a.Log.Warn().Str("run", j.Run).Str("command", j.Command).Time("started", j.Started).Msg("an interrupted run is being recovered")
	if err := a.recoverVolumes(ctx, h, j, back); err != nil {
		return err
	}
	err := errors.Join(a.recoverDatabases(ctx, h, j, back), a.recoverServices(ctx, h, j), a.recoverStopped(ctx, h, j), a.recoverPosts(ctx, h, j))
	if j.Empty() {
		return h.state.RemoveJournal(j.Run)
	}
	return errors.Join(err, h.state.WriteJournal(j))
}

// recoverServices brings back what was stopped, in the order of the journal.
// One that does not come up keeps no other from it.
func (a *App) recoverServices(ctx context.Context, h *host, j *state.Journal) (err error) {
	list := j.Quiesced
	j.Quiesced, err = h.bringBackAll(ctx, list, precedents(list), func(service string, _ bool) {
		a.Log.Warn().Str("service", service).Msg("service runs again, unless it has been removed since")
	})
	return err
}

// precedents lets each service of a list wait for those before it, where
// nothing is known of what they need.
func precedents(list []state.Quiesced) func(string) []string {
	services := servicesOf(list)
	return func(service string) []string { return services[:slices.Index(services, service)] }
}

// recoverStopped stops again what was started for a restore only.
func (a *App) recoverStopped(ctx context.Context, h *host, j *state.Journal) error {
	var left []state.Quiesced
	var errs []error
	for _, q := range j.ToStop {
		if err := h.engine.Stop(ctx, q.Container, nil); err != nil && !errors.Is(err, docker.ErrNoContainer) {
			left, errs = append(left, q), append(errs, err)
		}
	}
	j.ToStop = left
	return errors.Join(errs...)
}

// recoverPosts runs the commands that end what pre commands have begun. One that
// fails is not tried again; one of a service that does not run waits for it,
// unless that has no container any more.
func (a *App) recoverPosts(ctx context.Context, h *host, j *state.Journal) error {
	var left []state.Post
	var errs []error
	for _, p := range j.Posts {
		if cs, err := h.containersOf(ctx, p.Service); err == nil && len(cs) == 0 {
			a.Log.Warn().Str("service", p.Service).Msg("the command of " + nameOf(p) + " is not run: the service has no container any more")
			continue
		}
		err := a.hook(ctx, h, postOf(p), outcomeFailure)
		if err != nil {
			errs = append(errs, fmt.Errorf("service %q: the command of %s failed: %w", p.Service, nameOf(p), err))
		}
		if err != nil && !wasRun(err) {
			left = append(left, p)
		}
	}
	j.Posts = left
	return errors.Join(errs...)
}

// recoverDatabases puts databases right. One whose server does not come up
// stays in the journal for another time, and keeps neither services nor other
// commands waiting: its old data or its new data is whole as it is.
func (a *App) recoverDatabases(ctx context.Context, h *host, j *state.Journal, back bool) error {
	var left []state.DatabaseRestore
	for i, d := range j.Databases {
		outcome, err := a.recoverDatabase(ctx, h, d, back)
		switch outcome {
		case dump.OutcomeOld:
			a.noteItem(h, j.Run, databaseKey(d), state.ItemKept)
		case dump.OutcomeNew:
			a.noteItem(h, j.Run, databaseKey(d), state.ItemRestored)
		}
		if err != nil {
			if cause := context.Cause(ctx); cause != nil {
				return cause
			}
			a.Log.Error().Str("database", d.Service+"/"+d.Database).Str("error", a.Redactor().Redact(err.Error())).
				Msg("what an interrupted restore left in the server could not be cleared up, it is tried again by the next command")
			left = append(left, d)
		}
		now := *j
		now.Databases = slices.Concat(left, j.Databases[i+1:])
		if err := h.state.WriteJournal(&now); err != nil {
			return err
		}
	}
	j.Databases = left
	return nil
}

func (a *App) recoverVolumes(ctx context.Context, h *host, j *state.Journal, back bool) error {
	if len(j.Volumes) == 0 {
		return nil
	}
	l, err := volume.Listen(a.Settings.RunDir)
	if err != nil {
		return err
	}
	defer l.Close()
	for len(j.Volumes) > 0 {
		// Also where nothing was to run upon it: after the kill somebody may have
		// started a service again, or the Engine has.
		if v := j.Volumes[0]; !v.Keep && !v.NoStop {
			if err := a.quiesceUsers(ctx, h, j, v); err != nil {
				return err
			}
		}
		outcome, err := a.recoverVolume(ctx, h, l, j.Volumes[0], back)
		if err != nil {
			return err
		}
		switch outcome {
		case volume.RolledBack:
			a.noteItem(h, j.Run, j.Volumes[0].Key, state.ItemKept)
		case volume.RolledForward:
			a.noteItem(h, j.Run, j.Volumes[0].Key, state.ItemRestored)
		}
		j.Volumes = j.Volumes[1:]
		if err := h.state.WriteJournal(j); err != nil {
			return err
		}
	}
	return nil
}

// recoverVolume lets a helper roll the volume's own journal forward or back, or
// back if it is still possible.
func (a *App) recoverVolume(ctx context.Context, h *host, l *volume.Listener, v state.VolumeRestore, back bool) (volume.Outcome, error) {
	c, err := a.startHelper(ctx, h, l, runRecover, []string{v.Docker}, true)
	var missing *docker.NoPathError
	if errors.Is(err, docker.ErrNoVolume) || errors.As(err, &missing) && missing.Path == v.Docker {
		a.Log.Warn().Str("volume", v.Key).Msg("the volume of an interrupted restore is gone")
		return volume.NothingPending, nil
	}
	if err != nil {
		return volume.NothingPending, err
	}
	end := c.peer.Recover
	if back {
		end = c.peer.Undo
	}
	outcome, err := volume.NothingPending, volume.ErrNotHeld
	if v.Keep { // another volume of the item may hold only the new data already
		outcome, err = c.peer.Keep(ctx, c.mountPoint(0), v.ID)
	}
	if errors.Is(err, volume.ErrNotHeld) {
		outcome, err = end(ctx, c.mountPoint(0), v.ID)
	}
	if cerr := c.close(ctx); cerr != nil {
		a.Log.Warn().Msg(a.Redactor().Redact(cerr.Error()))
	}
	if err != nil {
		return outcome, err
	}
	a.Log.Warn().Str("volume", v.Key).Str("outcome", outcome.String()).Msg("interrupted restore recovered")
	return outcome, nil
}

// recoverDatabase asks the engine what the interrupted restore left, and does
// what it says.
func (a *App) recoverDatabase(ctx context.Context, h *host, r state.DatabaseRestore, back bool) (dump.Outcome, error) {
	engine, ok := dump.Lookup(r.Engine)
	if !ok {
		return "", fmt.Errorf("the journal names the unknown engine %q", r.Engine)
	}
	if _, ok := engine.(dump.InPlace); ok {
		// Its services come back as they were; nobody but its user can tell more.
		a.Log.Error().Str("database", r.Service+"/"+r.Database).
			Msg("the restore of this database was interrupted, and its data may be partly old and partly new: run the restore again")
		return "", nil
	}
	container, stop, err := a.recoverable(ctx, h, engine, r.Service)
	if err != nil {
		return "", err
	}
	outcome, _, err := a.settle(ctx, h, engine, r, container, back)
	if err = errors.Join(err, stop(ctx)); err != nil {
		return outcome, err
	}
	a.Log.Warn().Str("database", r.Service+"/"+r.Database).Str("outcome", string(outcome)).Msg("interrupted restore recovered")
	return outcome, nil
}

// recoverWait bounds how long a command waits for a database that has to be
// put right: there will be another one.
const recoverWait = time.Minute

// recoverable brings the service's database up. It is left to come up where
// that takes longer, for it ran when its restore was interrupted.
func (a *App) recoverable(ctx context.Context, h *host, engine dump.Engine, service string) (string, func(context.Context) error, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, recoverWait, fmt.Errorf("service %q was not ready after %s: look at \"docker compose logs %s\"", service, recoverWait, service))
	defer cancel()
	return a.ensureRunning(ctx, h, engine, service)
}

// settle asks the engine what an unfinished restore left, and finishes or
// undoes it. The facts are those from before.
func (a *App) settle(ctx context.Context, h *host, engine dump.Engine, r state.DatabaseRestore, container string, back bool) (dump.Outcome, dump.Facts, error) {
	facts, err := a.probe(ctx, h, engine, dump.Request{Service: r.Service, User: r.User}, container)
	if err != nil {
		return "", facts, err
	}
	recovery, err := engine.Recover(dump.RecoverRequest{ID: r.ID, Database: r.Database, Target: facts, Back: back})
	if err != nil {
		return "", facts, fmt.Errorf("database %s/%s: %w", r.Service, r.Database, err)
	}
	for _, s := range recovery.Steps {
		if err := a.runStep(ctx, h, engine, r.Service, container, s, literal(s)); err != nil {
			return "", facts, err
		}
	}
	return recovery.Outcome, facts, nil
}

// literal is the input of a step that reads no dump.
func literal(s dump.Step) io.Reader {
	if s.Input != dump.InputLiteral {
		return nil
	}
	return bytes.NewReader(s.Literal)
}
