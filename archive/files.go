package archive

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/ripplebak/ripplebak/repository"
	"github.com/ripplebak/ripplebak/volume"
)

// File is a file of a snapshot and where in a volume it goes.
type File struct {
	Path string // below the volume's root
	Node *repository.Node
	// Owner is to whom it is to belong; nil: to whom what it replaces belongs,
	// or the directory that it comes into.
	Owner *Owner
}

// Owner is to whom a file belongs, and its mode.
type Owner struct{ UID, GID, Mode uint32 }

// RestoreFiles puts files into a volume and leaves the rest of it as it is, but
// for what req removes, which must lie in a directory with one of the files, and
// the directories that it empties. Directories that are missing are made.
func RestoreFiles(ctx context.Context, repo *repository.Repository, files []File, peer *volume.Peer, req volume.RestoreRequest) (*volume.RestoreReport, error) {
	if len(files) == 0 && len(req.Empty) == 0 {
		return nil, errors.New("restore files: there are none")
	}
	req.Overlay = true
	for _, f := range files {
		if f.Owner != nil {
			req.Owned = append(req.Owned, volume.Owned{Path: path.Clean(f.Path), UID: f.Owner.UID, GID: f.Owner.GID, Mode: f.Owner.Mode & 0o7777})
		}
	}
	src := &fileSource{source: source{repo: repo, zeros: zeroBlobs(), links: map[fileID]firstName{}}, files: slices.Clone(files), dirs: req.Empty}
	for i := range src.files {
		src.files[i].Path = path.Clean(src.files[i].Path)
	}
	slices.SortFunc(src.files, func(a, b File) int { return slices.Compare(names(a.Path), names(b.Path)) })
	return peer.Restore(ctx, req, src)
}

// fileSource gives a volume some files of a repository.
type fileSource struct {
	source
	files []File
	dirs  []string // that are listed, too
}

func names(path string) []string { return strings.Split(path, "/") }

// above are the directories above a path, the root excepted, highest first.
func above(p string) []string {
	var dirs []string
	for i, c := range p {
		if c == '/' {
			dirs = append(dirs, p[:i])
		}
	}
	return dirs
}

// Entries gives the files, and the directories on the way, in the order of a
// walk.
func (s *fileSource) Entries(_ context.Context, yield func(volume.Entry, []volume.Blob) error) error {
	nodes := map[string]*repository.Node{"": nil}
	for _, f := range s.files {
		for _, d := range above(f.Path) {
			nodes[d] = nil
		}
		nodes[f.Path] = f.Node
	}
	for _, dir := range s.dirs {
		for _, d := range append(above(dir), dir) {
			if nodes[d] != nil {
				return fmt.Errorf("restore files: %q is to be a file and a directory", d)
			}
			nodes[d] = nil
		}
	}
	var paths []string
	for p := range nodes {
		paths = append(paths, p)
	}
	slices.SortFunc(paths, func(a, b string) int { return slices.Compare(names(a), names(b)) })
	for _, p := range paths {
		n := nodes[p]
		if n == nil {
			if err := yield(volume.Entry{Path: p, Type: volume.Dir, Mode: 0o755}, nil); err != nil {
				return err
			}
			continue
		}
		if err := s.file(p, n, yield); err != nil {
			return err
		}
	}
	return nil
}
