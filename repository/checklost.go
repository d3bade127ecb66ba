package repository

import (
	"context"
	"fmt"
)

// maxLostNames bounds the names of lost files that a check keeps; all are
// counted.
const maxLostNames = 100_000

// Loss is what of one snapshot can no longer be read.
type Loss struct {
	Snapshot StoredSnapshot
	root     *lostTree
}

// LostPath is one thing that can no longer be read.
type LostPath struct {
	Path string // from the snapshot's root, "/" first
	// Folder: the list of what the folder holds is lost, and with it whatever
	// it held.
	Folder bool
	// Files is how many files this stands for: 1, or for those whose names
	// are too many to keep, more, of which Path is the folder; 0 for folders.
	Files uint64
	// Size is what the file had, in bytes.
	Size uint64
}

// Each calls fn for everything of the snapshot that is lost, in the order of
// paths within a folder.
func (l *Loss) Each(fn func(LostPath)) { l.root.each("", fn) }

// lostTree is what is lost of a directory and below; nil where nothing is.
type lostTree struct {
	unreadable bool
	files      []lostFile
	more       uint64 // files whose names were not kept
	dirs       []lostDir
}

type lostFile struct {
	name string
	size uint64
}

type lostDir struct {
	name string
	tree *lostTree
}

func (t *lostTree) each(at string, fn func(LostPath)) {
	if t.unreadable {
		if at == "" {
			at = "/"
		}
		fn(LostPath{Path: at, Folder: true})
		return
	}
	for _, f := range t.files {
		fn(LostPath{Path: at + "/" + f.name, Files: 1, Size: f.size})
	}
	if t.more > 0 {
		fn(LostPath{Path: at + "/", Files: t.more})
	}
	for _, d := range t.dirs {
		d.tree.each(at+"/"+d.name, fn)
	}
}

// badPlace is a place of a blob at which it cannot be read.
type badPlace struct {
	pack   uint32 // number in the index
	offset uint32
}

// markBad notes that a blob cannot be read at one of its places.
func (c *checker) markBad(pack uint32, b *packedBlob) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.bad[badPlace{pack, b.offset}] = b.BlobHandle
}

// findLost finds out which blobs cannot be read at any of their places. Where
// a blob has several, those not known to be bad are tried.
func (c *checker) findLost(ctx context.Context) error {
	for _, h := range c.bad {
		if c.lost[h] {
			continue
		}
		found := false
		for _, p := range c.r.index.places(h) {
			n, ok := c.r.index.packNumber(p.pack)
			if _, bad := c.bad[badPlace{n, p.offset}]; !ok || bad {
				continue
			}
			_, err := c.r.loadAt(ctx, p, nil)
			if err == nil {
				found = true
				break
			}
			if ctx.Err() != nil || !isDamage(err) {
				return fmt.Errorf("look for another copy: %w", err)
			}
		}
		if !found {
			c.lost[h] = true
		}
	}
	return nil
}

// readable says whether a blob is there, as far as this check can tell.
func (c *checker) readable(h BlobHandle) (size uint64, known, ok bool) {
	size, known = c.r.BlobSize(h)
	return size, known, known && !c.lost[h]
}

// checkTree walks a tree and what is below it, each distinct one once, and
// returns what is lost of it.
func (c *checker) checkTree(ctx context.Context, s *StoredSnapshot, id ID) (*lostTree, error) {
	if lost, ok := c.seen[id]; ok {
		return lost, nil
	}
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	c.report.Trees++
	lost, err := c.checkNodes(ctx, s, id)
	if err != nil {
		return nil, err
	}
	c.seen[id] = lost
	return lost, nil
}

func (c *checker) checkNodes(ctx context.Context, s *StoredSnapshot, id ID) (*lostTree, error) {
	tree, err := c.r.LoadTree(ctx, id)
	if err != nil {
		if ctx.Err() != nil || !isDamage(err) {
			return nil, err
		}
		c.add(Finding{Kind: BadTree, File: "snapshot " + s.ID.Short(), Detail: err.Error()})
		return &lostTree{unreadable: true}, nil
	}
	var lost lostTree
	name := fmt.Sprintf("snapshot %s, tree %s", s.ID.Short(), id.Short())
	for _, n := range tree.Nodes {
		switch n.Type {
		case NodeFile:
			if !c.checkFile(name, n) {
				c.lose(&lost, n)
			}
		case NodeDir:
			sub := &lostTree{unreadable: true}
			if n.Subtree == nil {
				c.add(Finding{Kind: BadTree, File: name, Detail: fmt.Sprintf("directory %.200q has no tree", n.Name)})
			} else if sub, err = c.checkTree(ctx, s, *n.Subtree); err != nil {
				return nil, err
			}
			if sub != nil {
				lost.dirs = append(lost.dirs, lostDir{n.Name, sub})
			}
		}
	}
	if len(lost.files)+len(lost.dirs) == 0 && lost.more == 0 {
		return nil, nil
	}
	return &lost, nil
}

// lose notes a lost file.
func (c *checker) lose(t *lostTree, n *Node) {
	if c.lostNames++; c.lostNames > maxLostNames {
		t.more++
		return
	}
	t.files = append(t.files, lostFile{n.Name, n.Size})
}

// checkFile looks whether all that a file consists of is there.
func (c *checker) checkFile(name string, n *Node) bool {
	var size uint64
	missing, damaged := 0, 0
	for _, id := range n.Content {
		blob, known, ok := c.readable(BlobHandle{Type: DataBlob, ID: id})
		size += blob
		switch {
		case !known:
			if missing++; missing == 1 {
				c.add(Finding{Kind: MissingBlob, File: name, Detail: fmt.Sprintf("file %.200q needs data blob %s, which is in no index", n.Name, id)})
			}
		case !ok:
			damaged++ // the finding is that of its pack
		}
	}
	if missing > 1 {
		c.add(Finding{Kind: MissingBlob, File: name, Detail: fmt.Sprintf("file %.200q needs %d more blobs that are in no index", n.Name, missing-1)})
	}
	if missing == 0 && size != n.Size {
		c.add(Finding{Kind: BadTree, Note: true, File: name, Detail: fmt.Sprintf("file %.200q has %d bytes of content and a size of %d: it changed while it was read", n.Name, size, n.Size)})
	}
	return missing+damaged == 0
}
