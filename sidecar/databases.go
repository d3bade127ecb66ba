package sidecar

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ripplebak/ripplebak/compose"
	"github.com/ripplebak/ripplebak/dump"
	"github.com/ripplebak/ripplebak/labels"
	"github.com/ripplebak/ripplebak/plan"
	"github.com/ripplebak/ripplebak/repository"
	"github.com/ripplebak/ripplebak/volume"
)

// findTime bounds how long it may take to look for databases in the volumes of
// one service.
const findTime = 5 * time.Minute

// errNoReach says that databases in volumes are out of reach; the plan says
// what to add.
var errNoReach = errors.New("the containers that read volumes cannot reach this one")

// probeFiles looks for the databases in a service's volumes. Nothing of it
// needs the service to run.
func (a *App) probeFiles(ctx context.Context, h *host, d *discovery, engine dump.VolumeEngine, spec labels.Spec) plan.Probe {
	req := dump.Request{Service: spec.Service, Databases: spec.Dump.Databases, Paths: spec.Dump.Paths}
	s, _ := d.project.Service(spec.Service)
	mounts := volumeMounts(s)
	p := plan.Probe{}
	if len(s.Containers) > 0 {
		p.Container = s.Containers[0].ID
	}
	if p.Err = engine.Check(req); p.Err != nil {
		return p
	}
	exclude := map[string][]string{}
	if req.Paths == nil { // what a label names is meant
		for _, m := range mounts {
			exclude[m.Volume] = append(append([]string{}, spec.Exclude...), d.volumeSpecs[m.Volume].Exclude...)
		}
	}
	found, err := a.findDatabases(ctx, h, d.project, engine.Seek(req, mounts), exclude)
	if err != nil {
		p.Err = fmt.Errorf("look for the databases of service %q: %w", spec.Service, err)
		return p
	}
	p.Facts = engine.Found(req, mounts, found)
	if len(p.Facts.Databases) == 0 && len(p.Facts.Absent) == 0 {
		p.Err = fmt.Errorf("the volumes of service %q hold no database of %s", spec.Service, engine.Name())
	}
	a.Redactor().Public(factNames(p.Facts)...)
	return p
}

func volumeMounts(s compose.Service) []dump.Mount {
	var out []dump.Mount
	for _, m := range s.Mounts {
		if m.Kind == compose.KindVolume && m.Volume != "" {
			out = append(out, dump.Mount{Volume: m.Volume, Target: m.Target})
		}
	}
	return out
}

// findDatabases looks into volumes that are there, with one helper that can
// only read.
func (a *App) findDatabases(ctx context.Context, h *host, project compose.Project, searches []dump.Search, exclude map[string][]string) (found []dump.FoundFile, err error) {
	var names []string
	var there []dump.Search
	for _, s := range searches {
		if v, ok := project.Volume(s.Volume); ok && v.Exists {
			names, there = append(names, v.Name), append(there, s)
		}
	}
	if len(there) == 0 {
		return nil, nil
	}
	if !h.hasSocket() {
		return nil, errNoReach
	}
	ctx, cancel := context.WithTimeoutCause(ctx, findTime, fmt.Errorf("it took more than %s: name the files by ripplebak.dump.path", findTime))
	defer cancel()
	l, err := volume.Listen(a.Settings.RunDir)
	if err != nil {
		return nil, err
	}
	defer l.Close()
	c, err := a.startHelper(ctx, h, l, newRunID(), names, false)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, c.close(ctx)) }()
	for i, s := range there {
		in, err := c.peer.FindDatabases(ctx, c.mountPoint(i), s.Within, exclude[s.Volume])
		if err != nil {
			return nil, fmt.Errorf("volume %s: %w", s.Volume, err)
		}
		if in.More {
			return nil, fmt.Errorf("volume %s holds more than %d of them: name those to be dumped by ripplebak.dump.path", s.Volume, len(in.Files))
		}
		if in.Odd > 0 {
			a.Log.Warn().Str("volume", s.Volume).Int("files", in.Odd).Msg("databases whose names hold control characters or are not UTF-8 are saved with the volume, not as dumps")
		}
		for _, f := range in.Files {
			found = append(found, dump.FoundFile{Volume: s.Volume, Path: f.Path, Size: f.Size, Owner: dump.Owner{UID: f.UID, GID: f.GID, Mode: f.Mode}})
		}
	}
	return found, nil
}

// copier is the helper that copies the databases of one volume.
type copier struct {
	volume string // Docker's name
	helper *helper
}

// scratchDir is where it has disk space of its own.
const scratchDir = "/scratch"

// copierOf gives the helper for a volume: the one of the dump before, where
// that was of the same.
func (r *run) copierOf(ctx context.Context, name string) (*helper, error) {
	if r.copier != nil && r.copier.volume == name {
		return r.copier.helper, nil
	}
	r.endCopier(ctx)
	if r.listener == nil {
		return nil, errNoReach
	}
	c, err := r.app.startHelperAs(ctx, r.host, r.listener, r.id, []string{name}, toCopy)
	if err != nil {
		return nil, err
	}
	r.copier = &copier{volume: name, helper: c}
	return c, nil
}

// endCopier ends the helper that copies, while the run goes on.
func (r *run) endCopier(ctx context.Context) {
	c := r.copier
	if c == nil {
		return
	}
	r.copier = nil
	r.removing.Go(func() {
		if err := c.helper.close(context.WithoutCancel(ctx)); err != nil {
			r.warn("a helper could not be removed, the next run tries it again: %v", err)
		}
	})
}

// copyFile has a helper copy a database, and stores the copy if it is whole.
func (r *run) copyFile(ctx context.Context, it plan.Item, f dump.File) (_ *repository.Node, err error) {
	v, ok := r.found.project.Volume(f.Copy.Volume)
	if !ok {
		return nil, fmt.Errorf("service %q: volume %s is gone", it.Service, f.Copy.Volume)
	}
	limit := r.app.Settings.Deadline
	if limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, limit, fmt.Errorf("the copy took more than %s (RIPPLEBAK_DEADLINE)", limit))
		defer cancel()
	}
	c, err := r.copierOf(ctx, v.Name)
	if err != nil {
		return nil, err
	}
	copied, err := c.peer.CopyDatabase(ctx, c.mountPoint(0), f.Copy.Path, c.scratch(), r.app.Settings.Stall)
	if err != nil {
		r.endCopier(ctx) // whatever it is still doing
		return nil, fmt.Errorf("service %q: /%s: %w", it.Service, it.Name, err)
	}
	defer func() { err = errors.Join(err, copied.Close()) }()
	if p := copied.Info.Problem; p != "" {
		return nil, fmt.Errorf("service %q: /%s is damaged: %s; look at it with \"sqlite3 FILE .recover\", or bring it back from an earlier snapshot", it.Service, it.Name, p)
	}
	for _, table := range copied.Info.Unchecked {
		r.warnItem(it.Key, fmt.Sprintf("table %q takes what only its own program has, and could not be checked in full", table))
	}
	if row := copied.Info.Loose; row != "" {
		r.warnItem(it.Key, "it has rows that its own rules forbid, and is saved as it is: "+row)
	}
	// Pages change in place, so that pages are stored once.
	file := r.writer.NewFile(repository.CutPages)
	proof := f.NewProof()
	if err := r.copyDump(copied, file, proof, it.Key); err != nil {
		file.Abandon()
		return nil, fmt.Errorf("service %q: /%s: %w", it.Service, it.Name, err)
	}
	if err := proof.Finish(); err != nil {
		file.Abandon()
		return nil, fmt.Errorf("service %q: /%s: %w", it.Service, it.Name, err)
	}
	ids, size, err := file.Finish().Wait(ctx)
	if err != nil {
		return nil, err
	}
	return r.fileNode(f.Name, ids, size), nil
}

// warnItem adds a warning to an item.
func (r *run) warnItem(key, text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	res := r.results[key]
	res.item.Warnings = append(res.item.Warnings, r.app.Redactor().Redact(text))
}

// isGood says whether an item has been saved whole.
func (r *run) isGood(key string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	res := r.results[key]
	return res != nil && res.done && len(res.nodes) > 0 && res.item.Error == ""
}
