package sidecar

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ripplebak/ripplebak/manifest"
	"github.com/ripplebak/ripplebak/plan"
	"github.com/ripplebak/ripplebak/repository"
	"github.com/ripplebak/ripplebak/sidecar/state"
)

// ErrNothingToRollBack means that there is no restore that could be undone.
var ErrNothingToRollBack = errors.New("there is nothing to roll back")

// errOldInPlace is an ErrNothingToRollBack for all of the old data is in place.
var errOldInPlace = fmt.Errorf("%w: of all that the last restore was about, the old data is in place", ErrNothingToRollBack)

// Undoing a restore is a restore: of the items that it has touched, from the
// safety snapshot that it made. One that was interrupted is first taken back as
// far as its journal goes.

// interrupted is what was found of a restore that did not come to its end.
type interrupted struct {
	restore string   // its ID; empty: none was
	undone  []string // keys of items whose old data was brought back by its journal
	// rollback says that it was one itself, and finished that it had restored
	// everything.
	rollback, finished bool
}

// beginRollback is begin for a rollback. What is noted of the last restore is
// read under the run lock: without it, that may be under way.
func (a *App) beginRollback(ctx context.Context, h *host, id string, wait time.Duration) (release func() error, found interrupted, err error) {
	release, err = a.beginTo(ctx, h, id, wait, func(ctx context.Context, h *host) error {
		last, back := a.lastNoted(h), ""
		if last != nil && last.Undoes == nil { // else it brings the old data, as this one is to
			back = last.Restore
		}
		if err := a.recoverTo(ctx, h, back); err != nil {
			return err
		}
		found = a.findInterrupted(h, last)
		return nil
	})
	return release, found, err
}

// findInterrupted says what has become of the last restore, if it was
// interrupted. One that was a rollback is ended: this one goes on with the rest.
func (a *App) findInterrupted(h *host, before *state.LastRestore) (found interrupted) {
	if before == nil || !before.Unfinished() {
		return found
	}
	found.restore, found.rollback = before.Restore, before.Undoes != nil
	now := a.lastNoted(h)
	if now == nil || now.Restore != before.Restore {
		return found
	}
	if found.rollback {
		found.finished = now.Complete()
		a.noteFinished(h, before.Restore)
		return found
	}
	for _, it := range now.Items {
		if before.States[it.Key] == state.ItemBegun && now.States[it.Key] == state.ItemKept {
			found.undone = append(found.undone, it.Key)
		}
	}
	return found
}

// undone ends a rollback that had nothing to do but to take back what was
// interrupted.
func (r *restore) undone() {
	r.app.noteFinished(r.host, r.interrupted.restore)
	r.plan = &plan.Restore{Project: r.host.project, Undoes: r.interrupted.restore, Items: []plan.RestoreItem{}, Operations: []plan.RestoreOperation{}, Warnings: []string{}, Problems: []string{}}
	r.report.Plan = r.plan
	what := "before anything was changed"
	if r.interrupted.rollback {
		what = "and has brought all of the old data back"
	}
	if len(r.interrupted.undone) > 0 {
		what = "and is undone: the old data of " + strings.Join(r.interrupted.undone, ", ") + " is in place"
	}
	r.report.Notes = append(r.report.Notes, fmt.Sprintf("the last restore (%s) was interrupted %s; what it had stopped runs again", r.interrupted.restore, what))
}

// rollbackSources are the items that the last restore has touched, as they were
// before it.
func (r *restore) rollbackSources(ctx context.Context) (sources []plan.Source, warnings []string, err error) {
	if r.interrupted.finished {
		return nil, nil, errOldInPlace
	}
	last, warnings, err := r.lastRestore(ctx)
	if err != nil {
		return nil, nil, err
	}
	r.undoing, r.opt.Globals = last, last.Globals
	touched, err := touchedOf(last)
	if err != nil {
		return nil, nil, err
	}
	list, err := r.oneCandidate(ctx, last.Safety)
	if errors.Is(err, repository.ErrNoSnapshot) {
		return nil, nil, fmt.Errorf("%w: the safety snapshot %.8s of the last restore is not in the repository any more, which keeps the last three and those of 14 days: %w", ErrNothingToRollBack, last.Safety, err)
	}
	if err != nil {
		return nil, nil, err
	}
	var created []string
	left := false // paths stay that were not there before
	for _, it := range touched {
		if len(it.Saved) == 0 {
			created = append(created, it.Key)
			continue
		}
		if !slices.Equal(it.Saved, []string{it.Key}) {
			warnings = append(warnings, fmt.Sprintf("%s could not be dumped before it was overwritten: all that the files of its server hold comes back, %s", it.Key, strings.Join(it.Saved, ", ")))
		}
		for _, key := range it.Saved {
			s, notes, err := r.savedItem(ctx, list[0], it, key)
			if err != nil {
				return nil, nil, err
			}
			warnings, left = append(warnings, notes...), left || len(notes) > 0
			if s != nil {
				sources = append(sources, *s)
			}
		}
	}
	sources = r.withoutIdleGlobals(sources)
	if r.interrupted.rollback {
		warnings = append(warnings, "a rollback was interrupted, and what it has brought back stays: this one is for the rest")
	}
	for _, key := range r.interrupted.undone {
		warnings = append(warnings, key+" has its old data already: its restore was interrupted, and is undone")
	}
	for _, key := range created {
		warnings = append(warnings, key+" stays as it is: nothing was there before the restore; remove it by hand if it is not wanted")
	}
	switch {
	case len(sources) > 0:
	case len(created) == 0 && !left:
		return nil, nil, errOldInPlace
	default:
		return nil, nil, fmt.Errorf("%w: %s", ErrNothingToRollBack, strings.Join(append(warnings, "nothing else was overwritten"), "; "))
	}
	r.report.LeftAlone = append(r.report.LeftAlone, created...)
	return sources, warnings, nil
}

// undoesID is the ID of the restore that is undone; empty: none is.
func (r *restore) undoesID() string {
	if r.undoing == nil {
		return ""
	}
	return r.undoing.Restore
}

// withoutIdleGlobals leaves out the roles of a server of which nothing else comes
// back: without Globals only missing ones are made, which is nothing to undo.
func (r *restore) withoutIdleGlobals(sources []plan.Source) []plan.Source {
	return slices.DeleteFunc(slices.Clone(sources), func(s plan.Source) bool {
		if s.Item.Kind != manifest.Dump || s.Item.Name != "" || r.opt.Globals {
			return false
		}
		idle := !slices.ContainsFunc(sources, func(o plan.Source) bool {
			return o.Item.Kind == manifest.Dump && o.Item.Service == s.Item.Service && o.Item.Name != ""
		})
		if idle {
			delete(r.sources, s.Item.Key())
		}
		return idle
	})
}

// touchedOf are the items to bring back, if their old data was saved.
func touchedOf(last *state.LastRestore) ([]manifest.OverwrittenItem, error) {
	at := fmt.Sprintf("the last restore (%s, %s)", last.Restore, last.Started.Format(time.RFC3339))
	touched := last.Touched()
	var keys []string
	for _, it := range touched {
		keys = append(keys, it.Key)
	}
	switch {
	case len(touched) == 0:
		return nil, fmt.Errorf("%w (%s, %s)", errOldInPlace, last.Restore, last.Started.Format(time.RFC3339))
	case last.Safety == "" && last.NoSafety:
		return nil, fmt.Errorf("%w: %s was made with --no-safety-snapshot, and what was there before it is not kept: %s", ErrNothingToRollBack, at, strings.Join(keys, ", "))
	case last.Safety == "":
		return nil, fmt.Errorf("%w: %s has overwritten nothing; what it has made stays: %s", ErrNothingToRollBack, at, strings.Join(keys, ", "))
	}
	return touched, nil
}

// savedItem is what a safety snapshot holds of an item.
func (r *restore) savedItem(ctx context.Context, safety *snapshot, of manifest.OverwrittenItem, key string) (*plan.Source, []string, error) {
	if _, ok := r.sources[key]; ok {
		return nil, nil, nil // the files of a server, with several of its databases
	}
	item, ok := safety.manifest.Find(key)
	if !ok || item.State != manifest.Good && item.State != manifest.Partial {
		return nil, nil, fmt.Errorf("%s is not good in the safety snapshot %s, which was to hold it", key, safety.ID.Short())
	}
	if item.VolumeInfo != nil { // what the restore left alone is left alone again
		info := *item.VolumeInfo
		info.Exclude = slices.Concat(info.Exclude, of.Exclude)
		info.Unreadable = slices.Concat(info.Unreadable, of.Unreadable)
		info.UnreadableCount += int64(len(of.Unreadable))
		item.VolumeInfo = &info
	}
	r.app.Redactor().Public(item.Service, item.Name)
	src := &sourceItem{snapshot: safety, item: item}
	if err := r.locate(ctx, src); err != nil {
		return nil, nil, err
	}
	notes, err := r.savedPaths(ctx, src, of)
	if err != nil || len(of.Paths) > 0 && len(src.paths) == 0 {
		return nil, notes, err
	}
	r.sources[key] = src
	s := plan.Source{Snapshot: safety.ID.String(), Time: safety.Time.In(r.app.Settings.Location), Item: src.item, Paths: src.paths}
	return &s, notes, nil
}

// savedPaths narrows a volume down to the paths that were restored. What was
// not there before them stays.
func (r *restore) savedPaths(ctx context.Context, src *sourceItem, of manifest.OverwrittenItem) (notes []string, err error) {
	for _, raw := range of.Paths {
		p := string(raw)
		_, err := r.vault.repo.Resolve(ctx, *src.node.Subtree, strings.Split(p, "/")...)
		switch {
		case errors.Is(err, repository.ErrNoNode):
			notes = append(notes, fmt.Sprintf("/%s of %s stays as it is: nothing was there before the restore; remove it by hand if it is not wanted", p, of.Key))
		case err != nil:
			return nil, fmt.Errorf("%s in snapshot %s: %w", of.Key, src.snapshot.ID.Short(), err)
		default:
			src.paths = append(src.paths, p)
		}
	}
	if len(src.paths) == 0 {
		return notes, nil
	}
	extent, err := r.extentOf(ctx, src)
	if err != nil {
		return nil, fmt.Errorf("nothing was touched: %s in snapshot %s cannot be restored: %w", of.Key, src.snapshot.ID.Short(), err)
	}
	src.item.Bytes, src.item.Files = extent.Bytes, extent.Files
	return notes, nil
}

// lastRestore is what is to be undone. Where the state volume does not know, as
// it is a new one, the newest safety snapshot of this host tells.
func (r *restore) lastRestore(ctx context.Context) (*state.LastRestore, []string, error) {
	last := r.app.lastNoted(r.host)
	if last != nil {
		if r.opt.DryRun && last.Unfinished() && last.Undoes != nil {
			return last.Remaining(), []string{"the last rollback was interrupted: what it left half done is finished first, and of what then has its old data nothing is restored"}, nil
		}
		if r.opt.DryRun && last.Unfinished() {
			return last, []string{"the last restore was interrupted: what it left half done is undone first, and of what then has its old data nothing is restored"}, nil
		}
		return last, nil, nil
	}
	s, err := r.newestSafety(ctx)
	if err != nil {
		return nil, nil, err
	}
	last = &state.LastRestore{Project: r.host.project, Started: s.Time, Finished: s.Time, Safety: s.ID.String(), States: map[string]state.ItemState{}}
	if s.manifest.Overwritten != nil {
		last.Overwritten = *s.manifest.Overwritten
	} else { // of an earlier version
		for _, it := range s.manifest.Items {
			if it.State == manifest.Good || it.State == manifest.Partial {
				last.Items = append(last.Items, manifest.OverwrittenItem{Key: it.Key(), Saved: []string{it.Key()}})
			}
		}
	}
	for _, it := range last.Items {
		last.States[it.Key] = state.ItemBegun
	}
	return last, []string{fmt.Sprintf("this sidecar has no record of a restore: what is undone is the one that made the newest safety snapshot of this host, %s of %s",
		s.ID.Short(), s.Time.In(r.app.Settings.Location).Format(time.RFC3339))}, nil
}

func (r *restore) newestSafety(ctx context.Context) (*snapshot, error) {
	all, _, err := r.vault.repo.Snapshots(ctx)
	if err != nil {
		return nil, err
	}
	instead := replaced(all)
	for _, s := range slices.Backward(all) {
		if _, damaged := instead[s.ID]; damaged || !ofProject(&s.Snapshot, r.host.project) || !s.HasTag(TagSafety) || s.Hostname != r.host.name {
			continue
		}
		found := &snapshot{StoredSnapshot: s}
		found.manifest, err = r.app.manifestOf(ctx, r.vault.repo, found, r.host.project)
		return found, err
	}
	return nil, fmt.Errorf("%w: no restore is known here, and the repository has no safety snapshot of project %q that host %q has made", ErrNothingToRollBack, r.host.project, r.host.name)
}
