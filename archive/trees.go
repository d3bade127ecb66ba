package archive

import (
	"container/list"
	"context"
	"errors"
	"sync"

	"github.com/ripplebak/ripplebak/repository"
)

// cachedNodes bounds what Trees keeps: trees of so many nodes in all, some 8 MB,
// or one tree that has more.
const cachedNodes = 16 << 10

// Trees gives the directories of the parent snapshot, and keeps them decoded for
// a while: a volume's Known and its Save load the same trees in the same order,
// the one a little before the other, and each is decoded once if they share one
// Trees. Nobody may change what it gives out.
type Trees struct {
	repo *repository.Repository
	w    *repository.Writer

	mu    sync.Mutex
	byID  map[repository.ID]*list.Element
	order list.List // of *cachedTree, the latest first
	nodes int
}

type cachedTree struct {
	id   repository.ID
	done chan struct{} // closed when tree or err is set
	tree *repository.Tree
	err  error
}

// NewTrees makes what one walk needs. w is the run's writer, whose blobs count
// as stored though they are still on their way, as those of the first of two
// walks are; nil for none.
func NewTrees(repo *repository.Repository, w *repository.Writer) *Trees {
	return &Trees{repo: repo, w: w, byID: map[repository.ID]*list.Element{}}
}

// has says whether a blob can be had.
func (c *Trees) has(h repository.BlobHandle) bool {
	if c.w != nil {
		return c.w.Known(h)
	}
	_, ok := c.repo.BlobSize(h)
	return ok
}

// load gives a tree, loading it at most once at a time.
func (c *Trees) load(ctx context.Context, id repository.ID) (*repository.Tree, error) {
	for {
		t, mine := c.claim(id)
		if mine {
			t.tree, t.err = c.repo.LoadTree(ctx, id)
			close(t.done)
			c.loaded(t)
			return t.tree, t.err
		}
		select {
		case <-t.done:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		if t.err == nil || !errors.Is(t.err, context.Canceled) && !errors.Is(t.err, context.DeadlineExceeded) {
			return t.tree, t.err
		}
		// Who loaded it was called off, not we.
		if err := context.Cause(ctx); err != nil {
			return nil, err
		}
	}
}

// claim gives the place of a tree, and whether the caller has to fill it.
func (c *Trees) claim(id repository.ID) (t *cachedTree, mine bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if el, ok := c.byID[id]; ok {
		c.order.MoveToFront(el)
		return el.Value.(*cachedTree), false
	}
	t = &cachedTree{id: id, done: make(chan struct{})}
	c.byID[id] = c.order.PushFront(t)
	return t, true
}

// loaded counts a tree, or forgets one that failed, and makes room.
func (c *Trees) loaded(t *cachedTree) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t.err != nil {
		c.remove(c.byID[t.id])
		return
	}
	c.nodes += len(t.tree.Nodes)
	for el := c.order.Back(); el != nil && c.nodes > cachedNodes; {
		older := el.Prev()
		if other := el.Value.(*cachedTree); other != t && isDone(other) && other.tree != nil {
			c.nodes -= len(other.tree.Nodes)
			c.remove(el)
		}
		el = older
	}
}

func isDone(t *cachedTree) bool {
	select {
	case <-t.done:
		return true
	default:
		return false
	}
}

func (c *Trees) remove(el *list.Element) {
	if el != nil {
		delete(c.byID, el.Value.(*cachedTree).id)
		c.order.Remove(el)
	}
}

// lost says that the index does not know a tree: what was in it is read again
// from the volume and stored again. A tree that the index knows and that cannot
// be read is another matter: it would not be stored again, and a snapshot that
// leans on it would look good and not be. That fails the backup.
func lost(err error) bool { return errors.Is(err, repository.ErrNoBlob) }
