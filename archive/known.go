package archive

import (
	"context"
	"fmt"
	"time"

	"github.com/ripplebak/ripplebak/repository"
	"github.com/ripplebak/ripplebak/volume"
)

// Trust is what is remembered of the walk that recorded a tree: the moment that
// it began, by the filesystem's own clock, and by how much the filesystem's
// stamps may lie behind that. The zero Trust trusts nothing.
type Trust struct {
	WalkStarted  volume.Time
	Slack        time.Duration
	StableInodes bool
}

// TrustOf gives what is to be remembered of a walk.
func TrustOf(res volume.WalkResult) Trust {
	return Trust{
		WalkStarted:  res.Started,
		Slack:        time.Duration(res.SlackMillis) * time.Millisecond,
		StableInodes: res.StableInodes,
	}
}

// coarseSlack is for filesystems whose stamps are in whole seconds: those that
// look like it.
const coarseSlack = 2 * time.Second

// believes says whether a file with these recorded times cannot have changed
// since without their moving: both lie before the walk that recorded them, whose
// syncfs made the kernel stamp the next store into every page.
func (t Trust) believes(mtime, ctime volume.Time) bool {
	if t.WalkStarted.IsZero() {
		return false
	}
	slack := max(t.Slack, 0)
	if ctime.Nsec == 0 {
		slack = max(slack, coarseSlack)
	}
	limit := t.WalkStarted.Add(-slack)
	return mtime.Before(limit) && ctime.Before(limit)
}

// Known tells a walk what the tree of a volume holds, in walk order. A file is
// trusted when its times are old enough and all its content is in the index; a
// directory that is not in the index is passed over, so that what is below it is
// read and saved again. The source may be used once at a time, and ends with ctx.
func Known(ctx context.Context, trees *Trees, tree repository.ID, trust Trust) volume.KnownSource {
	return func(yield func(volume.Known) error) error {
		k := &knower{ctx: ctx, trees: trees, trust: trust, yield: yield}
		return k.tree("", tree)
	}
}

type knower struct {
	ctx   context.Context
	trees *Trees
	trust Trust
	yield func(volume.Known) error
}

// readAhead is how many of a directory's subdirectories are loaded before they
// are needed.
const readAhead = 4

// loading is a tree on its way.
type loading struct {
	tree *repository.Tree
	err  error
	done chan struct{}
}

func (k *knower) load(id repository.ID) *loading {
	l := &loading{done: make(chan struct{})}
	go func() {
		defer close(l.done)
		l.tree, l.err = k.trees.load(k.ctx, id)
	}()
	return l
}

func (k *knower) tree(path string, id repository.ID) error {
	tree, err := k.trees.load(k.ctx, id)
	return k.nodes(path, tree, err)
}

// nodes yields a tree's nodes, and what is below them, in walk order.
func (k *knower) nodes(path string, tree *repository.Tree, err error) error {
	if err != nil {
		if lost(err) {
			return nil
		}
		return fmt.Errorf("load the parent's directory %q: %w", path, err)
	}
	if path != "" {
		path += "/"
	}
	ahead := newAhead(k, tree.Nodes)
	defer ahead.wait()
	for i, n := range tree.Nodes {
		if err := k.node(path+n.Name, n); err != nil {
			return err
		}
		if n.Type != repository.NodeDir || n.Subtree == nil {
			continue
		}
		l := ahead.take(i)
		if err := k.nodes(path+n.Name, l.tree, l.err); err != nil {
			return err
		}
	}
	return nil
}

// ahead loads the subdirectories of one directory before they are needed.
type ahead struct {
	k     *knower
	nodes []*repository.Node
	next  int
	queue []*loading
}

func newAhead(k *knower, nodes []*repository.Node) *ahead { return &ahead{k: k, nodes: nodes} }

// take gives the tree of the directory at i, the next one in order.
func (a *ahead) take(i int) *loading {
	a.next = max(a.next, i)
	for ; a.next < len(a.nodes) && len(a.queue) < readAhead; a.next++ {
		if n := a.nodes[a.next]; n.Type == repository.NodeDir && n.Subtree != nil {
			a.queue = append(a.queue, a.k.load(*n.Subtree))
		}
	}
	l := a.queue[0]
	a.queue = a.queue[1:]
	<-l.done
	return l
}

// wait leaves no goroutine behind.
func (a *ahead) wait() {
	for _, l := range a.queue {
		<-l.done
	}
}

func (k *knower) node(path string, n *repository.Node) error {
	known := volume.Known{
		Path: path, Type: typeOf(n), Size: int64(n.Size),
		ModTime: volume.TimeOf(n.ModTime), ChangeTime: volume.TimeOf(n.ChangeTime), Inode: n.Inode,
	}
	if known.Type == 0 {
		return nil // what no walk gives cannot be unchanged
	}
	known.Trusted = n.Error == "" && k.trust.believes(known.ModTime, known.ChangeTime) && k.complete(n)
	return k.yield(known)
}

// complete says whether all of a file's content can still be had.
func (k *knower) complete(n *repository.Node) bool {
	if n.Type != repository.NodeFile {
		return true
	}
	for _, id := range n.Content {
		if !k.trees.has(repository.BlobHandle{Type: repository.DataBlob, ID: id}) {
			return false
		}
	}
	return true
}
