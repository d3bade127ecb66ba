package sidecar

import (
	"context"
	"errors"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/ripplebak/ripplebak/manifest"
	"github.com/ripplebak/ripplebak/repository"
)

// SnapshotInfo is one snapshot as it is listed.
type SnapshotInfo struct {
	ID       string    `json:"id"`
	ShortID  string    `json:"short_id"`
	Time     time.Time `json:"time"`
	Host     string    `json:"host"`
	Project  string    `json:"project"`
	Tags     []string  `json:"tags"`
	Complete bool      `json:"complete"`
	Safety   bool      `json:"safety"`
	// Items is nil where the snapshot has no manifest of ours.
	Items []ItemInfo `json:"items"`
	Bytes int64      `json:"bytes"`
}

// ItemInfo is one item of a listed snapshot.
type ItemInfo struct {
	Key   string         `json:"key"`
	State manifest.State `json:"state"`
	Bytes int64          `json:"bytes"`
	Files int64          `json:"files"`
}

// Snapshots lists the snapshots of the project that the settings name, or of
// every project where they name none or all is set, oldest first.
func (a *App) Snapshots(ctx context.Context, all bool) (out []SnapshotInfo, err error) {
	dir := a.stateDir()
	v, err := a.openVault(ctx, dir, false)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, v.close(ctx)) }()
	if dir != nil && a.From == "" {
		if h, err := dir.History(); err == nil {
			a.warnOfCopies(h)
		}
	}
	if err := v.repo.LoadIndex(ctx); err != nil {
		return nil, err
	}
	list, err := a.snapshotsOf(ctx, v.repo, all)
	if err != nil {
		return nil, err
	}
	out = []SnapshotInfo{}
	for _, s := range list {
		info, err := a.describe(ctx, v.repo, s)
		if err != nil {
			return nil, err
		}
		out = append(out, info)
	}
	return out, nil
}

// ownProject is the project that this sidecar is about; empty where that
// cannot be told, for example on a machine without Docker.
func (a *App) ownProject(ctx context.Context) string {
	if a.Settings.Project != "" {
		return a.Settings.Project
	}
	if a.Settings.Several() {
		return ""
	}
	h, err := a.lookAround(ctx)
	if err != nil {
		return ""
	}
	if err := h.engine.Close(); err != nil {
		a.Log.Debug().Msg(err.Error())
	}
	return h.project
}

func (a *App) describe(ctx context.Context, repo *repository.Repository, s repository.StoredSnapshot) (SnapshotInfo, error) {
	info := SnapshotInfo{
		ID: s.ID.String(), ShortID: s.ID.Short(), Time: s.Time, Host: s.Hostname, Project: projectOf(&s.Snapshot, ""),
		Tags: append([]string{}, s.Tags...), Complete: !slices.Contains(s.Tags, TagIncomplete), Safety: slices.Contains(s.Tags, TagSafety),
	}
	m, err := loadManifest(ctx, repo, &s.Snapshot, info.Project)
	switch {
	case errors.Is(err, errNoManifest):
		return info, nil
	case err != nil && context.Cause(ctx) != nil:
		return info, context.Cause(ctx)
	case err != nil:
		a.Log.Warn().Str("snapshot", info.ShortID).Msg(a.Redactor().Redact(err.Error()))
		return info, nil
	}
	info.Items = []ItemInfo{}
	for _, it := range m.Items {
		info.Items = append(info.Items, ItemInfo{Key: it.Key(), State: it.State, Bytes: it.Bytes, Files: it.Files})
		info.Bytes += it.Bytes
	}
	return info, nil
}

// ListEntry is one file of a snapshot.
type ListEntry struct {
	Path    string    `json:"path"` // from the snapshot's root, "/" first
	Type    string    `json:"type"`
	Mode    string    `json:"mode"`
	UID     uint32    `json:"uid"`
	GID     uint32    `json:"gid"`
	Size    uint64    `json:"size"`
	ModTime time.Time `json:"mtime"`
	Target  string    `json:"target,omitempty"`
	// User and Group are names, where another program has recorded them.
	User  string `json:"user,omitempty"`
	Group string `json:"group,omitempty"`
	Links uint64 `json:"links"`
	// Device is the number of a device, as Linux encodes it.
	Device uint64      `json:"device,omitempty"`
	Bits   os.FileMode `json:"-"` // the mode
}

// List calls fn for what lies below a path of a snapshot, folders first, in
// the order of their names. The path may leave the project's folder out.
func (a *App) List(ctx context.Context, prefix, below string, fn func(ListEntry) error) (err error) {
	ctx, v, err := a.look(ctx)
	if err != nil {
		return err
	}
	defer func() { err = v.ended(ctx, err) }()
	s, err := a.findSnapshot(ctx, v.repo, prefix)
	if err != nil {
		return err
	}
	node, at, err := findPath(ctx, v.repo, &s.Snapshot, below)
	if err != nil {
		return err
	}
	if node != nil && node.Subtree == nil {
		return fn(entryOf(at, node))
	}
	tree := *s.Tree
	if node != nil {
		tree = *node.Subtree
	}
	return list(ctx, v.repo, tree, at, fn)
}

// findPath finds a node; nil stands for the root.
func findPath(ctx context.Context, repo *repository.Repository, s *repository.Snapshot, below string) (*repository.Node, string, error) {
	clean := strings.Trim(path.Clean("/"+below), "/")
	if clean == "" {
		return nil, "", nil
	}
	parts := strings.Split(clean, "/")
	node, err := repo.Resolve(ctx, *s.Tree, parts...)
	if errors.Is(err, repository.ErrNoNode) && len(s.Paths) == 1 {
		parts = append(strings.Split(strings.Trim(s.Paths[0], "/"), "/"), parts...)
		node, err = repo.Resolve(ctx, *s.Tree, parts...)
	}
	if err != nil {
		return nil, "", err
	}
	return node, "/" + strings.Join(parts, "/"), nil
}

func list(ctx context.Context, repo *repository.Repository, tree repository.ID, at string, fn func(ListEntry) error) error {
	t, err := repo.LoadTree(ctx, tree)
	if err != nil {
		return err
	}
	for _, n := range t.Nodes {
		p := at + "/" + n.Name
		if err := fn(entryOf(p, n)); err != nil {
			return err
		}
		if n.Subtree == nil {
			continue
		}
		if err := list(ctx, repo, *n.Subtree, p, fn); err != nil {
			return err
		}
	}
	return nil
}

func entryOf(p string, n *repository.Node) ListEntry {
	return ListEntry{
		Path: p, Type: n.Type, Mode: n.Mode.String(), UID: n.UID, GID: n.GID, Size: n.Size, ModTime: n.ModTime, Target: n.LinkTarget,
		User: n.User, Group: n.Group, Links: n.Links, Device: n.Device, Bits: n.Mode,
	}
}
