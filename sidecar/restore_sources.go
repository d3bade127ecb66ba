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
)

// sourceItem is where an item comes from.
type sourceItem struct {
	snapshot *snapshot
	item     manifest.Item
	// node is the volume's directory, or the folder with the dump's files.
	node *repository.Node
	// paths are what is restored of a volume; none: all of it.
	paths []string
}

// chooseSources finds each wanted item. "latest" takes the items of the newest
// manifest, each from the newest snapshot in which it is good; an ID takes
// what that one snapshot holds.
func (r *restore) chooseSources(ctx context.Context) (sources []plan.Source, warnings, problems []string, err error) {
	if r.opt.Rollback {
		sources, warnings, err = r.rollbackSources(ctx)
		return sources, warnings, nil, err
	}
	list, err := r.candidates(ctx)
	if err != nil {
		return nil, nil, nil, err
	}
	newest := list[0].manifest
	if from := projectOf(&list[0].Snapshot, r.host.project); from != r.host.project {
		warnings = append(warnings, fmt.Sprintf("snapshot %s is of project %q, and is restored into project %q", list[0].ID.Short(), from, r.host.project))
	}
	items, _ := plan.Latest(manifestsOf(list))
	for _, want := range items {
		r.app.Redactor().Public(want.Service, want.Name)
		if !r.wanted(want) {
			continue
		}
		src, why := pick(list, want.Key(), r.named(want) || len(r.opt.Paths) > 0)
		if src == nil {
			warnings = append(warnings, fmt.Sprintf("%s is not restored: %s", want.Key(), why))
			if len(r.opt.Paths) == 0 || r.named(want) { // else a path may be in another one
				r.missing = append(r.missing, fmt.Errorf("%s: %s", want.Key(), why))
			}
			continue
		}
		if err := r.locate(ctx, src); err != nil {
			return nil, nil, nil, err
		}
		r.sources[want.Key()] = src
		sources = append(sources, plan.Source{Snapshot: src.snapshot.ID.String(), Time: src.snapshot.Snapshot.Time.In(r.app.Settings.Location), Item: src.item})
	}
	problems = r.notFound(newest.Started, items)
	if len(r.opt.Paths) == 0 {
		warnings = append(warnings, r.lacking(sources)...)
	}
	sources, faults, err := r.narrow(ctx, sources)
	return r.beside(sources), warnings, append(problems, faults...), err
}

func manifestsOf(list []*snapshot) []*manifest.Manifest {
	var out []*manifest.Manifest
	for _, s := range list {
		out = append(out, s.manifest)
	}
	return out
}

// candidates are the snapshots to choose from, newest first, with manifests.
func (r *restore) candidates(ctx context.Context) ([]*snapshot, error) {
	repo, project := r.vault.repo, r.host.project
	if r.opt.Snapshot != "latest" {
		return r.oneCandidate(ctx, r.opt.Snapshot)
	}
	all, err := r.app.projectSnapshots(ctx, repo, project)
	if err == nil {
		all, err = r.app.madeBefore(all, project, r.opt.At)
	}
	if err != nil {
		return nil, err
	}
	var out []*snapshot
	for _, s := range all {
		m, err := r.app.manifestOf(ctx, repo, s, project)
		if err != nil {
			if cause := context.Cause(ctx); cause != nil {
				return nil, cause
			}
			r.app.Log.Warn().Str("snapshot", s.ID.Short()).Msg(r.app.Redactor().Redact(err.Error()))
			continue
		}
		s.manifest = m
		out = append(out, s)
		if complete(out) {
			break
		}
	}
	if len(out) == 0 {
		return nil, r.app.noneOf(ctx, repo, project)
	}
	return out, nil
}

// noneOf says that a project has no snapshot, and which others have: on a new
// machine the folder, after which Compose names a project, is often another.
func (a *App) noneOf(ctx context.Context, repo *repository.Repository, project string) error {
	err := fmt.Errorf("%w: project %q has none in this repository", repository.ErrNoSnapshot, project)
	all, _, lerr := repo.Snapshots(ctx)
	if lerr != nil {
		return errors.Join(err, lerr)
	}
	var others []string
	for _, s := range all {
		if p := projectOf(&s.Snapshot, ""); p != "" && p != project && !slices.Contains(others, p) {
			others = append(others, p)
		}
	}
	if len(others) == 0 {
		return err
	}
	slices.Sort(others)
	return fmt.Errorf("%w, which has some of %s: give this project that name (name: in the compose file), or name a snapshot by the ID that \"snapshots --all\" shows", err, strings.Join(others[:min(len(others), 5)], ", "))
}

// complete says whether every item of the newest manifest is good in one of
// the snapshots, so that older ones need not be read.
func complete(list []*snapshot) bool {
	items, open := plan.Latest(manifestsOf(list))
	for _, want := range items {
		if src, _ := pick(list, want.Key(), false); src == nil {
			return false
		}
	}
	return !open
}

func (r *restore) oneCandidate(ctx context.Context, prefix string) ([]*snapshot, error) {
	repo := r.vault.repo
	id, err := repo.FindSnapshot(ctx, prefix)
	if err != nil {
		return nil, err
	}
	sn, err := repo.LoadSnapshot(ctx, id)
	if err != nil {
		return nil, err
	}
	s := &snapshot{StoredSnapshot: repository.StoredSnapshot{ID: id, Snapshot: *sn}}
	if s.manifest, err = r.app.manifestOf(ctx, repo, s, r.host.project); err != nil {
		return nil, fmt.Errorf("snapshot %s: %w", id.Short(), err)
	}
	return []*snapshot{s}, nil
}

// manifestOf reads a snapshot's manifest. For one that stock restic wrote, of
// folders laid out as ours, it is made from the folders.
func (a *App) manifestOf(ctx context.Context, repo *repository.Repository, s *snapshot, project string) (*manifest.Manifest, error) {
	if s.manifest != nil {
		return s.manifest, nil
	}
	name := projectOf(&s.Snapshot, project)
	m, err := loadManifest(ctx, repo, &s.Snapshot, name)
	if errors.Is(err, errNoManifest) {
		return manifestFromFolders(ctx, repo, &s.Snapshot, name)
	}
	return m, err
}

// projectOf is the project that a snapshot says it is of.
func projectOf(s *repository.Snapshot, otherwise string) string {
	for _, t := range s.Tags {
		if p, ok := strings.CutPrefix(t, TagProject); ok {
			return p
		}
	}
	return otherwise
}

// manifestFromFolders describes the volumes of a snapshot without a manifest.
// Dumps are left out: what it takes to restore one is not known.
func manifestFromFolders(ctx context.Context, repo *repository.Repository, s *repository.Snapshot, project string) (*manifest.Manifest, error) {
	if s.Tree == nil {
		return nil, errNoManifest
	}
	node, err := repo.Resolve(ctx, *s.Tree, manifest.Escape(project), manifest.VolumesDir)
	if err != nil || node.Subtree == nil {
		return nil, fmt.Errorf("%w and no folder /%s/%s", errNoManifest, project, manifest.VolumesDir)
	}
	tree, err := repo.LoadTree(ctx, *node.Subtree)
	if err != nil {
		return nil, err
	}
	m := &manifest.Manifest{Format: manifest.Format, Project: project, Host: s.Hostname, Started: s.Time, Program: s.ProgramVersion}
	for _, n := range tree.Nodes {
		if n.Type == "dir" {
			m.Items = append(m.Items, manifest.Item{
				Kind: manifest.Volume, Name: manifest.Unescape(n.Name), State: manifest.Good,
				VolumeInfo: &manifest.VolumeInfo{DockerName: project + "_" + manifest.Unescape(n.Name)},
			})
		}
	}
	return m, nil
}

// pick finds the newest snapshot in which the item is good. A partial one is
// taken only when the item was named.
func pick(list []*snapshot, key string, named bool) (*sourceItem, string) {
	why := "it is in no snapshot"
	for _, s := range list {
		it, ok := s.manifest.Find(key)
		if !ok {
			continue
		}
		switch {
		case it.State == manifest.Good, it.State == manifest.Partial && named:
			return &sourceItem{snapshot: s, item: it}, ""
		case it.State == manifest.Partial:
			why = "some of its files could not be read; name it to restore it all the same"
		case it.State == manifest.Failed:
			why = "it is good in none of the snapshots, the newest of which says: " + it.Error
		}
	}
	return nil, why
}

// wanted says whether the options choose the item.
func (r *restore) wanted(it manifest.Item) bool {
	o := r.opt
	if !r.pathsOnly(it) {
		return false
	}
	if it.Kind == manifest.Config && o.ToDir == "" && o.Bootstrap == "" {
		return false // people edit these files: they are given back, and never overwritten
	}
	if ofHost(it) && o.ToDir == "" {
		return r.named(it) // the host's own files are not those of another host
	}
	return len(o.Services)+len(o.Volumes)+len(o.Databases) == 0 || r.named(it)
}

// ofHost says whether the item is a path of the host that the settings name.
func ofHost(it manifest.Item) bool {
	return it.Kind == manifest.Bind && it.Service == manifest.HostService
}

// named says whether the item was asked for by a name. A path of the host is not
// by that of a service which mounts something of it.
func (r *restore) named(it manifest.Item) bool {
	o := r.opt
	if ofHost(it) {
		return slices.Contains(o.Services, manifest.HostService)
	}
	switch it.Kind {
	case manifest.Volume:
		return slices.Contains(o.Volumes, it.Name) || it.VolumeInfo != nil && slices.ContainsFunc(it.VolumeInfo.UsedBy, func(s string) bool { return slices.Contains(o.Services, s) })
	case manifest.Dump:
		if it.Name == "" { // a database is owned by roles
			return slices.Contains(o.Services, it.Service) || slices.ContainsFunc(o.Databases, func(d string) bool { return strings.HasPrefix(d, it.Service+"/") })
		}
		return slices.Contains(o.Services, it.Service) || slices.Contains(o.Databases, it.Service+"/"+it.Name)
	}
	return slices.Contains(o.Services, it.Service) ||
		it.VolumeInfo != nil && slices.ContainsFunc(it.VolumeInfo.UsedBy, func(s string) bool { return slices.Contains(o.Services, s) })
}

// notFound lists names that chose nothing.
func (r *restore) notFound(at time.Time, items []manifest.Item) []string {
	var out []string
	check := func(what string, names []string, has func(manifest.Item, string) bool) {
		for _, n := range names {
			if !slices.ContainsFunc(items, func(i manifest.Item) bool { return has(i, n) }) {
				out = append(out, fmt.Sprintf("the snapshot of %s has no %s %q", at.Format(time.RFC3339), what, n))
			}
		}
	}
	check("volume", r.opt.Volumes, func(i manifest.Item, n string) bool { return i.Kind == manifest.Volume && i.Name == n })
	check("database", r.opt.Databases, func(i manifest.Item, n string) bool { return i.Kind == manifest.Dump && i.Service+"/"+i.Name == n })
	check("item of service", r.opt.Services, func(i manifest.Item, n string) bool {
		return i.Service == n || !ofHost(i) && i.VolumeInfo != nil && slices.Contains(i.VolumeInfo.UsedBy, n)
	})
	return out
}

// locate finds the item's folder in its snapshot.
func (r *restore) locate(ctx context.Context, src *sourceItem) error {
	s := &src.snapshot.Snapshot
	path := append([]string{manifest.Escape(projectOf(s, r.host.project))}, src.item.Path()...)
	node, err := r.vault.repo.Resolve(ctx, *s.Tree, path...)
	if err != nil {
		return fmt.Errorf("%s in snapshot %s: %w", src.item.Key(), src.snapshot.ID.Short(), err)
	}
	if node.Subtree == nil {
		return fmt.Errorf("%s in snapshot %s is no folder", src.item.Key(), src.snapshot.ID.Short())
	}
	src.node = node
	return nil
}
