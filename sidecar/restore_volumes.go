package sidecar

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/ripplebak/ripplebak/archive"
	"github.com/ripplebak/ripplebak/compose"
	"github.com/ripplebak/ripplebak/docker"
	"github.com/ripplebak/ripplebak/manifest"
	"github.com/ripplebak/ripplebak/plan"
	"github.com/ripplebak/ripplebak/sidecar/state"
	"github.com/ripplebak/ripplebak/volume"
)

// createVolume makes a missing volume, with Compose's own labels so that
// Compose adopts it.
func (r *restore) createVolume(ctx context.Context, op plan.RestoreOperation) error {
	it, _ := r.plan.Item(op.Items[0])
	spec := it.Volume.Spec
	return r.host.engine.CreateVolume(ctx, docker.Volume{Name: spec.Name, Driver: spec.Driver, Options: spec.Options, Labels: spec.Labels})
}

// fillVolume brings a volume to the state of the snapshot. The volume's own
// journal makes it old or new, whole, whenever we die.
func (r *restore) fillVolume(ctx context.Context, op plan.RestoreOperation) error {
	key := op.Items[0]
	item, end := r.item(key)
	err := r.fill(ctx, key, item)
	end(err)
	switch cause := context.Cause(ctx); {
	case err == nil:
		return nil
	case cause != nil:
		return cause
	case r.torn():
		return err
	}
	return nil
}

// torn says whether a volume is neither old nor new as a whole, which its
// journal has to settle first. Until then nothing may be started upon it.
func (r *restore) torn() bool {
	return slices.ContainsFunc(r.journal.Volumes, func(v state.VolumeRestore) bool { return !v.Held })
}

func (r *restore) fill(ctx context.Context, key string, out *RestoredItem) (err error) {
	it, _ := r.plan.Item(key)
	src := r.sources[key]
	entry := state.VolumeRestore{ID: r.id, Key: it.Key, Docker: it.Volume.Place(), NoStop: r.plan.NoStop}
	if it.Volume.Dir != "" {
		entry.File = it.Volume.Docker
	}
	if !r.plan.NoStop {
		if err := r.unused(ctx, it.Volume.Docker); err != nil {
			return err
		}
	}
	if it.Volume.Dir != "" && slices.Contains(r.own, it.Volume.Docker) {
		out.Notes = append(out.Notes, it.Volume.Docker+" is one of the project's own files, and came back with these")
		return nil
	}
	empty, err := r.mustBeEmpty(it)
	if err != nil {
		return err
	}
	if err := r.noteItemBegun(key); err != nil {
		return err
	}
	r.journal.Volumes = append(r.journal.Volumes, entry)
	if err := r.host.state.WriteJournal(&r.journal); err != nil {
		r.forgetVolume() // nothing was begun
		return err
	}
	c, closeHelper, err := r.takeHelper(ctx, it.Volume.Place())
	if err != nil {
		r.volumeDone()
		return err
	}
	defer func() {
		if err := closeHelper(); err != nil {
			out.Notes = append(out.Notes, r.app.Redactor().Redact(err.Error()))
		}
	}()
	req := r.restoreRequest(src)
	req.Root = c.mountPoint(0)
	// One that was made just now may be a directory of this host or of a server,
	// by its options, and what that holds is in no safety snapshot.
	req.MustBeEmpty = empty
	for _, own := range r.own {
		if below, ok := strings.CutPrefix(own, it.Volume.Docker+"/"); ok && it.Kind == manifest.Bind {
			req.Kept = append(req.Kept, below)
		}
	}
	req.Protected = slices.Concat(req.Protected, it.Volume.Protect)
	report, err := archive.Restore(ctx, r.vault.repo, src.node, c.peer, req)
	switch {
	case !errors.Is(err, volume.ErrOccupied) || it.NewName != "":
	case r.opt.Bootstrap != "":
		err = fmt.Errorf("%w, and what is in %s is not written over: move it away, or remove it if nobody needs it", err, it.Volume.Docker)
	default:
		err = fmt.Errorf("%w: what it holds was there before the volume was made for this restore, and is not saved: restore again, which saves it first", err)
	}
	if err != nil {
		return r.settleVolume(ctx, c, entry, out, err)
	}
	took(out, report)
	if info := src.item.VolumeInfo; manyUnreadable(info) {
		out.Notes = append(out.Notes, fmt.Sprintf("nothing was removed: %d files could not be read when it was saved, and it is not known of all which", info.UnreadableCount))
	}
	r.volumeDone()
	return nil
}

// mustBeEmpty says whether an item may only go where nothing is. A bootstrap saves
// nothing before: also a volume that an earlier run of it has made may hold what
// somebody has written since. Of a file's directory it is only the file that counts.
func (r *restore) mustBeEmpty(it plan.RestoreItem) (bool, error) {
	if r.opt.Bootstrap == "" || it.Volume.Dir == "" {
		return it.NewName != "" || it.Volume.Create || r.opt.Bootstrap != "", nil
	}
	if !it.Volume.New {
		return false, fmt.Errorf("%s is there already, and is not written over: move it away", it.Volume.Docker)
	}
	return false, nil
}

// unused refuses a volume that somebody uses who was not there when the restore
// was planned, or who was started since.
func (r *restore) unused(ctx context.Context, volume string) error {
	users, err := r.host.engine.VolumeUsers(ctx, volume)
	if err != nil {
		return err
	}
	for _, c := range users {
		_, helper := c.Labels[compose.LabelHelper]
		if c.Running && !helper && c.ID != r.host.selfID() && c.Labels[compose.LabelSidecar] != "true" {
			return fmt.Errorf("container %s uses it, and was started while the restore was under way: stop it and restore again", c.Name)
		}
	}
	return nil
}

// manyUnreadable says whether more files could not be read than the manifest
// names, or names that are no UTF-8, which it cannot hold. What it does not name
// cannot be told from what is extra.
func manyUnreadable(info *manifest.VolumeInfo) bool {
	return info.UnreadableCount > int64(len(info.Unreadable)) ||
		slices.ContainsFunc(info.Unreadable, func(p string) bool { return strings.ContainsRune(p, utf8.RuneError) })
}

// restoreRequest says what the manifest knows of the volume; where it is, the
// helper says.
func (r *restore) restoreRequest(src *sourceItem) volume.RestoreRequest {
	info := src.item.VolumeInfo
	if info == nil { // the project's own files, into a directory
		info = &manifest.VolumeInfo{}
	}
	key, only := src.item.Key(), src.paths
	if only == nil {
		only = plan.WholePaths(src.item)
	}
	return volume.RestoreRequest{
		ID: r.id, KeepExtra: r.opt.KeepExtra || manyUnreadable(info), Only: only, VerifyAll: r.opt.VerifyAll,
		Protected: info.Exclude, ProtectedPaths: info.Unreadable,
		TrustBefore: volume.Time{Sec: info.WalkStartedSec, Nsec: info.WalkStartedNsec},
		Progress: func(p volume.RestoreProgress) {
			r.app.progress().Advance(key, p.Listed, p.Fetched)
			if p.Fetched > 0 {
				r.app.crash("mid-restore")
			}
		},
	}
}

// settleVolume makes a volume whole again whose restore has failed: old, or new
// where the volume's own journal had been decided before. If the helper is the
// one that failed, another one does it.
func (r *restore) settleVolume(ctx context.Context, c *helper, entry state.VolumeRestore, out *RestoredItem, failed error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*helperStart)
	defer cancel()
	outcome, err := c.peer.Recover(ctx, c.mountPoint(0), r.id)
	if err != nil {
		outcome, err = r.app.recoverVolume(ctx, r.host, r.listener, entry, false)
	}
	if err != nil {
		return fmt.Errorf("%w; until then what was stopped stays so: %w", errUnsettled, errors.Join(failed, err))
	}
	if outcome == volume.RolledForward {
		out.Notes = append(out.Notes, "was interrupted and then finished: "+r.app.Redactor().Redact(failed.Error()))
		failed = nil
	}
	r.volumeDone()
	return failed
}

// volumeDone notes that the volume that was begun last is whole.
func (r *restore) volumeDone() {
	r.forgetVolume()
	r.noteLess()
}

func (r *restore) forgetVolume() {
	r.journal.Volumes = r.journal.Volumes[:len(r.journal.Volumes)-1]
}
