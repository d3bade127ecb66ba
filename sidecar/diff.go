package sidecar

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/ripplebak/ripplebak/archive"
	"github.com/ripplebak/ripplebak/repository"
)

// DiffEntry is a path that differs between two snapshots.
type DiffEntry struct {
	Change archive.ChangeKind `json:"change"`
	Item   string             `json:"item,omitempty"` // the item's key
	Path   string             `json:"path"`           // from the snapshot's root, "/" first
	Type   string             `json:"type"`
	// SizeBefore and SizeAfter are 0 for what is no file.
	SizeBefore uint64 `json:"size_before"`
	SizeAfter  uint64 `json:"size_after"`
	// NewBytes is how much of the content the file did not have before.
	NewBytes uint64 `json:"new_bytes"`
}

// DiffCounts are sums over paths, directories included, and bytes of content.
type DiffCounts struct {
	Added        uint64 `json:"added"`
	Removed      uint64 `json:"removed"`
	Changed      uint64 `json:"changed"`  // in their content
	Metadata     uint64 `json:"metadata"` // in their metadata only
	BytesAdded   uint64 `json:"bytes_added"`
	BytesRemoved uint64 `json:"bytes_removed"`
	BytesBefore  uint64 `json:"bytes_before"` // of what changed
	BytesAfter   uint64 `json:"bytes_after"`
	BytesNew     uint64 `json:"bytes_new"` // of what changed and was added
}

// DiffItem says what became of an item.
type DiffItem struct {
	Key string `json:"key"`
	// Change is "added", "removed", "changed", or "same".
	Change string `json:"change"`
	DiffCounts
}

// DiffSnapshot is one of the two.
type DiffSnapshot struct {
	ID   string    `json:"id"`
	Time time.Time `json:"time"`
}

// DiffReport sums up the differences.
type DiffReport struct {
	Before DiffSnapshot `json:"before"`
	After  DiffSnapshot `json:"after"`
	// Items are by their keys; paths in no item count in the totals only.
	Items []DiffItem `json:"items"`
	DiffCounts
}

// Diff calls fn for every path in which snapshot b differs from a, and sums
// up. The manifest, which each run writes, is left out. It needs no Docker.
func (a *App) Diff(ctx context.Context, before, after string, fn func(DiffEntry) error) (report *DiffReport, err error) {
	ctx, v, err := a.look(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = v.ended(ctx, err) }()
	d := diffing{repo: v.repo, fn: fn, items: map[string]*DiffItem{}}
	var found [2]*repository.StoredSnapshot
	for i, prefix := range []string{before, after} {
		if found[i], err = a.findSnapshot(ctx, v.repo, prefix); err != nil {
			return nil, err
		}
		if d.shelves[i], err = a.shelfOf(ctx, v.repo, found[i]); err != nil {
			return nil, err
		}
	}
	if err := archive.Diff(ctx, v.repo, *found[0].Tree, *found[1].Tree, d.change); err != nil {
		return nil, err
	}
	d.report.Before = DiffSnapshot{ID: found[0].ID.String(), Time: found[0].Time}
	d.report.After = DiffSnapshot{ID: found[1].ID.String(), Time: found[1].Time}
	d.report.Items = d.sum()
	return &d.report, nil
}

type diffing struct {
	repo    *repository.Repository
	fn      func(DiffEntry) error
	shelves [2]shelf // before and after
	items   map[string]*DiffItem
	report  DiffReport
}

func (d *diffing) change(c archive.Change) error {
	side, node := 1, c.After
	if node == nil {
		side, node = 0, c.Before
	}
	if d.shelves[side].isManifest(c.Path) {
		return nil
	}
	e := DiffEntry{Change: c.Kind, Path: c.Path, Type: node.Type, NewBytes: c.NewBytes(d.repo)}
	e.Item, _ = d.shelves[side].item(c.Path)
	if c.Before != nil {
		e.SizeBefore = c.Before.Size
	}
	if c.After != nil {
		e.SizeAfter = c.After.Size
	}
	d.report.count(e)
	if e.Item != "" {
		it, ok := d.items[e.Item]
		if !ok {
			it = &DiffItem{Key: e.Item}
			d.items[e.Item] = it
		}
		it.count(e)
	}
	return d.fn(e)
}

func (c *DiffCounts) count(e DiffEntry) {
	switch e.Change {
	case archive.Added:
		c.Added++
		c.BytesAdded += e.SizeAfter
	case archive.Removed:
		c.Removed++
		c.BytesRemoved += e.SizeBefore
	case archive.Content:
		c.Changed++
		c.BytesBefore += e.SizeBefore
		c.BytesAfter += e.SizeAfter
	case archive.Metadata:
		c.Metadata++
		return
	}
	c.BytesNew += e.NewBytes
}

// sum gives the items of both snapshots.
func (d *diffing) sum() []DiffItem {
	had, has := d.shelves[0].stored, d.shelves[1].stored
	for _, key := range slices.Concat(had, has) {
		if d.items[key] == nil {
			d.items[key] = &DiffItem{Key: key}
		}
	}
	out := []DiffItem{}
	for key, it := range d.items {
		before, after := slices.Contains(had, key), slices.Contains(has, key)
		switch {
		case after && !before:
			it.Change = "added"
		case before && !after:
			it.Change = "removed"
		case it.DiffCounts == DiffCounts{}:
			it.Change = "same"
		default:
			it.Change = "changed"
		}
		out = append(out, *it)
	}
	slices.SortFunc(out, func(a, b DiffItem) int { return strings.Compare(a.Key, b.Key) })
	return out
}
