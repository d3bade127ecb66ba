package sidecar

import (
	"context"
	"errors"
	"fmt"

	"github.com/ripplebak/ripplebak/repository"
	"github.com/ripplebak/ripplebak/sidecar/schedule"
	"github.com/ripplebak/ripplebak/sidecar/state"
)

// loggedLosses is how many findings, and how many lost items, a scheduled check
// says in the log; "check" shows the others.
const loggedLosses = 10

// scheduledCheck checks the structure, and reads so many packs that each is
// read once within the period. What was read before it was cut short counts.
func (a *App) scheduledCheck(ctx context.Context, t turn) (err error) {
	s, err := schedule.Parse(a.Settings.CheckSchedule, a.Settings.Location)
	if err != nil {
		return fmt.Errorf("RIPPLEBAK_CHECK_SCHEDULE: %w", err)
	}
	next := s.Next(a.Now())
	h, _, err := a.aroundIfAny(ctx)
	if err != nil {
		return err
	}
	if h != nil {
		defer func() { err = errors.Join(err, h.engine.Close()) }()
	}
	report, err := a.check(ctx, h, CheckOptions{
		Wait: t.wait,
		part: func(packs []repository.PackInfo, times *state.PackTimes, suspects []string) []repository.PackInfo {
			return share(turns(packs, times, suspects), times, suspects, t.began, next, a.Settings.CheckPeriod)
		},
	})
	if report != nil {
		a.logCheck(report)
	}
	return err
}

// logCheck says what a scheduled check found.
func (a *App) logCheck(r *CheckReport) {
	said := 0
	for _, f := range r.Findings {
		if !f.Note && said < loggedLosses {
			said++
			a.Log.Error().Str("kind", f.Kind).Str("file", f.File).Msg("damage: " + a.Redactor().Redact(f.Detail))
		}
	}
	for _, l := range r.Lost[:min(len(r.Lost), loggedLosses)] {
		a.Log.Error().Str("snapshot", l.Snapshot).Str("item", a.Redactor().Redact(l.Item)).Uint64("files", l.Files).Uint64("folders", l.Folders).Msg("lost to damage of the repository")
	}
	a.Log.Info().Uint64("packs", r.Packs).Uint64("packs_read", r.PacksRead).Uint64("bytes_read", r.BytesRead).Uint64("errors", r.Errors).Bool("ok", r.OK).Bool("cut_short", r.stopped).Msg("repository checked")
}
