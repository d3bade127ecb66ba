package repository

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/ripplebak/ripplebak/storage"
)

// notes is a map that several goroutines fill.
type notes[V any] struct {
	mu sync.Mutex
	m  map[ID]V
}

func newNotes[V any]() *notes[V] { return &notes[V]{m: make(map[ID]V)} }

func (n *notes[V]) set(id ID, v V) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.m[id] = v
}

// needs collects which blobs snapshots refer to. It takes a bit for each entry
// of the index; all places of a blob are marked alike.
type needs struct {
	x        *index
	progress func(PruneProgress)

	mu      sync.Mutex
	marked  bitset
	next    []ID // trees that are needed and were not looked at
	trees   uint64
	missing []string
	count   int // of missing
}

func newNeeds(x *index, progress func(PruneProgress)) *needs {
	return &needs{x: x, marked: newBitset(x.count), progress: progress}
}

// need marks a blob; fresh says that it was not marked before.
func (n *needs) need(h BlobHandle) (known, fresh bool) {
	n.x.mu.RLock()
	defer n.x.mu.RUnlock()
	n.x.findNumber(h, func(i uint32, _ *indexEntry) bool {
		known, fresh = true, fresh || !n.marked.has(i)
		n.marked.set(i)
		return true
	})
	return known, fresh
}

// lack notes that a blob is in no index.
func (n *needs) lack(h BlobHandle, who string) {
	if n.count++; n.count <= maxMissing {
		n.missing = append(n.missing, fmt.Sprintf("%s needs %s, which is in no index", who, h))
	}
}

// root adds the tree of a snapshot.
func (n *needs) root(id ID) { n.tree(id, "a snapshot") }

func (n *needs) tree(id ID, who string) {
	h := BlobHandle{Type: TreeBlob, ID: id}
	switch known, fresh := n.need(h); {
	case !known:
		n.lack(h, who)
	case fresh:
		n.next = append(n.next, id)
	}
}

// take notes what a tree refers to.
func (n *needs) take(id ID, t *Tree) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.trees++
	for _, node := range t.Nodes {
		for _, c := range node.Content {
			h := BlobHandle{Type: DataBlob, ID: c}
			if known, _ := n.need(h); !known {
				n.lack(h, fmt.Sprintf("file %.200q in tree %s", node.Name, id.Short()))
			}
		}
		if node.Subtree != nil {
			n.tree(*node.Subtree, fmt.Sprintf("directory %.200q in tree %s", node.Name, id.Short()))
		}
	}
	if n.progress != nil && n.trees%1000 == 0 {
		n.progress(PruneProgress{Trees: n.trees})
	}
}

// collectNeeds looks at every tree that is needed, each once, and at those that
// they refer to in turn.
func (r *Repository) collectNeeds(ctx context.Context, n *needs) error {
	for len(n.next) > 0 {
		todo := n.next
		n.next = nil
		err := r.loadTrees(ctx, todo, func(id ID, t *Tree) error {
			n.take(id, t)
			return nil
		})
		if err != nil {
			if ctx.Err() == nil && isDamage(err) {
				return refuse(err)
			}
			return fmt.Errorf("look for what snapshots need: %w", err)
		}
	}
	if n.count > 0 {
		return &PruneRefusedError{Missing: n.missing, Count: n.count}
	}
	return nil
}

// treeBatch is how many trees are asked for at once.
const treeBatch = 8192

// loadTrees calls fn for each of many trees, from several goroutines: those of
// which the cache has a copy from there, the others in few requests. It adds
// nothing to the cache, for it looks at the trees of years.
func (r *Repository) loadTrees(ctx context.Context, ids []ID, fn func(ID, *Tree) error) error {
	for len(ids) > 0 {
		batch := ids[:min(treeBatch, len(ids))]
		ids = ids[len(batch):]
		var left []BlobHandle
		if r.cache == nil {
			for _, id := range batch {
				left = append(left, BlobHandle{Type: TreeBlob, ID: id})
			}
		} else {
			var err error
			if left, err = r.cachedTrees(ctx, batch, fn); err != nil {
				return err
			}
		}
		err := r.LoadBlobs(ctx, left, func(h BlobHandle, doc []byte) error { return giveTree(h.ID, doc, fn) })
		if err != nil {
			return err
		}
	}
	return nil
}

func giveTree(id ID, doc []byte, fn func(ID, *Tree) error) error {
	t, err := decodeTree(doc)
	if err != nil {
		return fmt.Errorf("tree %s: %w", id.Short(), err)
	}
	return fn(id, t)
}

// cachedTrees gives what the cache has, and returns the rest.
func (r *Repository) cachedTrees(ctx context.Context, ids []ID, fn func(ID, *Tree) error) (left []BlobHandle, err error) {
	var mu sync.Mutex
	g, ctx := errgroup.WithContext(ctx)
	workers := min(r.opt.Workers, len(ids))
	for w := range workers {
		g.Go(func() error {
			for i := w; i < len(ids); i += workers {
				if err := ctx.Err(); err != nil {
					return context.Cause(ctx)
				}
				doc := r.cachedTreeDoc(ids[i])
				if doc == nil {
					mu.Lock()
					left = append(left, BlobHandle{Type: TreeBlob, ID: ids[i]})
					mu.Unlock()
				} else if err := giveTree(ids[i], doc, fn); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return left, g.Wait()
}

// cachedTreeDoc returns a tree as the cache has it, nil where it does not, or
// has it damaged.
func (r *Repository) cachedTreeDoc(id ID) []byte {
	p, ok := r.index.place(BlobHandle{Type: TreeBlob, ID: id})
	if !ok {
		return nil
	}
	raw := make([]byte, p.length)
	if !r.cache.readAt(storage.Handle{Kind: storage.PackFile, Name: p.pack.String()}, raw, int64(p.offset)) {
		return nil
	}
	doc, err := r.openBlob(&p.packedBlob, raw, nil)
	if err != nil {
		return nil
	}
	return doc
}

// choosePlaces decides which place of each needed blob is kept, and adds up
// what each pack has of what is kept and what is not. A blob without a place in
// a pack that is stored as it should be is missing.
func (r *Repository) choosePlaces(f *pruneFacts, n *needs) error {
	x := r.index
	x.mu.RLock()
	defer x.mu.RUnlock()
	// What nobody needs at all, first: the better pack of two is that with
	// less of it.
	for i := range uint32(f.entries) {
		if e := x.entry(i); !n.marked.has(i) {
			f.packs[e.pack].waste += int64(e.length &^ treeBit)
		}
	}
	f.kept = newBitset(f.entries)
	refused := &PruneRefusedError{}
	for i := range uint32(f.entries) {
		e := x.entry(i)
		if !n.marked.has(i) {
			continue
		}
		best, first := f.bestPlace(x, e.packed().BlobHandle)
		switch {
		case best == i:
			f.kept.set(i)
			p := &f.packs[e.pack]
			p.needed += int64(e.length &^ treeBit)
			p.kinds |= 1 << e.blobType()
		case best != noPlace:
			f.packs[e.pack].again += int64(e.length &^ treeBit)
			f.twice = append(f.twice, best)
		case first == i:
			if refused.Count++; refused.Count <= maxMissing {
				refused.Missing = append(refused.Missing, f.whyNot(e))
			}
		}
	}
	if refused.Count > 0 {
		return refused
	}
	return nil
}

const noPlace = ^uint32(0)

// bestPlace returns the entry of the place of a blob that is kept, noPlace where
// none will do; first is that which the index finds first.
func (f *pruneFacts) bestPlace(x *index, h BlobHandle) (best, first uint32) {
	best, first = noPlace, noPlace
	x.findNumber(h, func(i uint32, e *indexEntry) bool {
		if first == noPlace {
			first = i
		}
		if f.packs[e.pack].whole && (best == noPlace || f.better(x, i, best)) {
			best = i
		}
		return true
	})
	return best, first
}

// better says whether a place is to be kept rather than another: in a pack with
// less that nobody needs, or the larger one; else always the same one.
func (f *pruneFacts) better(x *index, i, j uint32) bool {
	a, b := x.entry(i), x.entry(j)
	p, q := &f.packs[a.pack], &f.packs[b.pack]
	switch {
	case a.pack == b.pack:
		return a.offset < b.offset
	case p.waste != q.waste:
		return p.waste < q.waste
	case p.stored != q.stored:
		return p.stored > q.stored
	}
	return string(p.id[:]) < string(q.id[:])
}

// whyNot says why a pack will not do.
func (f *pruneFacts) whyNot(e *indexEntry) string {
	p := &f.packs[e.pack]
	why := fmt.Sprintf("has %d bytes, which is not what the index implies", p.stored)
	if p.stored < 0 {
		why = "is gone"
	}
	return fmt.Sprintf("%s is needed, and its pack %s %s", e.packed().BlobHandle, p.id, why)
}

var errPlanStale = errors.New("the plan is not of the repository as it is now: make a new one")
