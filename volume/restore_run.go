package volume

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"

	"golang.org/x/sys/unix"
)

// restoreRun is one restore at the helper's end.
type restoreRun struct {
	req   RestoreRequest
	src   supply
	crash func(point string) // nil but in tests

	tree    *beneath
	staging string
	dir     int // of the staging directory; -1 in a dry run
	plan    *plan
	mu      sync.Mutex // guards rep's notes while several goroutines make them
	rep     *RestoreReport
	lenient *lenience
}

// metaWriter sets metadata, as strictly as was asked for.
func (r *restoreRun) metaWriter() *metaWriter {
	m := newMetaWriter(r.tree, r.warn)
	m.lenient = r.lenient
	return m
}

// runRestore brings the volume to what src lists. After an error the old data
// is in place, unless the error says that the volume has to be recovered.
//
// First everything is compared, and written down; then space is checked; then
// what differs is staged and synced; then the journal is sealed, and from then
// on the restore goes through whatever happens to its caller.
func runRestore(ctx context.Context, req RestoreRequest, src supply, crash func(string)) (*RestoreReport, error) {
	if err := checkRestoreID(req.ID); err != nil {
		return nil, err
	}
	tree, err := openBeneath(req.Root)
	if err != nil {
		return nil, err
	}
	defer tree.close()
	pending, err := pendingRestores(tree.root)
	if err != nil {
		return nil, err
	}
	if len(pending) > 0 {
		return nil, fmt.Errorf("%w (%s)", ErrRestorePending, pending[0])
	}
	if err := checkEmpty(tree.root, req); err != nil {
		return nil, err
	}
	r := &restoreRun{req: req, src: src, crash: crash, tree: tree, staging: StagingPrefix + req.ID, dir: -1, plan: &plan{}, rep: &RestoreReport{}, lenient: newLenience(req)}
	return r.rep, r.run(ctx)
}

func (r *restoreRun) run(ctx context.Context) error {
	if r.req.DryRun {
		return r.prepare(ctx)
	}
	defer func() {
		if r.dir >= 0 {
			unix.Close(r.dir) // only a handle
		}
	}()
	if err := unix.Mkdirat(r.tree.root.fd, r.staging, 0o700); err != nil {
		return fmt.Errorf("make the staging directory: %w", err)
	}
	if err := r.openStaging(); err != nil {
		return errors.Join(err, r.abandon())
	}
	defer r.plan.close()
	err := r.prepare(ctx)
	if err == nil && r.plan.journal.n > 1 {
		err = r.stage(ctx)
	}
	if err != nil {
		return errors.Join(err, r.abandon())
	}
	if r.plan.journal.n <= 1 {
		return r.abandon() // nothing differs
	}
	return r.apply()
}

// openStaging opens the staging directory that was just made. It keeps neither
// owner nor ACLs from the volume's root, for what is made in it would take them
// too.
func (r *restoreRun) openStaging() error {
	dir, err := r.tree.root.openDir(r.tree.root.fd, r.staging)
	if err != nil {
		return fmt.Errorf("open the staging directory: %w", err)
	}
	r.dir = dir
	for _, acl := range []string{"system.posix_acl_default", "system.posix_acl_access"} {
		if err := unix.Fremovexattr(dir, acl); err != nil && !errors.Is(err, unix.ENODATA) && !unsupported(err) {
			return fmt.Errorf("remove an inherited ACL from the staging directory: %w", err)
		}
	}
	m := newMetaWriter(r.tree, r.warn)
	own := opened(dir)
	if err := m.owner(own, &Entry{UID: m.uid, GID: m.gid}); err != nil {
		return fmt.Errorf("own the staging directory: %w", err)
	}
	if err := m.mode(own, &Entry{Mode: 0o700}); err != nil {
		return fmt.Errorf("close the staging directory to others: %w", err)
	}
	if r.plan, err = openPlan(dir); err != nil {
		r.plan = &plan{}
	}
	return err
}

func (r *restoreRun) warn(text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rep.warn(text)
}

// prepare compares, checks the space, and tells what is going to be done.
func (r *restoreRun) prepare(ctx context.Context) error {
	free, err := spaceOf(r.tree.root)
	if err != nil {
		return err
	}
	if err := r.compare(ctx, free.Block); err != nil {
		return err
	}
	if free, err = spaceOf(r.tree.root); err != nil {
		return err
	}
	if err := r.rep.checkSpace(free); err != nil {
		return err
	}
	return r.src.planned(r.rep)
}

// compare runs the comparer, the hashers and the decider, and waits for all.
func (r *restoreRun) compare(ctx context.Context, block int64) error {
	prot, err := newProtector(r.req)
	if err != nil {
		return err
	}
	mounts, err := mountsBelow(r.tree.root)
	if err != nil {
		return err
	}
	prot.mounts = mounts
	only, err := newScope(r.req.Only)
	if err != nil {
		return err
	}

	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	queue, work := make(chan *step, 256), make(chan *piece, 256)
	var wg sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), 8) {
		wg.Go(func() { newHasher().run(ctx, work) })
	}
	wg.Go(func() { newDecider(r.tree, r.req, r.plan, r.rep, block).run(ctx, queue, cancel) })

	c := &comparer{tree: r.tree, prot: prot, only: only, req: r.req, src: r.src, queue: queue, work: work}
	c.noDevices = r.lenient != nil && !r.mayMakeDevices()
	err = c.run(ctx)
	if err != nil {
		cancel(err)
	}
	close(work)
	close(queue)
	wg.Wait()
	c.unfinished.close()
	return context.Cause(ctx)
}

// stage makes the new data beside the old, all of it durable.
func (r *restoreRun) stage(ctx context.Context) error {
	for _, name := range []string{newDir, oldDir} {
		if err := unix.Mkdirat(r.dir, name, 0o700); err != nil {
			return fmt.Errorf("make the staging directory: %w", err)
		}
	}
	m := r.metaWriter()
	w := &writer{tree: r.tree, plan: r.plan, meta: m}
	w.direct.Store(takesDirect(r.tree.root.fd))
	s := &stager{tree: r.tree, staging: r.staging, plan: r.plan, meta: m, src: r.src, crash: r.crash, writer: w}
	for _, f := range []*planFile{r.plan.dirs, r.plan.files, r.plan.links, r.plan.blobs} {
		if err := f.flush(); err != nil {
			return err
		}
	}
	if err := s.run(ctx); err != nil {
		if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
			err = fmt.Errorf("%w; nothing was changed: %w", ErrNoSpace, err)
		}
		return err
	}
	if err := unix.Syncfs(r.tree.root.fd); err != nil {
		return fmt.Errorf("sync the volume: %w", err)
	}
	return context.Cause(ctx)
}

// abandon throws away what was staged. The journal goes first: should it have
// been sealed, it must not be found by a recovery.
func (r *restoreRun) abandon() error {
	if r.dir >= 0 {
		if err := unix.Unlinkat(r.dir, journalName, 0); err != nil && !isNotExist(err) {
			return fmt.Errorf("throw away what was staged: %w", err)
		}
	}
	if err := clearStaging(r.tree, r.staging); err != nil {
		return err
	}
	var old Entry
	r.tree.root.at.fill(&old)
	return newMetaWriter(r.tree, r.warn).setTimes("", &old)
}

// apply decides the restore and carries it through: forward, or if the volume
// refuses, back.
func (r *restoreRun) apply() error {
	if r.req.Hold {
		if err := mark(r.dir, markHold); err != nil {
			return errors.Join(err, r.abandon())
		}
	}
	if err := sealJournal(r.plan.journal); err != nil {
		return errors.Join(err, r.abandon())
	}
	if r.crash != nil {
		r.crash("before-rename")
	}
	j, err := openJournal(r.dir)
	if err != nil {
		return errors.Join(err, r.abandon())
	}
	defer j.close()
	a := &applier{tree: r.tree, staging: r.staging, dir: r.dir, meta: r.metaWriter(), crash: r.crash, hold: r.req.Hold}
	times := &j.head.new
	failed := a.forward(j)
	if failed == nil && r.req.Hold {
		return nil // what is left is for Keep, or for Recover
	}
	if failed != nil {
		if err := a.back(j); err != nil {
			return fmt.Errorf("the volume is neither as before nor restored, nothing is lost, and it has to be recovered: %w", errors.Join(failed, err))
		}
		times = &j.head.old
	}
	if err := clearStaging(r.tree, r.staging); err != nil {
		return errors.Join(failed, err)
	}
	return errors.Join(failed, a.meta.setTimes("", times), r.lenient.finish(r.tree, r.warn))
}
