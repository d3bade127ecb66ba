package sidecar

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ripplebak/ripplebak/repository"
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
}

// Pin pins a snapshot of the project, so that no policy removes it, or unpins
// it. As with restic's tag, the snapshot is stored anew with the other tag, its
// first ID noted in it, and then the old one removed; the first ID goes on
// naming it. Where this was killed, both are there, and doing it again clears
// up.
func (a *App) Pin(ctx context.Context, opt PinOptions) (report *PinReport, err error) {
	h, project, err := a.aroundProject(ctx)
	if err != nil {
		return nil, err
	}
	if h != nil {
		defer func() { err = errors.Join(err, h.engine.Close()) }()
	}
	v, err := a.openVault(ctx, a.stateDir(), false)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, v.close(ctx)) }()
	f := &forgetter{app: a, project: project}
	if opt.DryRun {
		return f.pinned(ctx, v.repo, opt)
	}
	d, err := a.lockForDeleting(ctx, v, h, opt.Wait)
	if err != nil {
		return nil, err
	}
	ctx = d.lock.Context()
	if report, err = f.pinned(ctx, v.repo, opt); err != nil {
		return nil, err
	}
	return report, a.changePin(ctx, d, f, report)
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
		Snapshot: s.ID.String(), Was: s.ID.String(), Pinned: !opt.Unpin, DryRun: opt.DryRun,
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
		if err := d.deleter.RemoveSnapshot(ctx, s.ID); err != nil {
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
