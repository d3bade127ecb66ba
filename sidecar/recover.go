package sidecar

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

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
func (a *App) recover(ctx context.Context, h *host) error {
	if err := h.state.ClearSpool(); err != nil {
		a.Log.Warn().Msg(err.Error())
	}
	if err := a.removeOrphans(ctx, h); err != nil {
		return err
	}
	journals, damaged := h.state.Journals()
	for _, j := range journals {
		if j.Project != h.project || a.ownerLives(ctx, h, j.Container) {
			a.Log.Warn().Str("run", j.Run).Str("project", j.Project).Msg("a journal of another container that still runs is left alone")
			continue
		}
		if err := a.recoverRun(ctx, h, j); err != nil {
			return fmt.Errorf("recover run %s: %w", j.Run, err)
		}
	}
	return damaged // after what the others say has been done
}

// ownerLives reports whether the container that owns something runs and is
// not ourselves. On doubt it does.
func (a *App) ownerLives(ctx context.Context, h *host, id string) bool {
	if id == "" || id == "bare" || id == h.selfID() {
		return false
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
		if c.Labels[compose.LabelHelper] == "" || a.ownerLives(ctx, h, c.Labels[labelOwner]) {
			continue
		}
		if err := h.engine.RemoveHelper(ctx, c.ID); err != nil {
			return err
		}
		a.Log.Warn().Str("helper", c.Name).Msg("removed a helper of a run that died")
	}
	return nil
}

// recoverRun works a journal off, and keeps on disk what is left of it.
func (a *App) recoverRun(ctx context.Context, h *host, j *state.Journal) error {
	a.Log.Warn().Str("run", j.Run).Str("command", j.Command).Time("started", j.Started).Msg("an interrupted run is being recovered")
	if err := a.recoverVolumes(ctx, h, j); err != nil {
		return err
	}
	for len(j.Databases) > 0 {
		if err := a.recoverDatabase(ctx, h, j.Databases[0]); err != nil {
			return err
		}
		j.Databases = j.Databases[1:]
		if err := h.state.WriteJournal(j); err != nil {
			return err
		}
	}
	for len(j.Quiesced) > 0 {
		if err := h.bringBack(ctx, j.Quiesced[0]); err != nil {
			return err
		}
		a.Log.Warn().Str("service", j.Quiesced[0].Service).Msg("service brought back")
		j.Quiesced = j.Quiesced[1:]
		if err := h.state.WriteJournal(j); err != nil {
			return err
		}
	}
	for len(j.ToStop) > 0 {
		if err := h.engine.Stop(ctx, j.ToStop[0].Container, nil); err != nil && !errors.Is(err, docker.ErrNoContainer) {
			return err
		}
		j.ToStop = j.ToStop[1:]
		if err := h.state.WriteJournal(j); err != nil {
			return err
		}
	}
	return h.state.RemoveJournal(j.Run)
}

func (a *App) recoverVolumes(ctx context.Context, h *host, j *state.Journal) error {
	if len(j.Volumes) == 0 {
		return nil
	}
	l, err := volume.Listen(a.Settings.RunDir)
	if err != nil {
		return err
	}
	defer l.Close()
	for len(j.Volumes) > 0 {
		if _, err := a.recoverVolume(ctx, h, l, j.Volumes[0]); err != nil {
			return err
		}
		j.Volumes = j.Volumes[1:]
		if err := h.state.WriteJournal(j); err != nil {
			return err
		}
	}
	return nil
}

// recoverVolume lets a helper roll the volume's own journal forward or back.
func (a *App) recoverVolume(ctx context.Context, h *host, l *volume.Listener, v state.VolumeRestore) (volume.Outcome, error) {
	c, err := a.startHelper(ctx, h, l, runRecover, []string{v.Docker}, true)
	if errors.Is(err, docker.ErrNoVolume) {
		a.Log.Warn().Str("volume", v.Key).Msg("the volume of an interrupted restore is gone")
		return volume.NothingPending, nil
	}
	if err != nil {
		return volume.NothingPending, err
	}
	outcome, err := c.peer.Recover(ctx, mountPoint(0), v.ID)
	if err = errors.Join(err, c.close(context.WithoutCancel(ctx))); err != nil {
		return outcome, err
	}
	a.Log.Warn().Str("volume", v.Key).Str("outcome", outcome.String()).Msg("interrupted restore recovered")
	return outcome, nil
}

// recoverDatabase asks the engine what the interrupted restore left, and does
// what it says.
func (a *App) recoverDatabase(ctx context.Context, h *host, r state.DatabaseRestore) error {
	engine, ok := dump.Lookup(r.Engine)
	if !ok {
		return fmt.Errorf("the journal names the unknown engine %q", r.Engine)
	}
	container, stop, err := a.ensureRunning(ctx, h, engine, r.Service)
	if err != nil {
		return err
	}
	outcome, _, err := a.settle(ctx, h, engine, r, container)
	if err = errors.Join(err, stop(ctx)); err != nil {
		return err
	}
	a.Log.Warn().Str("database", r.Service+"/"+r.Database).Str("outcome", string(outcome)).Msg("interrupted restore recovered")
	return nil
}

// settle asks the engine what an unfinished restore left, and finishes or
// undoes it. The facts are those from before.
func (a *App) settle(ctx context.Context, h *host, engine dump.Engine, r state.DatabaseRestore, container string) (dump.Outcome, dump.Facts, error) {
	facts, err := a.probe(ctx, h, engine, dump.Request{Service: r.Service, User: r.User}, container)
	if err != nil {
		return "", facts, err
	}
	recovery, err := engine.Recover(dump.RecoverRequest{ID: r.ID, Database: r.Database, Target: facts})
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
