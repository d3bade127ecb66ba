package sidecar

import (
	"context"
	"fmt"
	"maps"
	"time"

	"github.com/ripplebak/ripplebak/archive"
	"github.com/ripplebak/ripplebak/repository"
	"github.com/ripplebak/ripplebak/volume"
)

// FindOptions say what is looked for.
type FindOptions struct {
	// Patterns are doublestar globs, as labels have them: one that begins with
	// "/" is matched from the root of a volume (or of the snapshot, outside of
	// items), any other at any depth.
	Patterns []string
	// Item is the key of the item to look in; empty for all.
	Item string
	// All looks in other projects' snapshots, too.
	All bool
	// Newer and Older bound when the file was last changed; zero for no bound.
	Newer, Older time.Time
}

// FoundFile is a path that matches, with what snapshots hold there.
type FoundFile struct {
	Path string `json:"path"`           // from the snapshot's root, "/" first
	Item string `json:"item,omitempty"` // the item's key
	// Versions are the contents that the file has had, oldest first.
	Versions []FoundVersion `json:"versions"`
}

// FoundVersion is one content. Metadata is that of the newest snapshot with it.
type FoundVersion struct {
	Type    string    `json:"type"`
	Mode    string    `json:"mode"`
	UID     uint32    `json:"uid"`
	GID     uint32    `json:"gid"`
	Size    uint64    `json:"size"`
	ModTime time.Time `json:"mtime"`
	Target  string    `json:"target,omitempty"`
	// Snapshots hold it, oldest first.
	Snapshots []FoundIn `json:"snapshots"`
}

// FoundIn is a snapshot that holds a version.
type FoundIn struct {
	ID   string    `json:"id"`
	Time time.Time `json:"time"`
}

// Find calls fn for every path that matches in any snapshot, in the order of a
// walk. It needs no Docker.
func (a *App) Find(ctx context.Context, opt FindOptions, fn func(FoundFile) error) (err error) {
	match, err := volume.Matcher(opt.Patterns)
	if err != nil {
		return err
	}
	ctx, v, err := a.look(ctx)
	if err != nil {
		return err
	}
	defer func() { err = v.ended(ctx, err) }()
	list, err := a.snapshotsOf(ctx, v.repo, opt.All)
	if err != nil {
		return err
	}
	shelves, err := a.shelvesOf(ctx, v.repo, list)
	if err != nil {
		return err
	}
	finder := archive.NewFinder(v.repo)
	found := make([]*archive.Finds, len(list))
	for i, s := range list {
		l := shelves[projectOf(&s.Snapshot, "")]
		finder.Want = func(path string, n *repository.Node) bool { return opt.wants(l, path, n, match) }
		finder.Enter = func(path string) bool { return opt.enters(l, path) }
		if found[i], err = finder.Look(ctx, projectOf(&s.Snapshot, ""), *s.Tree); err != nil {
			return fmt.Errorf("snapshot %s: %w", s.ID.Short(), err)
		}
	}
	return archive.Merge(found, func(path string, versions []archive.Version) error {
		return fn(foundFile(path, versions, list, shelves))
	})
}

// shelvesOf are the layouts of the projects' snapshots, by project.
func (a *App) shelvesOf(ctx context.Context, repo *repository.Repository, list []repository.StoredSnapshot) (map[string]shelf, error) {
	out := map[string]shelf{}
	for _, s := range list {
		l, err := a.shelfOf(ctx, repo, &s)
		if err != nil {
			return nil, err
		}
		project := projectOf(&s.Snapshot, "")
		if first, ok := out[project]; ok {
			maps.Copy(first.dumps, l.dumps)
			continue
		}
		out[project] = l
	}
	return out, nil
}

func (o *FindOptions) wants(l shelf, path string, n *repository.Node, match func(string) bool) bool {
	key, within := l.item(path)
	switch {
	case within == "" || o.Item != "" && key != o.Item:
		return false
	case !o.Newer.IsZero() && n.ModTime.Before(o.Newer), !o.Older.IsZero() && n.ModTime.After(o.Older):
		return false
	}
	return match(within)
}

// enters leaves out other items than the one that is wanted.
func (o *FindOptions) enters(l shelf, path string) bool {
	key, _ := l.item(path)
	return o.Item == "" || key == "" || key == o.Item
}

func foundFile(path string, versions []archive.Version, list []repository.StoredSnapshot, shelves map[string]shelf) FoundFile {
	out := FoundFile{Path: path, Versions: []FoundVersion{}}
	newest := list[versions[len(versions)-1].In[0]]
	l := shelves[projectOf(&newest.Snapshot, "")]
	out.Item, _ = l.item(path)
	for _, v := range versions {
		fv := FoundVersion{Type: v.Type, Mode: v.Mode.String(), UID: v.UID, GID: v.GID, Size: v.Size, ModTime: v.ModTime, Target: v.Target}
		for _, i := range v.In {
			fv.Snapshots = append(fv.Snapshots, FoundIn{ID: list[i].ID.String(), Time: list[i].Time})
		}
		out.Versions = append(out.Versions, fv)
	}
	return out
}
