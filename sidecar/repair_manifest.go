package sidecar

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/ripplebak/ripplebak/manifest"
	"github.com/ripplebak/ripplebak/repository"
)

// restateManifest has the manifest of a snapshot that is written anew say what
// is lost: an item of which files are lost is good no more, so that a restore
// of the latest takes it from elsewhere.
func restateManifest(repo *repository.Repository) repository.AdaptSnapshot {
	return func(ctx context.Context, w *repository.Writer, s *repository.Snapshot, l *repository.Loss) error {
		project := projectOf(s, "")
		if project == "" {
			return nil // of somebody else
		}
		m, err := loadManifest(ctx, repo, s, project)
		if err != nil {
			// Without one, what is in the folders counts as good.
			m, err = manifestFromFolders(ctx, repo, s, project)
		}
		switch {
		case errors.Is(err, errNoManifest):
			return nil
		case err != nil:
			return err
		}
		spoil(m, project, l)
		m.Warnings = append(m.Warnings, fmt.Sprintf("written anew without what was lost to damage of the repository; it was snapshot %s", l.Snapshot.ID.Short()))
		if !m.Complete() && !s.HasTag(TagIncomplete) {
			s.Tags = append(s.Tags, TagIncomplete)
		}
		tree, err := replaceManifest(ctx, repo, w, s, project, m)
		if err != nil {
			return err
		}
		s.Tree = &tree
		return nil
	}
}

// maxSpoiled bounds the lost paths that an item's record names.
const maxSpoiled = 1000

// spoil changes the items' states by what is lost.
func spoil(m *manifest.Manifest, project string, l *repository.Loss) {
	l.Each(func(p repository.LostPath) { spoilPath(m, project, p) })
}

// spoilPath changes the states of the items to which a lost path belongs.
func spoilPath(m *manifest.Manifest, project string, p repository.LostPath) {
	for i := range m.Items {
		it := &m.Items[i]
		for _, at := range itemPaths(project, it) {
			below, inside := strings.CutPrefix(p.Path, at+"/")
			switch {
			case inside && it.VolumeInfo != nil:
				spoilVolume(it, p, below)
			case inside, p.Path == at, p.Folder && (p.Path == "/" || strings.HasPrefix(at, p.Path+"/")):
				failLost(it)
			}
		}
	}
}

// itemPaths is where an item lies in its snapshot.
func itemPaths(project string, it *manifest.Item) []string {
	at := "/" + strings.Join(append([]string{manifest.Escape(project)}, it.Path()...), "/")
	if it.DumpInfo == nil {
		return []string{at}
	}
	var out []string
	for _, f := range it.DumpInfo.Files {
		out = append(out, at+"/"+f.Name)
	}
	return out
}

// spoilVolume notes lost files as ones that could not be read, which a restore
// then leaves alone.
func spoilVolume(it *manifest.Item, p repository.LostPath, below string) {
	if it.State == manifest.Good {
		it.State = manifest.Partial
	}
	if it.State == manifest.Partial && it.Error == "" {
		it.Error = "some of its files were lost to damage of the repository"
	}
	v := it.VolumeInfo
	v.UnreadableCount += int64(max(p.Files, 1))
	if p.Files <= 1 && len(v.Unreadable) < maxSpoiled && !slices.Contains(v.Unreadable, below) {
		v.Unreadable = append(v.Unreadable, below)
	}
	it.Files = max(0, it.Files-int64(p.Files))
	it.Bytes = max(0, it.Bytes-int64(p.Size))
}

func failLost(it *manifest.Item) {
	if it.State == manifest.Good || it.State == manifest.Partial {
		it.State, it.Error = manifest.Failed, "it was lost to damage of the repository"
	}
}

// replaceManifest puts a manifest into a snapshot's tree and returns the new
// tree.
func replaceManifest(ctx context.Context, repo *repository.Repository, w *repository.Writer, s *repository.Snapshot, project string, m *manifest.Manifest) (repository.ID, error) {
	content, err := m.Encode()
	if err != nil {
		return repository.ID{}, err
	}
	f := w.NewFile(repository.CutFile)
	if _, err := f.Write(content); err != nil {
		f.Abandon()
		return repository.ID{}, fmt.Errorf("save the manifest: %w", err)
	}
	ids, size, err := f.Finish().Wait(ctx)
	if err != nil {
		return repository.ID{}, fmt.Errorf("save the manifest: %w", err)
	}
	node := &repository.Node{
		Name: manifest.FileName, Type: repository.NodeFile, Mode: os.FileMode(0o600),
		ModTime: s.Time, AccessTime: s.Time, ChangeTime: s.Time, Size: size, Links: 1, Content: ids,
	}
	root, err := repo.LoadTree(ctx, *s.Tree)
	if err != nil {
		return repository.ID{}, err
	}
	folder := root.Find(manifest.Escape(project))
	if folder == nil || folder.Subtree == nil {
		return repository.ID{}, fmt.Errorf("the snapshot has no folder %q", project)
	}
	inner, err := repo.LoadTree(ctx, *folder.Subtree)
	if err != nil {
		return repository.ID{}, err
	}
	id, err := w.SaveTree(ctx, withNode(inner, node))
	if err != nil {
		return repository.ID{}, err
	}
	changed := *folder
	changed.Subtree = &id
	return w.SaveTree(ctx, withNode(root, &changed))
}

// withNode is a tree with a node in the place of the one of its name.
func withNode(t *repository.Tree, n *repository.Node) *repository.Tree {
	i, found := slices.BinarySearchFunc(t.Nodes, n.Name, func(n *repository.Node, name string) int { return strings.Compare(n.Name, name) })
	nodes := slices.Clone(t.Nodes)
	if found {
		nodes[i] = n
	} else {
		nodes = slices.Insert(nodes, i, n)
	}
	return &repository.Tree{Nodes: nodes}
}
