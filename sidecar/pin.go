package sidecar

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ripplebak/ripplebak/repository"
	"github.com/ripplebak/ripplebak/storage"
)

// TagPinned keeps a snapshot whatever the policy says.
const TagPinned = "pinned"

// PinOptions say which snapshot is to be pinned, or let go.
type PinOptions struct {
	// Snapshot is an ID, the beginning of one, or "latest".
	Snapshot string
	// Unpin lets it go.
	Unpin bool
	// DryRun changes nothing.
	DryRun bool
	// Wait is how long to wait for the repository's lock.
	Wait time.Duration
}

// PinReport says what became of the snapshot.
type PinReport struct {
	// Snapshot is its ID, which is another than before where its tags changed.
	Snapshot string   `json:"snapshot"`
	Was      string   `json:"was"`
	Tags     []string `json:"tags"`
	Pinned   bool     `json:"pinned"`
	// Changed says that it was not so before.
	Changed bool `json:"changed"`
	DryRun  bool `json:"dry_run"`
	// Copies is what became of the same snapshot in the copies that the settings
	// name. From a copy it is empty.
	Copies []PinnedCopy `json:"copies"`

	first string // the ID that the snapshot had before any change
}

// PinnedCopy is what became of a snapshot in a copy of the repository.
type PinnedCopy struct {
	Name string `json:"name"`
	// Snapshot and Was are its IDs there; empty where it is not there, or that
	// cannot be known.
	Snapshot string `json:"snapshot,omitempty"`
	Was      string `json:"was,omitempty"`
	// Changed says that it was not so before.
	Changed bool `json:"changed"`
	// Error is why it may be as before.
	Error string `json:"error,omitempty"`
}

// Pin pins a snapshot of the project, so that no policy removes it, or unpins
// it. As with restic's tag, the snapshot is stored anew with the other tag, its
// first ID noted in it, and then the old one removed; the first ID goes on
// naming it. Where this was killed, both are there, and doing it again clears
// up. Then the same is done in the copies, for their own policy keeps what is
// pinned there: one that it cannot be done in is a warning.
func (a *App) Pin(ctx context.Context, opt PinOptions) (report *PinReport, err error) {
	h, project, err := a.aroundProject(ctx)
	if err != nil {
		return nil, err
	}
	if h != nil {
		defer func() { err = errors.Join(err, h.engine.Close()) }()
	}
	t, err := a.source()
	if err != nil {
		return nil, err
	}
	f := &forgetter{app: a, project: project}
	if report, err = a.pinIn(ctx, h, f, t, opt); err != nil || t.name != "" {
		return report, err
	}
	opt.Snapshot = report.first
	for _, c := range a.Settings.Copies {
		done := a.pinCopy(ctx, h, f, a.copyTarget(c), opt)
		if ctx.Err() != nil {
			return report, context.Cause(ctx)
		}
		report.Copies = append(report.Copies, done)
	}
	return report, nil
}

// pinIn pins in one repository, which is locked for no longer than that takes.
func (a *App) pinIn(ctx context.Context, h *host, f *forgetter, t target, opt PinOptions) (report *PinReport, err error) {
	v, err := a.openTarget(ctx, t, a.stateDir(), false)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, v.close(ctx)) }()
	if opt.DryRun {
		return f.pinned(ctx, v.repo, opt)
	}
	d, err := a.lockForDeleting(ctx, v, h, opt.Wait)
	if err != nil {
		return nil, err
	}
	locked := d.lock.Context()
	if report, err = f.pinned(locked, v.repo, opt); err != nil {
		return nil, err
	}
	return report, a.changePin(locked, d, f, report)
}

// pinCopy pins the snapshot in a copy, where the copy has it.
func (a *App) pinCopy(ctx context.Context, h *host, f *forgetter, t target, opt PinOptions) PinnedCopy {
	out := PinnedCopy{Name: t.name}
	r, err := a.pinIn(ctx, h, f, t, opt)
	switch {
	case err == nil:
		out.Snapshot, out.Was, out.Changed = r.Snapshot, r.Was, r.Changed
	case errors.Is(err, repository.ErrNoSnapshot), errors.Is(err, repository.ErrNoRepository) && !a.seenCopy(t.name):
		// What is copied later is as it is in the repository.
	default:
		out.Error = a.Redactor().Redact(err.Error())
		do := "pin"
		if opt.Unpin {
			do = "unpin"
		}
		a.Log.Warn().Str("copy", t.name).Msg(fmt.Sprintf("%s keeps its snapshot as it is; later, run \"%s %.8s --from %s\": %s", t.name, do, opt.Snapshot, t.name, out.Error))
	}
	return out
}

// seenCopy says whether this sidecar has ever used a copy.
func (a *App) seenCopy(name string) bool {
	h, err := a.at().History()
	return err != nil || h.Copies[name].Repository != ""
}

// pinned says what is to become of the snapshot.
func (f *forgetter) pinned(ctx context.Context, repo *repository.Repository, opt PinOptions) (*PinReport, error) {
	list, err := f.list(ctx, repo)
	if err != nil {
		return nil, err
	}
	s, err := findAmong(ctx, repo, list, opt.Snapshot)
	if err != nil {
		return nil, err
	}
	if by, ok := replaced(list)[s.ID]; ok { // under another ID nothing would tell that it is damaged
		return nil, fmt.Errorf("snapshot %s is damaged, and was written anew as %s: name that one", s.ID.Short(), by.Short())
	}
	r := &PinReport{
		Snapshot: s.ID.String(), Was: s.ID.String(), Pinned: !opt.Unpin, DryRun: opt.DryRun, Copies: []PinnedCopy{}, first: firstID(s).String(),
		Tags: slices.DeleteFunc(append([]string{}, s.Tags...), func(t string) bool { return t == TagPinned }),
	}
	if r.Pinned {
		r.Tags = append(r.Tags, TagPinned)
	}
	r.Changed = s.HasTag(TagPinned) != r.Pinned
	return r, nil
}

// changePin stores the snapshot with its new tags, unless that has been done,
// and removes what else there is of it.
func (a *App) changePin(ctx context.Context, d *deleting, f *forgetter, r *PinReport) error {
	list, err := f.list(ctx, d.repo)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(list, func(s repository.StoredSnapshot) bool { return s.ID.String() == r.Was })
	if i < 0 {
		return repository.ErrNoSnapshot // it was there a moment ago, under our lock
	}
	var same []repository.StoredSnapshot
	done := false
	for _, s := range list {
		if !sameContent(s, list[i]) {
			continue
		}
		if s.HasTag(TagPinned) == r.Pinned && !done {
			done, r.Snapshot = true, s.ID.String()
			continue
		}
		same = append(same, s)
	}
	if !done {
		id, err := d.deleter.Retag(ctx, d.store.Writer(), list[i].ID, r.Tags)
		if err != nil {
			return err
		}
		r.Snapshot = id.String()
	}
	for _, s := range same {
		err := d.deleter.RemoveSnapshot(ctx, s.ID)
		if errors.Is(err, storage.ErrRetained) {
			// Both count as one snapshot, and doing it again clears up.
			a.Log.Warn().Str("snapshot", s.ID.Short()).Msg("the storage still locks the snapshot as it was before against removal: both are kept")
			continue
		}
		if err != nil {
			return err
		}
	}
	what := "snapshot unpinned"
	if r.Pinned {
		what = "snapshot pinned"
	}
	if r.Changed || len(same) > 0 {
		a.Log.Info().Str("snapshot", r.Snapshot[:8]).Str("was", r.Was[:8]).Msg(what)
	}
	return nil
}
