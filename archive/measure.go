package archive

import (
	"context"
	"fmt"

	"github.com/ripplebak/ripplebak/repository"
)

// Size is what a restore writes.
type Size struct {
	Files int64 // everything but directories, each name of a file
	Bytes int64 // of content, holes included; a file with several names counts once
}

func (s *Size) add(o Size) {
	s.Files += o.Files
	s.Bytes += o.Bytes
}

// Measurer adds trees up: what a restore of each would write, and which blobs
// they hold together. A tree that comes again is not loaded again, unless files
// with several names are in it.
type Measurer struct {
	Blobs *repository.BlobSet
	Size  // of all, each time it was added

	repo *repository.Repository
	seen map[repository.ID]measuredTree
}

type measuredTree struct {
	Size
	// linked says that files with several names are below: what they count
	// depends on what was seen elsewhere in the snapshot.
	linked bool
}

// NewMeasurer measures trees of a repository.
func NewMeasurer(repo *repository.Repository) *Measurer {
	return &Measurer{Blobs: repo.NewBlobSet(), repo: repo, seen: map[repository.ID]measuredTree{}}
}

// Tree adds a tree with everything below it.
func (m *Measurer) Tree(ctx context.Context, id repository.ID) error {
	t, err := m.tree(ctx, id, "", map[fileID]bool{})
	if err == nil {
		m.add(t.Size)
	}
	return err
}

// Folder adds a directory's own blob, without what it names.
func (m *Measurer) Folder(id repository.ID) error {
	_, err := m.Blobs.Add(repository.BlobHandle{Type: repository.TreeBlob, ID: id})
	return err
}

// File adds a file that is not part of a tree that was added.
func (m *Measurer) File(n *repository.Node) error {
	if err := m.content(n); err != nil {
		return fmt.Errorf("file %q: %w", n.Name, err)
	}
	m.add(Size{Files: 1, Bytes: int64(n.Size)})
	return nil
}

func (m *Measurer) content(n *repository.Node) error {
	for _, id := range n.Content {
		if _, err := m.Blobs.Add(repository.BlobHandle{Type: repository.DataBlob, ID: id}); err != nil {
			return err
		}
	}
	return nil
}

func (m *Measurer) tree(ctx context.Context, id repository.ID, at string, linked map[fileID]bool) (measuredTree, error) {
	if t, ok := m.seen[id]; ok && !t.linked {
		return t, nil
	}
	var out measuredTree
	if err := m.Folder(id); err != nil {
		return out, fmt.Errorf("folder %q: %w", at, err)
	}
	t, err := m.repo.LoadTree(ctx, id)
	if err != nil {
		return out, fmt.Errorf("folder %q: %w", at, err)
	}
	for _, n := range t.Nodes {
		path := at + "/" + n.Name
		if n.Subtree != nil {
			below, err := m.tree(ctx, *n.Subtree, path, linked)
			if err != nil {
				return out, err
			}
			out.add(below.Size)
			out.linked = out.linked || below.linked
			continue
		}
		if err := m.content(n); err != nil {
			return out, fmt.Errorf("file %q: %w", path, err)
		}
		out.Files++
		if n.Links > 1 {
			out.linked = true
			one := fileID{inode: n.Inode, device: n.DeviceID}
			if linked[one] {
				continue
			}
			linked[one] = true
		}
		out.Bytes += int64(n.Size)
	}
	m.seen[id] = out
	return out, nil
}
