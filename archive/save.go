package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/ripplebak/ripplebak/repository"
	"github.com/ripplebak/ripplebak/volume"
)

// errForeign says that a walk's events do not fit what it was told.
var errForeign = errors.New("the walk does not fit the parent snapshot")

// Save reads a walk to its end and saves it as a tree. Nothing of it is visible
// until the caller references the result's Tree. parent is this volume's tree in
// the parent snapshot, the one that the walk's Known came from, or nil; trees
// gives it, and is best the one that Known uses. The walk stays the caller's to close.
func Save(ctx context.Context, w *repository.Writer, trees *Trees, walk *volume.Walk, parent *repository.ID, opt Options) (*Result, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	s := &saver{
		ctx: ctx, w: w, trees: trees, walk: walk, opt: opt,
		res: &Result{}, links: map[uint64]*linked{},
	}
	f := &finisher{ctx: ctx, w: w, res: &Result{}, closed: make(chan *dir, dirsAhead)}
	s.closed = f.closed
	var finishing sync.WaitGroup
	finishing.Go(func() {
		if err := f.run(); err != nil {
			cancel(err)
		}
	})
	err := s.run(parent)
	if err != nil {
		cancel(err)
	}
	close(f.closed)
	finishing.Wait()
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		return nil, err
	}
	if cause := context.Cause(ctx); cause != nil {
		return nil, cause
	}
	res := s.res
	res.TreesReused, res.BytesAll = f.res.TreesReused, f.res.BytesAll
	res.Tree, res.Root = *f.root.Subtree, *f.root
	res.Walk = walk.Result()
	return res, nil
}

// dirsAhead is how many directories may wait for their content to be hashed.
const dirsAhead = 64

// saver follows the walk. It makes the nodes; the finisher makes the trees.
type saver struct {
	ctx    context.Context
	w      *repository.Writer
	trees  *Trees
	walk   *volume.Walk
	opt    Options
	res    *Result
	closed chan<- *dir

	open  []*dir
	links map[uint64]*linked // by inode
	head  []byte
}

// dir is a directory on its way to a tree. It belongs to the saver while it is
// open and to the finisher from then on, but for its node, which the finisher
// completes in the tree above.
type dir struct {
	node     *repository.Node
	above    *dir
	parent   *repository.Node // this directory in the parent snapshot
	before   *repository.Tree // and what was in it
	next     int              // where in before the search goes on
	nodes    []*repository.Node
	files    []file // nodes whose content is not known yet
	resolved int    // how many of them are
	reused   int    // nodes taken over from before
	sameDirs int    // subdirectories that turned out to be as before; the finisher's
}

// file is a node that waits for its content.
type file struct {
	node *repository.Node
	*repository.Content
}

// linked is the content of a file with several names, for those to come.
type linked struct {
	content *repository.Content
	node    *repository.Node // in its place: has the content already
	xattrs  []repository.ExtendedAttribute
	left    uint64
}

func (s *saver) run(parent *repository.ID) error {
	for {
		ev, err := s.walk.Next()
		if errors.Is(err, io.EOF) {
			if len(s.open) != 0 || s.res.Dirs == 0 {
				return io.ErrUnexpectedEOF
			}
			return nil
		}
		if err != nil {
			return err
		}
		if cause := context.Cause(s.ctx); cause != nil {
			return cause
		}
		if err := s.event(ev, parent); err != nil {
			return err
		}
	}
}

func (s *saver) event(ev volume.Event, parent *repository.ID) error {
	switch ev.Kind {
	case volume.EnterDir:
		return s.enter(ev.Entry, parent)
	case volume.LeaveDir:
		return s.leave()
	case volume.Unchanged:
		return s.unchanged(ev.Entry)
	case volume.FileStart:
		return s.file(ev.Entry)
	case volume.Other:
		return s.other(ev.Entry)
	case volume.Warned:
		s.res.warn(*ev.Warning)
	case volume.Unreadable:
		s.unreadable(*ev.Warning)
	default:
		return fmt.Errorf("save a volume: unknown event %d", ev.Kind)
	}
	return nil
}

// enter opens a directory and loads what the parent has of it.
func (s *saver) enter(e *volume.Entry, root *repository.ID) error {
	d := &dir{node: s.node(e)}
	s.res.Dirs++
	subtree := root
	if top := s.top(); top != nil {
		d.above = top
		d.parent = top.find(e.Name())
		subtree = nil
		if d.parent != nil && d.parent.Type == repository.NodeDir {
			subtree = d.parent.Subtree
		}
		top.nodes = append(top.nodes, d.node)
	}
	if subtree != nil {
		tree, err := s.trees.load(s.ctx, *subtree)
		switch {
		case err == nil:
			d.before = tree
			d.nodes = make([]*repository.Node, 0, len(tree.Nodes))
			if d.parent == nil { // the root: its node is none of the tree's
				d.parent = &repository.Node{Subtree: subtree}
			}
		case lost(err):
			s.res.warn(volume.Warning{Path: e.Path, Text: "the parent snapshot has lost this directory, everything in it is read again: " + err.Error()})
		default:
			return fmt.Errorf("load the parent's directory %q: %w", e.Path, err)
		}
	}
	s.open = append(s.open, d)
	return nil
}

func (s *saver) top() *dir {
	if len(s.open) == 0 {
		return nil
	}
	return s.open[len(s.open)-1]
}

// find gives the parent's node of a name. Names must come in order.
func (d *dir) find(name string) *repository.Node {
	if d.before == nil {
		return nil
	}
	for ; d.next < len(d.before.Nodes); d.next++ {
		if n := d.before.Nodes[d.next]; n.Name >= name {
			if n.Name == name {
				return n
			}
			return nil
		}
	}
	return nil
}

func (s *saver) leave() error {
	d := s.open[len(s.open)-1]
	s.open = s.open[:len(s.open)-1]
	select {
	case s.closed <- d:
		return nil
	case <-s.ctx.Done():
		return context.Cause(s.ctx)
	}
}

// unchanged takes a node over whole.
func (s *saver) unchanged(e *volume.Entry) error {
	d := s.top()
	n := d.find(e.Name())
	if n == nil || n.Type == repository.NodeDir {
		return fmt.Errorf("%w: it has no %q", errForeign, e.Path)
	}
	d.nodes = append(d.nodes, n)
	d.reused++
	s.res.Unchanged++
	if n.Type == repository.NodeFile {
		s.res.Files++
		if n.Links > 1 && !s.usedLink(n.Inode) {
			s.links[n.Inode] = &linked{node: n, xattrs: n.ExtendedAttributes, left: n.Links - 1}
		}
	} else {
		s.res.Others++
	}
	if n.DeviceID != s.opt.DeviceID {
		// Another number than then: the node is as it was, but for that.
		other := *n
		other.DeviceID = s.opt.DeviceID
		d.nodes[len(d.nodes)-1] = &other
		d.reused--
	}
	if s.res.Unchanged%256 == 0 {
		s.progress(e.Path)
	}
	return nil
}

// compare counts an entry as new or changed and gives its node in the parent.
func (s *saver) compare(e *volume.Entry) *repository.Node {
	before := s.top().find(e.Name())
	if before == nil || before.Type == repository.NodeDir {
		s.res.New++
	} else {
		s.res.Changed++
	}
	return before
}

// other adds an entry without content of its own.
func (s *saver) other(e *volume.Entry) error {
	d := s.top()
	s.compare(e)
	n := s.node(e)
	d.nodes = append(d.nodes, n)
	if e.Type != volume.File {
		s.res.Others++
		return nil
	}
	s.res.Files++
	first := s.links[e.Inode]
	if first == nil {
		return fmt.Errorf("save a volume: %q is a link to %q, which was not saved", e.Path, e.HardLinkOf)
	}
	// They travel with the first name only, and belong to the file: restic
	// restores what each name's node says, and so the last name's would win.
	n.ExtendedAttributes = first.xattrs
	if first.node != nil {
		n.Content, n.Size = first.node.Content, first.node.Size
	} else {
		d.files = append(d.files, file{node: n, Content: first.content})
	}
	s.usedLink(e.Inode)
	return nil
}

// usedLink counts one more name of a file, and forgets the file with the last.
func (s *saver) usedLink(inode uint64) bool {
	first := s.links[inode]
	if first == nil {
		return false
	}
	if first.left--; first.left == 0 {
		delete(s.links, inode)
	}
	return true
}

// unreadable takes back a file of which only a part could be read.
func (s *saver) unreadable(w volume.Warning) {
	s.res.unreadable(w)
	d := s.top()
	if d == nil || len(d.files) == 0 || len(d.nodes) == 0 {
		return
	}
	last := d.files[len(d.files)-1]
	if last.node != d.nodes[len(d.nodes)-1] || last.node.Name != (&volume.Entry{Path: w.Path}).Name() || s.path(last.node) != w.Path {
		return
	}
	d.files, d.nodes = d.files[:len(d.files)-1], d.nodes[:len(d.nodes)-1]
	d.resolved = min(d.resolved, len(d.files))
	delete(s.links, last.node.Inode)
	s.res.Files--
	if before := d.find(last.node.Name); before == nil || before.Type == repository.NodeDir {
		s.res.New--
	} else {
		s.res.Changed--
	}
}

// path gives the path of a node of the directory that is open.
func (s *saver) path(n *repository.Node) string {
	path := n.Name
	for i := len(s.open) - 1; i > 0; i-- {
		path = s.open[i].node.Name + "/" + path
	}
	return path
}

func (s *saver) node(e *volume.Entry) *repository.Node {
	n, exact := nodeOf(e, s.opt.DeviceID)
	if !exact {
		s.res.warn(volume.Warning{Path: e.Path, Text: "its times lie outside the years 0 to 9999 and are recorded as the nearest"})
	}
	return n
}

func (s *saver) progress(path string) {
	if s.opt.Progress != nil {
		s.opt.Progress(Progress{Files: s.res.Files + s.res.Others, Bytes: s.res.BytesRead, Path: path})
	}
}
