package sidecar

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/ripplebak/ripplebak/dump"
	"github.com/ripplebak/ripplebak/manifest"
	"github.com/ripplebak/ripplebak/repository"
)

// exportSource is what is exported.
type exportSource struct {
	snapshot *snapshot
	name     string // the item's key, or the path; "" for all
	whole    bool
	node     *repository.Node
	bytes    int64 // with holes
	notGood  []string
}

func (s *exportSource) format() string {
	if s.node.Subtree != nil {
		return formatTar
	}
	return formatFile
}

// exportSource finds what is to be exported. An item of "latest" comes from
// the newest snapshot in which it is good.
func (a *App) exportSource(ctx context.Context, repo *repository.Repository, opt ExportOptions) (*exportSource, error) {
	if opt.Item == "" {
		return a.exportWhole(ctx, repo, opt.Snapshot)
	}
	list, err := a.exportCandidates(ctx, repo, opt.Snapshot)
	if err != nil {
		return nil, err
	}
	why := ""
	for i, s := range list {
		it, err := a.itemNamed(ctx, repo, s, opt.Item)
		if err != nil {
			return nil, err
		}
		if it == nil {
			continue
		}
		if it.State != manifest.Good && (it.State != manifest.Partial || opt.Snapshot == "latest") {
			if why == "" {
				why = fmt.Sprintf("in snapshot %s %s is %s", s.ID.Short(), it.Key(), it.State)
			}
			continue
		}
		if i > 0 {
			a.Log.Warn().Str("item", it.Key()).Msgf("it is exported from snapshot %s of %s: in newer ones it is not good", s.ID.Short(), s.Time.Format("2006-01-02 15:04:05"))
		}
		return a.exportItem(ctx, repo, s, *it)
	}
	if why != "" {
		return nil, fmt.Errorf("%q cannot be exported: %s", opt.Item, why)
	}
	return exportPath(ctx, repo, list[0], opt.Item)
}

// exportCandidates are the snapshots to look in, newest first, at least one.
func (a *App) exportCandidates(ctx context.Context, repo *repository.Repository, prefix string) ([]*snapshot, error) {
	if prefix != "latest" {
		s, err := a.findSnapshot(ctx, repo, prefix)
		if err != nil {
			return nil, err
		}
		return []*snapshot{{StoredSnapshot: *s}}, nil
	}
	list, err := a.snapshotsOf(ctx, repo, false)
	if err != nil {
		return nil, err
	}
	var out []*snapshot
	for _, s := range slices.Backward(list) {
		if !s.HasTag(TagSafety) {
			out = append(out, &snapshot{StoredSnapshot: s})
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("latest: %w", repository.ErrNoSnapshot)
	}
	return out, nil
}

// itemNamed finds an item by its key, or by that without its kind. It is nil
// where the snapshot has no such item, or does not say what items it has.
func (a *App) itemNamed(ctx context.Context, repo *repository.Repository, s *snapshot, name string) (*manifest.Item, error) {
	m, err := a.manifestOf(ctx, repo, s, projectOf(&s.Snapshot, ""))
	switch {
	case errors.Is(err, errNoManifest):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("snapshot %s: %w", s.ID.Short(), err)
	}
	s.manifest = m
	if it, ok := m.Find(name); ok {
		return &it, nil
	}
	var found []manifest.Item
	for _, it := range m.Items {
		if strings.TrimPrefix(it.Key(), string(it.Kind)+" ") == name {
			found = append(found, it)
		}
	}
	switch len(found) {
	case 0:
		return nil, nil
	case 1:
		return &found[0], nil
	}
	return nil, fmt.Errorf("%q could be %q or %q: say which", name, found[0].Key(), found[1].Key())
}

func (a *App) exportItem(ctx context.Context, repo *repository.Repository, s *snapshot, it manifest.Item) (*exportSource, error) {
	path := append([]string{manifest.Escape(projectOf(&s.Snapshot, ""))}, it.Path()...)
	if it.Kind == manifest.Dump {
		name, err := mainDumpFile(it)
		if err != nil {
			return nil, err
		}
		path = append(path, name)
	}
	node, err := repo.Resolve(ctx, *s.Tree, path...)
	if err != nil {
		return nil, fmt.Errorf("%s in snapshot %s: %w", it.Key(), s.ID.Short(), err)
	}
	src := &exportSource{snapshot: s, name: it.Key(), node: node, bytes: int64(node.Size), notGood: []string{}}
	if it.State != manifest.Good {
		src.notGood = append(src.notGood, it.Key())
		a.Log.Warn().Str("item", it.Key()).Msg("some of its files could not be read when it was saved: they are not in the export")
	}
	return src, nil
}

// mainDumpFile is the file of a dump that its database is restored from. What
// goes with it, such as grants, is in an export of the whole snapshot.
func mainDumpFile(it manifest.Item) (string, error) {
	if it.DumpInfo != nil {
		for _, role := range []dump.Role{dump.RoleDatabase, dump.RoleGlobals} {
			if name := dumpFileOf(it, role); name != "" {
				return name, nil
			}
		}
		if len(it.DumpInfo.Files) == 1 {
			return it.DumpInfo.Files[0].Name, nil
		}
	}
	return "", fmt.Errorf("%s: the manifest does not say which file it is: export its path", it.Key())
}

// exportPath finds what lies at a path.
func exportPath(ctx context.Context, repo *repository.Repository, s *snapshot, path string) (*exportSource, error) {
	node, at, err := findPath(ctx, repo, &s.Snapshot, path)
	if errors.Is(err, repository.ErrNoNode) {
		return nil, fmt.Errorf("snapshot %s has no item %q and nothing at that path%s: %w", s.ID.Short(), path, itemsOf(s.manifest), err)
	}
	if err != nil {
		return nil, err
	}
	if node == nil {
		return nil, fmt.Errorf("%q is all of the snapshot: leave it out", path)
	}
	if node.Subtree == nil && node.Type != repository.NodeFile {
		return nil, fmt.Errorf("%q is a %s, neither a file nor a folder", at, node.Type)
	}
	return &exportSource{snapshot: s, name: at, node: node, bytes: int64(node.Size), notGood: []string{}}, nil
}

// itemsOf says which items there are.
func itemsOf(m *manifest.Manifest) string {
	if m == nil || len(m.Items) == 0 {
		return ""
	}
	var keys []string
	for _, it := range m.Items {
		if it.State == manifest.Good || it.State == manifest.Partial {
			keys = append(keys, fmt.Sprintf("%q", it.Key()))
		}
	}
	return " (it has " + strings.Join(keys[:min(len(keys), 10)], ", ") + ")"
}

// exportWhole is a snapshot with its layout, manifest included.
func (a *App) exportWhole(ctx context.Context, repo *repository.Repository, prefix string) (*exportSource, error) {
	found, err := a.findSnapshot(ctx, repo, prefix)
	if err != nil {
		return nil, err
	}
	s := &snapshot{StoredSnapshot: *found}
	src := &exportSource{snapshot: s, whole: true, notGood: []string{}, node: &repository.Node{Name: s.ID.Short(), Type: repository.NodeDir, Subtree: s.Tree}}
	m, err := loadManifest(ctx, repo, &s.Snapshot, projectOf(&s.Snapshot, ""))
	switch {
	case errors.Is(err, errNoManifest):
		return src, nil
	case err != nil:
		return nil, fmt.Errorf("snapshot %s: %w", s.ID.Short(), err)
	}
	for _, it := range m.Items {
		if it.State == manifest.Failed || it.State == manifest.Partial {
			src.notGood = append(src.notGood, it.Key())
			a.Log.Warn().Str("item", it.Key()).Msgf("it is %s in snapshot %s", it.State, s.ID.Short())
		}
	}
	return src, nil
}
