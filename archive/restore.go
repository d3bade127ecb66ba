package archive

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/ripplebak/ripplebak/repository"
	"github.com/ripplebak/ripplebak/volume"
)

// Restore makes a volume what the directory node holds: the node's own metadata
// becomes that of the volume's root. See volume.Peer.Restore for what the report
// and an error mean.
func Restore(ctx context.Context, repo *repository.Repository, node *repository.Node, peer *volume.Peer, req volume.RestoreRequest) (*volume.RestoreReport, error) {
	src, err := newSource(repo, node)
	if err != nil {
		return nil, err
	}
	if len(req.Only) > 0 {
		src.wants = req.Wants
	}
	rep, err := peer.Restore(ctx, req, src)
	if rep != nil {
		rep.SkippedCount += int64(len(src.skipped))
		rep.Skipped = append(rep.Skipped, src.skipped...)
	}
	return rep, err
}

// source gives a volume what a repository holds of it.
type source struct {
	repo  *repository.Repository
	root  *repository.Node
	zeros map[repository.ID]bool // blobs of nothing but zeros

	wants func(path string) bool // nil: all of it

	links   map[fileID]firstName // files with several names, until all were seen
	skipped []volume.Skip
	blobs   []volume.Blob // of the current entry
}

// fileID is what makes two nodes one file.
type fileID struct{ inode, device uint64 }

type firstName struct {
	path string
	node *repository.Node
	left uint64 // names that may still come
}

func newSource(repo *repository.Repository, node *repository.Node) (*source, error) {
	if node.Type != repository.NodeDir || node.Subtree == nil {
		return nil, fmt.Errorf("restore a volume: %q is no directory in the snapshot", node.Name)
	}
	return &source{repo: repo, root: node, zeros: zeroBlobs(), links: map[fileID]firstName{}}, nil
}

// treesAhead is how many subdirectories of a directory are loaded before they
// are needed.
const treesAhead = 4

// Entries gives the tree in the order of a walk.
func (s *source) Entries(ctx context.Context, yield func(volume.Entry, []volume.Blob) error) error {
	ctx, cancel := context.WithCancel(ctx)
	var loading sync.WaitGroup
	defer loading.Wait()
	defer cancel()
	root := entryOf(s.root, "")
	if err := yield(root, nil); err != nil {
		return err
	}
	return s.tree(ctx, "", s.load(ctx, *s.root.Subtree, &loading), &loading, yield)
}

// future is a tree that is being loaded.
type future struct {
	done chan struct{}
	tree *repository.Tree
	err  error
}

func (s *source) load(ctx context.Context, id repository.ID, loading *sync.WaitGroup) *future {
	f := &future{done: make(chan struct{})}
	loading.Go(func() {
		defer close(f.done)
		f.tree, f.err = s.repo.LoadTree(ctx, id)
	})
	return f
}

// tree yields what a directory holds, and loads a few of its subdirectories
// ahead of their turn.
func (s *source) tree(ctx context.Context, dir string, f *future, loading *sync.WaitGroup, yield func(volume.Entry, []volume.Blob) error) error {
	<-f.done
	if f.err != nil {
		return fmt.Errorf("directory %q: %w", dir, f.err)
	}
	nodes := s.wanted(dir, f.tree.Nodes)
	var ahead []*future
	next := 0 // the first node that was not looked at for loading
	for _, n := range nodes {
		path := join(dir, n.Name)
		if n.Type != repository.NodeDir {
			if err := s.file(path, n, yield); err != nil {
				return err
			}
			continue
		}
		if n.Subtree == nil {
			return fmt.Errorf("directory %q has no content in the snapshot", path)
		}
		for ; next < len(nodes) && len(ahead) < treesAhead; next++ {
			if sub := nodes[next]; sub.Type == repository.NodeDir && sub.Subtree != nil {
				ahead = append(ahead, s.load(ctx, *sub.Subtree, loading))
			}
		}
		if err := yield(entryOf(n, path), nil); err != nil {
			return err
		}
		mine := ahead[0]
		ahead = ahead[1:]
		if err := s.tree(ctx, path, mine, loading, yield); err != nil {
			return err
		}
	}
	return nil
}

// wanted are the nodes of a directory that are restored, or lead there.
func (s *source) wanted(dir string, nodes []*repository.Node) []*repository.Node {
	if s.wants == nil {
		return nodes
	}
	var out []*repository.Node
	for _, n := range nodes {
		if s.wants(join(dir, n.Name)) {
			out = append(out, n)
		}
	}
	return out
}

func join(dir, name string) string {
	if dir == "" {
		return name
	}
	return dir + "/" + name
}

// file yields what is no directory.
func (s *source) file(path string, n *repository.Node, yield func(volume.Entry, []volume.Blob) error) error {
	if typeOf(n) == 0 {
		s.skipped = append(s.skipped, volume.Skip{Path: path, Reason: fmt.Sprintf("of type %q, which cannot be restored", n.Type)})
		return nil
	}
	e := entryOf(n, path)
	if e.HardLinkOf = s.link(path, n); e.HardLinkOf != "" {
		return yield(e, nil)
	}
	s.blobs = s.blobs[:0]
	for _, id := range n.Content {
		size, ok := s.repo.BlobSize(repository.BlobHandle{Type: repository.DataBlob, ID: id})
		if !ok {
			return fmt.Errorf("content of %q: %w", path, repository.ErrNoBlob)
		}
		if size == 0 {
			continue // other programs store empty files so
		}
		if size > volume.MaxBlob {
			return fmt.Errorf("content of %q: a blob of %d bytes, more than can be restored", path, size)
		}
		s.blobs = append(s.blobs, volume.Blob{ID: id, Length: uint32(size), Hole: s.zeros[id]})
	}
	return yield(e, s.blobs)
}

// link gives the path that a node is a further name of, or "". Two nodes are one
// file only if they hold the same, too: a file that was written to between two
// looks at it stays as it was seen. Metadata is the first one's.
func (s *source) link(path string, n *repository.Node) string {
	if n.Links < 2 {
		return ""
	}
	id := fileID{inode: n.Inode, device: n.DeviceID}
	first, ok := s.links[id]
	if !ok {
		s.links[id] = firstName{path: path, node: n, left: n.Links - 1}
		return ""
	}
	if first.left--; first.left == 0 {
		delete(s.links, id)
	} else {
		s.links[id] = first
	}
	if f := first.node; f.Type != n.Type || f.Size != n.Size || f.LinkTarget != n.LinkTarget || f.Device != n.Device || !slices.Equal(f.Content, n.Content) {
		return ""
	}
	return first.path
}

// Fetch gives content, pack by pack.
func (s *source) Fetch(ctx context.Context, want []volume.Blob, put func(volume.Blob, []byte) error) error {
	handles := make([]repository.BlobHandle, len(want))
	for i, b := range want {
		handles[i] = repository.BlobHandle{Type: repository.DataBlob, ID: b.ID}
	}
	err := s.repo.LoadBlobs(ctx, handles, func(h repository.BlobHandle, data []byte) error {
		return put(volume.Blob{ID: h.ID, Length: uint32(len(data))}, data)
	})
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}
