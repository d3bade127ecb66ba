package sidecar

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/ripplebak/ripplebak/archive"
	"github.com/ripplebak/ripplebak/labels"
	"github.com/ripplebak/ripplebak/manifest"
	"github.com/ripplebak/ripplebak/plan"
	"github.com/ripplebak/ripplebak/repository"
	"github.com/ripplebak/ripplebak/volume"
)

// spoolMemory is how much of a window's second walks waits in memory before the
// disk is used, in bytes; leastSpool is the least that one walk may have of it.
const (
	spoolMemory = 64 << 20
	leastSpool  = 1 << 20
)

// windowRun is the state of one window: its helpers, and the walks that are
// still being saved.
type windowRun struct {
	name    string
	keys    []string           // of volumes
	dumps   []string           // keys of the dumps that are made in it by the server
	offline []string           // and of those that are made in a double
	doubles map[string]*double // by key of such a dump
	helpers []*helper
	where   map[string]mounted // by item key
	first   map[string]*archive.Result

	saves errgroup.Group // of second walks

	mu   sync.Mutex
	gone map[string]time.Time // services that are down, since when
	lost error
}

// mounted is where a volume of the window is to be found.
type mounted struct {
	helper *helper
	root   string
	only   string // the file of a bind that is a single one; empty: all of root
}

func (w *windowRun) mount(key string) (mounted, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	m, ok := w.where[key]
	return m, ok
}

func (w *windowRun) down(service string, at time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, ok := w.gone[service]; !ok {
		w.gone[service] = at
	}
}

func (w *windowRun) up(service string, at time.Time) (time.Duration, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	since, ok := w.gone[service]
	delete(w.gone, service)
	return at.Sub(since), ok
}

func (r *run) window(name string) *windowRun { return r.windows[name] }

// makeWindows makes the windows of the plan, with nothing in them but the dumps.
func (r *run) makeWindows() {
	for _, op := range r.plan.Operations {
		if op.Window == "" {
			continue
		}
		w, ok := r.windows[op.Window]
		if !ok {
			w = &windowRun{name: op.Window, where: map[string]mounted{}, first: map[string]*archive.Result{}, gone: map[string]time.Time{}, doubles: map[string]*double{}}
			r.windows[op.Window] = w
		}
		if op.Do != plan.DoDump {
			continue
		}
		switch it, _ := r.plan.Item(op.Items[0]); {
		case it.Dump.Offline:
			w.offline = append(w.offline, it.Key)
		default:
			w.dumps = append(w.dumps, it.Key)
		}
	}
}

// items are the keys of all that is saved in the window.
func (w *windowRun) items() []string { return slices.Concat(w.keys, w.dumps, w.offline) }

// windowLost says that nothing would be gained by stopping anything.
func (r *run) windowLost(name string) bool {
	w := r.windows[name]
	return w == nil || w.lost != nil || r.nothingLeft(w) != nil
}

// loseWindow fails every volume and every offline dump of a window, because its
// services could not be quiesced, and has them brought back at once. A dump by
// its server is a point in time by itself, so those that are still to come are
// made and say what they are not.
func (r *run) loseWindow(ctx context.Context, name string, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	w := r.window(name)
	w.lost = err
	for _, k := range slices.Concat(w.keys, w.offline) {
		r.fail(k, err)
	}
	if err := r.resumeAll(context.WithoutCancel(ctx)); err != nil {
		r.warn("%v", err) // it is tried again at every step that follows
	}
	return nil
}

// startHelpers starts one helper for all volumes of the window; if that fails,
// one for each, so that a dead volume fails its own item only.
func (r *run) startHelpers(ctx context.Context, op plan.Operation) error {
	w := r.window(op.Window)
	var names []string
	for _, k := range op.Items {
		if r.failed(k) {
			continue
		}
		it, _ := r.item(k)
		w.keys = append(w.keys, k)
		names = append(names, it.Volume.Docker)
	}
	if len(names) == 0 {
		w.lost = r.nothingLeft(w)
		return nil
	}
	err := r.addHelper(ctx, w, w.keys, names)
	if err == nil || len(names) == 1 {
		return r.helperFailed(ctx, w.keys, err)
	}
	r.warn("one helper for %d volumes could not be started, each gets its own: %v", len(names), err)
	for i, k := range w.keys {
		err := r.addHelper(ctx, w, []string{k}, names[i:i+1])
		if err := r.helperFailed(ctx, []string{k}, err); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) helperFailed(ctx context.Context, keys []string, err error) error {
	if err == nil {
		return nil
	}
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	for _, k := range keys {
		r.fail(k, err)
	}
	return nil
}

func (r *run) addHelper(ctx context.Context, w *windowRun, keys, names []string) error {
	h := r.early.take(names)
	if h == nil {
		var err error
		if h, err = r.app.startHelper(ctx, r.host, r.listener, r.id, names, false); err != nil {
			return err
		}
	}
	w.helpers = append(w.helpers, h)
	for i, k := range keys {
		w.where[k] = mounted{helper: h, root: r.host.mountPoint(i)}
	}
	return nil
}

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

// nothingLeft is errNoItem where nothing would be gained by stopping anything.
func (r *run) nothingLeft(w *windowRun) error {
	if slices.ContainsFunc(w.items(), func(k string) bool { return !r.failed(k) }) {
		return nil
	}
	return errNoItem
}

// errNoItem means that of a window no item is left that could be saved.
var errNoItem = errors.New("no item is left")

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
	w.where[key] = mounted{helper: h, root: r.host.mountPoint(0), only: name}
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

// closeWindow waits until the window's walks are saved, and ends its helpers.
// Their containers are removed while the run goes on, and gone when it ends.
func (r *run) closeWindow(ctx context.Context, w *windowRun) error {
	err := w.saves.Wait()
	for _, h := range w.helpers {
		r.removing.Go(func() {
			if err := h.close(context.WithoutCancel(ctx)); err != nil {
				r.warn("a helper could not be removed, the next run tries it again: %v", err)
			}
		})
	}
	w.helpers = nil
	for _, d := range w.doubles {
		r.removing.Go(func() {
			if err := d.close(context.WithoutCancel(ctx)); err != nil {
				r.warn("a helper could not be removed, the next run tries it again: %v", err)
			}
		})
	}
	clear(w.doubles)
	return err
}

// settleAll waits for everything that is still being saved.
func (r *run) settleAll(ctx context.Context) error {
	if err := r.closeWindows(ctx); err != nil {
		return err
	}
	for _, it := range r.plan.Items {
		_, res := r.item(it.Key)
		if !res.done {
			r.fail(it.Key, errors.New("the run did not come to it"))
		}
	}
	return nil
}

func (r *run) closeWindows(ctx context.Context) error {
	var errs []error
	for _, w := range r.windows {
		errs = append(errs, r.closeWindow(ctx, w))
	}
	return errors.Join(errs...)
}
