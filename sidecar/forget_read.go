package sidecar

import (
	"context"
	"errors"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/ripplebak/ripplebak/manifest"
	"github.com/ripplebak/ripplebak/repository"
	"github.com/ripplebak/ripplebak/retention"
)

// manifestReaders is how many manifests are read at a time.
const manifestReaders = 8

// read finds out what the snapshots hold, of those where it is not known. The
// index is brought up to date for them. Those that a repair has written anew
// are marked.
func (f *forgetter) read(ctx context.Context, repo *repository.Repository, list []repository.StoredSnapshot) error {
	f.markReplaced(list)
	unknown := slices.DeleteFunc(slices.Clone(list), func(s repository.StoredSnapshot) bool { _, ok := f.known[s.ID]; return ok })
	if err := f.readAll(ctx, repo, unknown); err != nil {
		return err
	}
	f.markStandIns(list)
	return nil
}

// readAll reads the manifests of snapshots of which nothing is known yet.
func (f *forgetter) readAll(ctx context.Context, repo *repository.Repository, list []repository.StoredSnapshot) error {
	if len(list) == 0 {
		return nil
	}
	if err := repo.LoadIndex(ctx); err != nil {
		return err
	}
	states := make([]retention.Snapshot, len(list))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(manifestReaders)
	for i, s := range list {
		g.Go(func() error {
			states[i] = f.readOne(ctx, repo, s)
			return context.Cause(ctx)
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for i, s := range list {
		f.known[s.ID] = states[i]
	}
	return nil
}

// markReplaced marks the damaged snapshots that were written anew, whatever was
// known of them before: their manifests still say that every item is good.
func (f *forgetter) markReplaced(list []repository.StoredSnapshot) {
	instead := replaced(list)
	for _, s := range list {
		if by, ok := instead[s.ID]; ok {
			st := described(s)
			st.Unreadable = "it is damaged, and was written anew as " + by.Short()
			f.known[s.ID] = st
		}
	}
}

// markStandIns marks what was written in place of snapshots that are still
// there: it stays with them, for it alone tells that they are damaged.
func (f *forgetter) markStandIns(list []repository.StoredSnapshot) {
	instead := replaced(list)
	for _, s := range list {
		if by, ok := instead[s.ID]; ok {
			st := f.known[by]
			st.StandsFor = s.ID.String()
			f.known[by] = st
		}
	}
}

// readOne finds out what a snapshot holds. One of which nobody can tell, for
// whatever reason, is kept, and its absence from the count keeps others.
func (f *forgetter) readOne(ctx context.Context, repo *repository.Repository, s repository.StoredSnapshot) retention.Snapshot {
	out := described(s)
	m, err := f.app.manifestOf(ctx, repo, &snapshot{StoredSnapshot: s}, f.project)
	switch {
	case errors.Is(err, errNoManifest):
	case err != nil:
		out.Unreadable = "it cannot be read: " + f.app.Redactor().Redact(err.Error())
	default:
		out.Incomplete = out.Incomplete || !m.Complete()
		out.Part, out.Schedules = m.Part(), retainedSchedules(m.Schedules)
		out.Items = retainedItems(m)
	}
	return out
}

// described is a snapshot by what its own file says.
func described(s repository.StoredSnapshot) retention.Snapshot {
	out := retention.Snapshot{
		ID: s.ID.String(), Time: s.Time, Incomplete: s.HasTag(TagIncomplete), Safety: s.HasTag(TagSafety), Pinned: s.HasTag(TagPinned),
	}
	if s.Original != nil {
		out.Was = s.Original.String()
	}
	if s.Parent != nil {
		out.Parent = s.Parent.String()
	}
	return out
}

// retainedItems are a manifest's items as retention sees them.
func retainedItems(m *manifest.Manifest) []retention.Item {
	out := []retention.Item{}
	for _, it := range m.Items {
		r := retention.Item{Key: it.Key(), Schedules: retainedSchedules(it.Schedules)}
		switch it.State {
		case manifest.Good:
			r.State = retention.Good
		case manifest.Partial:
			r.State = retention.Partial
		}
		for _, text := range it.Keep {
			r.Policies = append(r.Policies, storedPolicy(text))
		}
		out = append(out, r)
	}
	return out
}

// retainedSchedules are a manifest's schedules as retention sees them.
func retainedSchedules(list []string) (out []string) {
	for _, s := range list {
		if s == manifest.DefaultSchedule {
			s = ""
		}
		out = append(out, s)
	}
	return out
}

// storedPolicy reads a policy of a manifest. One that this version does not
// understand, as a newer one may have stored it, keeps everything.
func storedPolicy(text string) retention.Policy {
	if text == manifest.DefaultPolicy {
		return retention.Policy{}
	}
	if p, err := retention.Parse(text); err == nil {
		return p
	}
	return retention.KeepAll()
}
