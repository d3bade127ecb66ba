package sidecar

import (
	"strings"
	"time"

	"github.com/ripplebak/ripplebak/manifest"
	"github.com/ripplebak/ripplebak/repository"
)

// LostItem is what can no longer be restored of one item of one snapshot.
type LostItem struct {
	Snapshot string    `json:"snapshot"`
	Time     time.Time `json:"time"`
	Project  string    `json:"project,omitempty"`
	// Item is the item's key; for the folder of a dump whose files tell no
	// more, that of its service; empty for what belongs to no item.
	Item string `json:"item,omitempty"`
	// Files can no longer be read; of Folders it is no longer known what
	// they held.
	Files   uint64 `json:"files"`
	Folders uint64 `json:"folders"`
	Bytes   uint64 `json:"bytes"` // of the files that are known
	// Paths are the first twenty, below the item's own folder.
	Paths []string `json:"paths"`
}

const (
	maxLostItems = 1000 // that a report lists
	maxLostPaths = 20   // of each
)

// lostItems sorts what is lost by items. Those beyond the bound are counted.
func lostItems(losses []repository.Loss) (items []LostItem, more uint64) {
	items = []LostItem{}
	for i := range losses {
		for _, item := range lostOf(&losses[i]) {
			if len(items) == maxLostItems {
				more++
				continue
			}
			items = append(items, *item)
		}
	}
	return items, more
}

// lostOf is what is lost of one snapshot, by items in order of their first path.
func lostOf(l *repository.Loss) []*LostItem {
	var items []*LostItem
	byKey := map[string]*LostItem{}
	s := &l.Snapshot
	project := projectOf(&s.Snapshot, "")
	l.Each(func(p repository.LostPath) {
		key, below := itemAt(project, p.Path)
		item := byKey[key]
		if item == nil {
			item = &LostItem{Snapshot: s.ID.String(), Time: s.Time, Project: project, Item: key, Paths: []string{}}
			byKey[key] = item
			items = append(items, item)
		}
		item.Files += p.Files
		item.Bytes += p.Size
		if p.Folder {
			item.Folders++
			below += "/"
		}
		if p.Files <= 1 && len(item.Paths) < maxLostPaths {
			item.Paths = append(item.Paths, below)
		}
	})
	return items
}

// itemAt says to which item a path of a snapshot belongs, and where in it. The
// manifest is not asked, for it may be what is lost.
func itemAt(project, path string) (key, below string) {
	parts := strings.Split(strings.TrimPrefix(path, "/"), "/")
	if project == "" || parts[0] != manifest.Escape(project) || len(parts) < 3 {
		return "", path
	}
	name := manifest.Unescape(parts[2])
	below = strings.Join(parts[3:], "/")
	switch parts[1] {
	case manifest.VolumesDir:
		return manifest.Key(manifest.Volume, "", name), below
	case manifest.DumpsDir:
		if len(parts) == 3 {
			return string(manifest.Dump) + " " + name, below
		}
		return manifest.Key(manifest.Dump, name, dumpOf(parts[3])), below
	case manifest.BindsDir:
		if len(parts) == 3 {
			return string(manifest.Bind) + " " + name, below
		}
		return manifest.Key(manifest.Bind, name, manifest.Unescape(parts[3])), strings.Join(parts[4:], "/")
	case manifest.ConfigDir:
		return manifest.Key(manifest.Config, "", ""), strings.Join(parts[2:], "/")
	}
	return "", path
}

// dumpOf is the database that a dump's file is of, by its name; empty for what
// belongs to none.
func dumpOf(file string) string {
	if file == "globals.sql" {
		return ""
	}
	if dot := strings.LastIndexByte(file, '.'); dot > 0 {
		file = file[:dot]
	}
	return manifest.Unescape(file)
}
