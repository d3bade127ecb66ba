package sidecar

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/ripplebak/ripplebak/repository"
	"github.com/ripplebak/ripplebak/retention"
)

// keeper decides by the copy's own policy; nil where it has none, or where
// nothing can be removed or snapshots were named. What labels say counts for the
// repository: the copy's policy is the one for all that is in it.
func (c *copying) keeper() *forgetter {
	if c.target.keep.Empty() || len(c.opt.Snapshots) > 0 || c.app.Settings.AppendOnly {
		return nil
	}
	return &forgetter{app: c.app, policy: c.target.keep, project: c.project, known: map[repository.ID]retention.Snapshot{}}
}

// readForCopy reads what snapshots hold, and leaves the policies of labels out.
func (f *forgetter) readForCopy(ctx context.Context, repo *repository.Repository, list []repository.StoredSnapshot) error {
	if err := f.read(ctx, repo, list); err != nil {
		return err
	}
	for _, s := range f.known {
		for i := range s.Items {
			s.Items[i].Policies = nil
		}
	}
	return nil
}

// leaveOut takes those snapshots out of what is wanted that the copy's policy
// would remove at once. Each host's are judged by themselves, other hosts' too:
// nothing is removed by that, and what another host's run has removed from a
// copy must not be copied again by this one. v is nil where there is no copy yet.
func (c *copying) leaveOut(ctx context.Context, v *vault, there []repository.StoredSnapshot, in repository.CopiesIn) error {
	f := c.keeper()
	if f == nil {
		return nil
	}
	missing := slices.DeleteFunc(slices.Clone(c.wanted), func(s repository.StoredSnapshot) bool { _, ok := in.Of(&s); return ok })
	own := slices.DeleteFunc(slices.Clone(there), func(s repository.StoredSnapshot) bool { return !ofProject(&s.Snapshot, c.project) })
	if err := f.readForCopy(ctx, c.from.repo, missing); err != nil {
		return err
	}
	if v != nil {
		if err := f.readForCopy(ctx, v.repo, own); err != nil {
			return err
		}
	}
	all := slices.Concat(own, missing)
	removed := map[string]bool{}
	for _, host := range hostsOf(all) {
		d, err := f.judge(slices.DeleteFunc(slices.Clone(all), func(s repository.StoredSnapshot) bool { return s.Hostname != host }), nil)
		if err != nil {
			return err
		}
		for _, s := range d.Remove {
			removed[s.ID] = true
		}
	}
	c.wanted = slices.DeleteFunc(slices.Clone(c.wanted), func(s repository.StoredSnapshot) bool {
		_, ok := in.Of(&s)
		return !ok && removed[s.ID.String()]
	})
	return nil
}

// retain removes from the copy what its policy does not keep of this host's,
// once it has all that it should have: other hosts have policies of their own.
// The copy's lock is given back for an exclusive one.
func (c *copying) retain(ctx context.Context, v *vault) error {
	f := c.keeper()
	if f == nil {
		return nil
	}
	f.host = c.host.name
	if err := v.release(ctx); err != nil {
		return err
	}
	d, err := c.app.lockForDeleting(ctx, v, c.host, c.opt.Wait)
	if err != nil {
		return fmt.Errorf("old snapshots of the copy are not removed: %w", err)
	}
	ctx = d.lock.Context()
	list, err := f.list(ctx, v.repo)
	if err == nil {
		err = f.readForCopy(ctx, v.repo, list)
	}
	var groups []ForgetGroup
	if err == nil {
		groups, err = f.decide(ctx, v.repo)
	}
	if err != nil {
		return err
	}
	var held []error
	for _, g := range groups {
		for _, why := range g.held {
			held = append(held, errors.New(why))
		}
	}
	if len(held) > 0 {
		return fmt.Errorf("no old snapshot of the copy is removed: %w", errors.Join(held...))
	}
	c.info.Removed, err = c.app.removeSnapshots(ctx, d, removals(groups))
	return err
}
