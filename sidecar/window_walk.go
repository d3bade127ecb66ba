package sidecar

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/ripplebak/ripplebak/archive"
	"github.com/ripplebak/ripplebak/labels"
	"github.com/ripplebak/ripplebak/manifest"
	"github.com/ripplebak/ripplebak/plan"
	"github.com/ripplebak/ripplebak/repository"
	"github.com/ripplebak/ripplebak/volume"
)

// nothingLeft is errNoItem where nothing would be gained by stopping anything.
func (r *run) nothingLeft(w *windowRun) error {
	if slices.ContainsFunc(w.items(), func(k string) bool { return !r.failed(k) }) {
		return nil
	}
	return errNoItem
}

// walksAgain says whether the plan has a second walk for the window.
func (r *run) walksAgain(name string) bool {
	for _, op := range r.plan.Operations {
		if op.Do == plan.Rewalk && op.Window == name {
			return true
		}
	}
	return false
}

func (r *run) walkFailed(ctx context.Context, key string, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	r.fail(key, err)
	return nil
}

// isFile says whether the walk of a bind failed because it is a single file, as
// only a helper can tell.
func (r *run) isFile(key string, err error) bool {
	it, _ := r.item(key)
	return err != nil && it.Kind == manifest.Bind && strings.Contains(err.Error(), unix.ENOTDIR.Error())
}

// mountFile has a helper of its own see the directory in which a single file
// lies. The file itself, mounted, would go on to be the old one where somebody
// puts a new one in its place.
func (r *run) mountFile(ctx context.Context, w *windowRun, key string) error {
	it, res := r.item(key)
	dir, name := path.Split(it.Volume.Docker)
	dir = path.Clean(dir)
	if dir == "/" {
		return fmt.Errorf("%s is a single file in the root of the host, which is not saved: it could be restored only by writing there", it.Volume.Docker)
	}
	h, err := r.app.startHelper(ctx, r.host, r.listener, r.id, []string{dir}, false)
	if err != nil {
		return err
	}
	w.mu.Lock()
	w.helpers = append(w.helpers, h)
	w.where[key] = mounted{helper: h, root: h.mountPoint(0), only: name}
	w.mu.Unlock()
	r.mu.Lock()
	res.item.VolumeInfo.File = name
	r.mu.Unlock()
	return nil
}

func (r *run) firstWalk(ctx context.Context, w *windowRun, key string) (*archive.Result, error) {
	it, res := r.item(key)
	r.mu.Lock()
	res.item.Started = r.app.Now()
	r.mu.Unlock()
	parent := r.parents.volume(key)
	r.app.progress().Begin(key, parent.bytes)
	return r.save(ctx, w, it, parent, nil)
}

// parentTree is what is known of a volume from before.
type parentTree struct {
	tree  *repository.ID
	trust archive.Trust
	bytes int64
}

// save walks one volume and saves what comes.
func (r *run) save(ctx context.Context, w *windowRun, it plan.Item, parent parentTree, spool *volume.Spool) (*archive.Result, error) {
	trees := archive.NewTrees(r.vault.repo, r.writer)
	walk, err := r.openWalk(ctx, w, it, trees, parent, spool)
	if err != nil {
		return nil, err
	}
	defer walk.Close()
	return r.saveWalk(ctx, walk, it, trees, parent)
}

func (r *run) openWalk(ctx context.Context, w *windowRun, it plan.Item, trees *archive.Trees, parent parentTree, spool *volume.Spool) (*volume.Walk, error) {
	m, ok := w.mount(it.Key)
	if !ok {
		return nil, fmt.Errorf("%s has no helper", it.Key)
	}
	var known volume.KnownSource
	if parent.tree != nil {
		known = archive.Known(ctx, trees, *parent.tree, parent.trust)
	}
	return m.helper.peer.Walk(ctx, volume.WalkRequest{Root: m.root, Only: m.only, Exclude: it.Volume.Excluded(r.isGood), Stall: r.app.Settings.Stall}, known, spool)
}

func (r *run) saveWalk(ctx context.Context, walk *volume.Walk, it plan.Item, trees *archive.Trees, parent parentTree) (*archive.Result, error) {
	return archive.Save(ctx, r.writer, trees, walk, parent.tree, archive.Options{
		DeviceID: it.Volume.DeviceID,
		Progress: func(p archive.Progress) {
			r.app.progress().Advance(it.Key, p.Files, p.Bytes)
			if p.Bytes > 0 {
				r.app.crash("mid-stream")
			}
		},
	})
}

// rewalk reads what changed since the first walk, while services are down. It
// returns as soon as everything has left the volumes; saving goes on.
func (r *run) rewalk(ctx context.Context, op plan.Operation) error {
	w := r.window(op.Window)
	if w.lost != nil {
		return nil
	}
	var drained sync.WaitGroup
	slots := make(chan struct{}, maxWalks)
	for _, k := range w.keys {
		if r.failed(k) {
			continue
		}
		drained.Add(1)
		slots <- struct{}{} // comes back when the volume is read, not when it is stored
		w.saves.Go(func() error {
			release := sync.OnceFunc(func() {
				<-slots
				drained.Done()
			})
			defer release()
			return r.secondWalk(ctx, w, k, release)
		})
	}
	drained.Wait()
	return nil
}

func (r *run) secondWalk(ctx context.Context, w *windowRun, key string, release func()) error {
	it, _ := r.item(key)
	w.mu.Lock()
	first := w.first[key]
	w.mu.Unlock()
	parent := parentTree{tree: &first.Tree, trust: archive.TrustOf(first.Walk)}
	spool := &volume.Spool{
		Dir: r.host.state.SpoolDir(), Limit: r.app.Settings.SpoolSize,
		Memory: max(leastSpool, spoolMemory/max(2, int64(len(w.keys)))),
	}
	trees := archive.NewTrees(r.vault.repo, r.writer)
	walk, err := r.openWalk(ctx, w, it, trees, parent, spool)
	if err != nil {
		return r.walkFailed(ctx, key, err)
	}
	defer walk.Close()
	r.app.Log.Debug().Str("item", key).Msg("second walk began")
	watched := make(chan struct{})
	over := make(chan struct{})
	go func() {
		defer close(watched)
		select {
		case <-walk.Drained():
			r.app.Log.Debug().Str("item", key).Msg("second walk ended")
			release()
		case <-over:
		}
	}()
	res, err := r.saveWalk(ctx, walk, it, trees, parent)
	close(over)
	<-watched
	if err != nil {
		release()
		return r.walkFailed(ctx, key, err)
	}
	r.volumeSaved(key, res)
	return nil
}

// volumeSaved takes over what a walk came to.
func (r *run) volumeSaved(key string, res *archive.Result) {
	it, result := r.item(key)
	exclude := it.Volume.Excluded(r.isGood)
	r.mu.Lock()
	i := &result.item
	if i.VolumeInfo.File != "" && res.Files+res.Others+res.UnreadableCount == 0 {
		r.mu.Unlock()
		r.fail(key, fmt.Errorf("%s vanished while it was read", it.Volume.Docker))
		return
	}
	if i.State == manifest.Failed {
		r.mu.Unlock()
		return // it was given up meanwhile, and leaves no tree
	}
	i.Files, i.Bytes = res.Files+res.Others, int64(res.BytesAll)
	i.VolumeInfo.WalkStartedSec, i.VolumeInfo.WalkStartedNsec = res.Walk.Started.Sec, res.Walk.Started.Nsec
	i.VolumeInfo.StableInodes, i.VolumeInfo.SlackMillis = res.Walk.StableInodes, res.Walk.SlackMillis
	for _, w := range res.Warnings {
		i.Warnings = append(i.Warnings, warningText(w))
	}
	i.VolumeInfo.Exclude = exclude
	i.VolumeInfo.UnreadableCount = res.UnreadableCount
	for _, w := range res.Unreadable {
		i.VolumeInfo.Unreadable = append(i.VolumeInfo.Unreadable, w.Path)
		i.Warnings = append(i.Warnings, warningText(w))
	}
	if res.Partial() && it.Volume.OnError != labels.Warn {
		i.State = manifest.Partial
		i.Error = fmt.Sprintf("%d files could not be read, the first of them %s", res.UnreadableCount, warningText(res.Unreadable[0]))
	}
	node := res.Root
	node.Name = manifest.Escape(it.Name)
	result.nodes = []*repository.Node{&node}
	r.mu.Unlock()
	r.good(key)
}

func warningText(w volume.Warning) string { return fmt.Sprintf("%q: %s", w.Path, w.Text) }

// walk reads the volumes of a window while services go on. Where a second
// walk follows this one carries nearly all the data; else it is the item.
func (r *run) walk(ctx context.Context, op plan.Operation) error {
	w := r.window(op.Window)
	if w.lost != nil {
		return nil
	}
	again := r.walksAgain(op.Window)
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(maxWalks)
	for _, k := range w.keys {
		if r.failed(k) {
			continue
		}
		g.Go(func() error {
			res, err := r.firstWalk(gctx, w, k)
			if r.isFile(k, err) {
				if err = r.mountFile(gctx, w, k); err == nil {
					res, err = r.firstWalk(gctx, w, k)
				}
			}
			if err != nil {
				return r.walkFailed(gctx, k, err)
			}
			w.mu.Lock()
			w.first[k] = res
			w.mu.Unlock()
			if !again {
				r.volumeSaved(k, res)
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	r.app.crash("between-walks")
	if !again {
		return r.closeWindow(ctx, w)
	}
	w.lost = r.nothingLeft(w)
	return nil
}
