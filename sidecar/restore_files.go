package sidecar

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ripplebak/ripplebak/archive"
	"github.com/ripplebak/ripplebak/delay"
	"github.com/ripplebak/ripplebak/dump"
	"github.com/ripplebak/ripplebak/plan"
	"github.com/ripplebak/ripplebak/sidecar/state"
	"github.com/ripplebak/ripplebak/volume"
)

// placedDump is a dump that lies in the place of a server's files, which are
// held aside until it is known whether the server comes up with it.
type placedDump struct {
	entries []state.VolumeRestore // one for each volume
	out     *RestoredItem
	end     func(error)
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
	r.provenDump(key, out)
	p := &placedDump{out: out, end: end}
	it, _ := r.plan.Item(key)
	var err error
	for _, f := range it.Placed {
		var entry state.VolumeRestore
		if entry, err = r.hold(ctx, it, f, out); err != nil {
			break
		}
		p.entries = append(p.entries, entry)
	}
	if err == nil && len(it.Load) == 0 {
		err = r.nowHeld(p)
	}
	if err == nil {
		r.app.crash("after-place")
		r.placed[key] = p
		return nil
	}
	switch {
	case len(p.entries) == 0:
	case it.Alone():
		err = r.takeAloneBack(ctx, p, err)
	default:
		err = r.takeBack(ctx, op.Service, p, err)
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

// hold exchanges the files of one volume. Until the journal says that they are
// held, nothing runs upon the volume, and a recovery only has to look at it.
func (r *restore) hold(ctx context.Context, it plan.RestoreItem, f plan.RestoreFiles, out *RestoredItem) (entry state.VolumeRestore, err error) {
	entry = state.VolumeRestore{ID: r.id, Key: it.Key, Docker: f.Docker}
	if _, ran := r.plan.Stops(it.Service); ran && !f.Alone {
		entry.Service = it.Service
	}
	if err := r.unused(ctx, entry.Docker); err != nil {
		return entry, err
	}
	if err := r.noteItemBegun(it.Key); err != nil {
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
	if err := r.fillFiles(ctx, it, f, c, out); err != nil {
		return entry, r.settleVolume(ctx, c, entry, out, err)
	}
	return entry, nil
}

// nowHeld notes that all of the new data is in, so that the server may run upon
// it.
func (r *restore) nowHeld(p *placedDump) error {
	for i, v := range r.journal.Volumes {
		if p.has(v) {
			r.journal.Volumes[i].Held = true
		}
	}
	err := r.host.state.WriteJournal(&r.journal)
	for i, v := range r.journal.Volumes {
		if p.has(v) && err != nil {
			r.journal.Volumes[i].Held = false
		}
	}
	return err
}

// has says whether a volume of the journal is one of the dump's.
func (p *placedDump) has(v state.VolumeRestore) bool {
	return slices.ContainsFunc(p.entries, func(e state.VolumeRestore) bool { return e.ID == v.ID && e.Docker == v.Docker })
}

func (r *restore) fillFiles(ctx context.Context, it plan.RestoreItem, f plan.RestoreFiles, c *helper, out *RestoredItem) error {
	src := r.sources[it.Key]
	var files []archive.File
	for _, path := range f.Place {
		node, err := r.vault.repo.Resolve(ctx, *src.node.Subtree, dumpFileOf(src.item, dump.RoleDatabase))
		if err != nil {
			return err
		}
		file := archive.File{Path: path, Node: node}
		if o := f.Owner; o != nil {
			file.Owner = &archive.Owner{UID: o.UID, GID: o.GID, Mode: o.Mode}
		}
		files = append(files, file)
	}
	var empty []string
	for _, dir := range f.Empty {
		empty = append(empty, strings.TrimPrefix(dir, "."))
	}
	report, err := archive.RestoreFiles(ctx, r.vault.repo, files, c.peer, volume.RestoreRequest{
		Root: c.mountPoint(0), ID: r.id, Remove: f.Remove, Empty: empty, Hold: true,
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

// makeFiles has a double of the server's container make the server's files of
// the dump, in directories that are empty by now.
func (r *restore) makeFiles(ctx context.Context, op plan.RestoreOperation) error {
	key := op.Items[0]
	p := r.placed[key]
	if p == nil {
		return nil // it has failed before
	}
	err := r.runLoad(ctx, op.Service, key, p.out)
	if err == nil {
		err = r.nowHeld(p)
	}
	if err == nil {
		return nil
	}
	err = r.takeBack(ctx, op.Service, p, err)
	delete(r.placed, key)
	p.end(err)
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	if err != nil && r.torn() {
		return err
	}
	return nil
}

func (r *restore) runLoad(ctx context.Context, service, key string, out *RestoredItem) (err error) {
	engine, ok := r.engineOf(service)
	if !ok {
		return fmt.Errorf("service %q has no engine in the manifest", service)
	}
	cs, err := r.host.containersOf(ctx, service)
	if err == nil && len(cs) == 0 {
		err = fmt.Errorf("service %q has no container", service)
	}
	if err != nil {
		return err
	}
	d, err := r.app.startDouble(ctx, r.host, r.id, engine, cs[0].ID)
	if err != nil {
		return err
	}
	it, _ := r.plan.Item(key)
	err = r.runSteps(ctx, r.sources[key], engine, d.id, it.Load, out)
	// It must be gone before anything else is done with the volumes.
	return errors.Join(err, d.close(ctx))
}

// confirmDump looks whether the server has come up with the dump. If so its old
// files go, else they come back.
func (r *restore) confirmDump(ctx context.Context, op plan.RestoreOperation) error {
	key := op.Items[0]
	if it, _ := r.plan.Item(key); it.Alone() {
		return r.confirmAlone(ctx, key)
	}
	p := r.placed[key]
	if p == nil {
		return nil // it has failed before
	}
	err := r.dead[op.Service]
	if err == nil {
		r.app.crash("before-confirm")
		if err = r.came(ctx, op.Service, key, p.out); err == nil {
			p.out.Verified = append(p.out.Verified, "the server has come up with what the dump holds")
		}
	}
	if err == nil {
		err = r.keep(ctx, p)
	}
	if err != nil && !errors.Is(err, errUnsettled) {
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
	_, dumped, err := dumpedFacts(r.sources[key].item)
	if err != nil {
		return err
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
			if notes, err = files.Came(r.proofs[key], dumped, facts); !errors.Is(err, dump.ErrLoading) {
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

var errInterrupted = errors.New("the restore was broken off")
