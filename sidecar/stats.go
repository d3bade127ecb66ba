package sidecar

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/ripplebak/ripplebak/archive"
	"github.com/ripplebak/ripplebak/manifest"
	"github.com/ripplebak/ripplebak/repository"
)

// StatsSizes are sizes in bytes, of one or several snapshots.
type StatsSizes struct {
	Files int64 `json:"files"`
	// RestoreSize is what restores of all the snapshots would write.
	RestoreSize int64 `json:"restore_size"`
	// UniqueSize is that without what is there several times; RawSize is how
	// it is stored, compressed and encrypted; Blobs is how many pieces it is.
	// Folders are part of all three.
	UniqueSize uint64 `json:"unique_size"`
	RawSize    uint64 `json:"raw_size"`
	Blobs      uint64 `json:"blobs"`
	// DedupRatio is RestoreSize by UniqueSize, CompressionRatio UniqueSize by
	// RawSize; 0 where there is nothing.
	DedupRatio       float64 `json:"dedup_ratio"`
	CompressionRatio float64 `json:"compression_ratio"`
}

// StatsItem is an item in all the snapshots. What items share is counted in
// each.
type StatsItem struct {
	Key       string `json:"key"`
	Snapshots int    `json:"snapshots"`
	StatsSizes
}

// StatsReport says how large snapshots are.
type StatsReport struct {
	Snapshots int `json:"snapshots"`
	StatsSizes
	Items []StatsItem `json:"items"`
}

// Stats measures snapshots: those named, or the project's, or with all set
// every one. It needs no Docker.
func (a *App) Stats(ctx context.Context, prefixes []string, all bool) (report *StatsReport, err error) {
	ctx, v, err := a.look(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = v.ended(ctx, err) }()
	list, err := a.namedSnapshots(ctx, v.repo, prefixes, all)
	if err != nil {
		return nil, err
	}
	m := measuring{repo: v.repo, rest: archive.NewMeasurer(v.repo), items: map[string]*measuredItem{}}
	for _, s := range list {
		if m.shelf, err = a.shelfOf(ctx, v.repo, &s); err != nil {
			return nil, err
		}
		m.snapshot++
		if err := m.folder(ctx, *s.Tree, ""); err != nil {
			return nil, fmt.Errorf("snapshot %s: %w", s.ID.Short(), err)
		}
	}
	return m.report(), nil
}

// namedSnapshots are those of the prefixes, each once, or else the project's.
func (a *App) namedSnapshots(ctx context.Context, repo *repository.Repository, prefixes []string, all bool) ([]repository.StoredSnapshot, error) {
	if len(prefixes) == 0 {
		return a.snapshotsOf(ctx, repo, all)
	}
	var out []repository.StoredSnapshot
	for _, prefix := range prefixes {
		s, err := a.findSnapshot(ctx, repo, prefix)
		if err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(out, func(o repository.StoredSnapshot) bool { return o.ID == s.ID }) {
			out = append(out, *s)
		}
	}
	return out, nil
}

// measuring adds snapshots up, item by item.
type measuring struct {
	repo     *repository.Repository
	shelf    shelf // of the present snapshot
	snapshot int   // its number
	rest     *archive.Measurer
	items    map[string]*measuredItem
}

type measuredItem struct {
	*archive.Measurer
	snapshots int
	last      int // the snapshot that was counted last
}

func (m *measuring) item(key string) *measuredItem {
	it, ok := m.items[key]
	if !ok {
		it = &measuredItem{Measurer: archive.NewMeasurer(m.repo)}
		m.items[key] = it
	}
	if it.last != m.snapshot {
		it.last = m.snapshot
		it.snapshots++
	}
	return it
}

// folder goes down to where items begin.
func (m *measuring) folder(ctx context.Context, id repository.ID, at string) error {
	if !m.shelf.holdsItems(at) {
		return m.rest.Tree(ctx, id)
	}
	if err := m.rest.Folder(id); err != nil {
		return err
	}
	t, err := m.repo.LoadTree(ctx, id)
	if err != nil {
		return fmt.Errorf("folder %q: %w", at, err)
	}
	for _, n := range t.Nodes {
		path := at + "/" + n.Name
		key, _ := m.shelf.item(path)
		switch {
		case n.Subtree == nil && key == "":
			err = m.rest.File(n)
		case n.Subtree == nil:
			err = m.item(key).File(n)
		case key == "":
			err = m.folder(ctx, *n.Subtree, path)
		default:
			err = m.item(key).Tree(ctx, *n.Subtree)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// holdsItems says whether a folder is one of the layout's own, with items in
// it.
func (l *shelf) holdsItems(path string) bool {
	if l.project == "" {
		return false
	}
	parts := strings.Split(strings.TrimPrefix(path, "/"), "/")
	switch {
	case path == "":
		return true
	case parts[0] != l.project:
		return false
	case len(parts) == 1:
		return true
	case len(parts) == 2:
		return parts[1] == manifest.VolumesDir || parts[1] == manifest.DumpsDir || parts[1] == manifest.BindsDir
	}
	return len(parts) == 3 && (parts[1] == manifest.DumpsDir || parts[1] == manifest.BindsDir)
}

func (m *measuring) report() *StatsReport {
	out := &StatsReport{Snapshots: m.snapshot, Items: []StatsItem{}}
	sum, blobs := m.rest.Size, m.rest.Blobs
	for key, it := range m.items {
		sum.Files += it.Files
		sum.Bytes += it.Bytes
		blobs.Union(it.Blobs)
		out.Items = append(out.Items, StatsItem{Key: key, Snapshots: it.snapshots, StatsSizes: sizesOf(it.Size, it.Blobs.Totals())})
	}
	slices.SortFunc(out.Items, func(a, b StatsItem) int { return strings.Compare(a.Key, b.Key) })
	out.StatsSizes = sizesOf(sum, blobs.Totals())
	return out
}

func sizesOf(s archive.Size, b repository.BlobTotals) StatsSizes {
	out := StatsSizes{Files: s.Files, RestoreSize: s.Bytes, UniqueSize: b.Plain, RawSize: b.Stored, Blobs: b.Blobs}
	if b.Plain > 0 && b.Stored > 0 {
		out.DedupRatio = float64(s.Bytes) / float64(b.Plain)
		out.CompressionRatio = float64(b.Plain) / float64(b.Stored)
	}
	return out
}
