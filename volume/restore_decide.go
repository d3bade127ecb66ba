package volume

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
)

// decider turns what the comparer found into the plan: what is staged, and
// which operations bring it in. It runs alone, in the order of the walk, so
// that what it knows of hard links is complete whenever it is asked.
type decider struct {
	tree  *beneath
	req   RestoreRequest
	plan  *plan
	rep   *RestoreReport
	block int64 // what the filesystem hands out space by

	links   map[linkKey]linkState
	claimed map[uint64]bool // inodes with several names that stay as a file of the snapshot
	xattrs  xattrReader
	cur     contentState
}

// linkKey stands for a path: half of its SHA-256, so that a million of them
// stay small.
type linkKey [16]byte

func keyOfPath(path string) linkKey {
	sum := sha256.Sum256([]byte(path))
	return linkKey(sum[:16])
}

// linkState is where the first of several names of a file is to be found.
type linkState struct {
	inode  uint64 // kept in place: the file that it is
	at     place  // else: where it is staged
	staged bool
}

// contentState is what is known of the file whose pieces are being taken.
type contentState struct {
	first, count         int64
	fetch, reused, holes int64
	same                 bool
}

func newDecider(tree *beneath, req RestoreRequest, p *plan, rep *RestoreReport, block int64) *decider {
	return &decider{
		tree: tree, req: req, plan: p, rep: rep, block: max(block, 512),
		links: map[linkKey]linkState{}, claimed: map[uint64]bool{},
	}
}

// run takes steps until there are no more, also after an error, so that every
// file in place that was opened is closed. fail is told the error.
func (d *decider) run(ctx context.Context, queue <-chan *step, fail func(error)) {
	failed := false
	for s := range queue {
		if s.piece != nil && s.piece.done != nil {
			<-s.piece.done
		}
		if !failed && ctx.Err() == nil {
			if err := d.take(s); err != nil {
				failed = true
				fail(err)
			}
		}
		if s.last {
			s.file.close()
		}
	}
}

func (d *decider) take(s *step) error {
	switch s.kind {
	case stepEnter:
		return d.enter(s.frame)
	case stepLeave:
		return d.leave(s.frame)
	case stepExtra:
		d.rep.Removed++
		return d.moveOut(s.frame, s.entry.Path, s.at.n, s.dirOn)
	case stepSkip:
		d.skip(s)
		return nil
	case stepLeft:
		d.rep.leave(s.entry.Path, s.reason)
		return nil
	case stepBlobs:
		return d.content(s)
	}
	if s.entry.Type == Dir {
		d.rep.Dirs++
		return d.makeDir(s)
	}
	d.rep.Files++
	if s.entry.HardLinkOf != "" {
		return d.link(s)
	}
	if s.entry.Type == File {
		d.cur = contentState{first: d.plan.blobCount, same: true}
		return d.content(s)
	}
	return d.special(s)
}

// enter begins a directory that stays; the root's begins the journal.
func (d *decider) enter(f *frame) error {
	if !f.extra {
		d.rep.Dirs++
	}
	if f.path != "" {
		return nil
	}
	head := operation{kind: opHead, path: d.req.ID, new: f.entry}
	f.onDisk.fill(&head.old)
	// At once: whatever clears up after a kill puts the root's times back by it.
	if err := errors.Join(d.plan.journal.add(head.encode), d.plan.journal.flush()); err != nil {
		return err
	}
	return errors.Join(d.noteEmpty(), d.noteAbsent())
}

func (d *decider) skip(s *step) {
	if s.reason != "" {
		d.rep.skip(s.entry.Path, s.reason)
	}
	if s.entry.Links > 1 && s.entry.HardLinkOf == "" && s.onDisk != nil && s.onDisk.typ != Dir {
		d.links[keyOfPath(s.entry.Path)] = linkState{inode: s.onDisk.ino}
	}
}

// moveOut plans that what lies at path goes aside.
func (d *decider) moveOut(f *frame, path string, n uint64, isDir bool) error {
	f.changed = true
	return d.plan.journal.add(operation{kind: opRemove, path: path, n: n, dir: isDir}.encode)
}

// moveIn plans that what is staged at the step's place comes in, after what is
// there has gone aside. What is staged inside a new directory comes with it.
func (d *decider) moveIn(s *step) error {
	if s.onDisk != nil {
		if err := d.moveOut(s.frame, s.entry.Path, s.at.n, s.onDisk.typ == Dir); err != nil {
			return err
		}
		d.rep.Replaced++
	} else {
		d.rep.Created++
	}
	if s.frame.kind != frameKept || !s.at.lone(s.entry.Path) {
		return nil
	}
	s.frame.changed = true
	return d.plan.journal.add(operation{kind: opPlace, path: s.entry.Path, n: s.at.n, dir: s.entry.Type == Dir}.encode)
}

// needs counts what a new file takes of the volume.
func (d *decider) needs(bytes int64) {
	d.rep.NeedInodes++
	d.rep.NeedBytes += (bytes + d.block - 1) / d.block * d.block
}

func (d *decider) makeDir(s *step) error {
	d.needs(d.block)
	rec := stagedDir{entry: s.entry, at: s.at}
	if err := d.plan.dirs.add(rec.encode); err != nil {
		return err
	}
	return d.moveIn(s)
}

// content takes a piece of a file's content, and decides with the last. What
// stays whole, in one piece, is not written down.
func (d *decider) content(s *step) error {
	p, whole := s.piece, false
	if p != nil {
		d.tally(p)
		whole = s.last && d.cur.count == int64(len(p.blobs))
		if !whole {
			if err := d.plan.addBlobs(p.blobs, p.same); err != nil {
				return err
			}
		}
	}
	if !s.last {
		return nil
	}
	if s.file != nil {
		d.rep.Compared++
	}
	stays := !d.req.Hold && s.onDisk != nil && s.onDisk.typ == File && s.onDisk.size == s.entry.Size &&
		(s.intact || s.file.err == nil && d.cur.same)
	if stays {
		if fits, err := d.mayStay(s); err != nil {
			return err
		} else if fits {
			return d.keep(s)
		}
	}
	if s.intact {
		return hostile(s.entry.Path, "it has the inode of another file")
	}
	if whole {
		if err := d.plan.addBlobs(p.blobs, p.same); err != nil {
			return err
		}
	}
	return d.stageFile(s)
}

func (d *decider) tally(p *piece) {
	if p.file != nil {
		d.rep.BytesCompared += p.end - p.start
	}
	d.cur.count += int64(len(p.blobs))
	for i, b := range p.blobs {
		switch {
		case p.same != nil && p.same[i]:
			d.cur.reused += int64(b.Length)
			continue
		case b.Hole:
			d.cur.holes += int64(b.Length)
		default:
			d.cur.fetch += int64(b.Length)
		}
		d.cur.same = false
	}
}

// mayStay says whether what is on disk can be the snapshot's file in place. One
// with several names can be only one file of the snapshot, and must not be
// touched where other names of it may not be: names that stay though they are
// no part of this would get its metadata.
func (d *decider) mayStay(s *step) (bool, error) {
	switch {
	case s.onDisk.links <= 1:
		return true, nil
	case d.claimed[s.onDisk.ino]:
		return false, nil
	case s.intact:
		return true, nil
	case s.onDisk.links != s.entry.Links:
		return false, nil
	case len(d.req.Only) == 0 && !d.req.KeepExtra:
		return true, nil
	}
	_, differs, err := d.metadata(&s.entry, s.onDisk)
	return !differs, err
}

// keep leaves what is on disk in place, and mends its metadata if need be.
func (d *decider) keep(s *step) error {
	if s.onDisk.links > 1 {
		d.claimed[s.onDisk.ino] = true
	}
	d.remember(s, linkState{inode: s.onDisk.ino})
	if s.intact {
		d.rep.Unchanged++
		d.rep.Intact++
		return nil
	}
	op, differs, err := d.metadata(&s.entry, s.onDisk)
	if err != nil {
		return err
	}
	if !differs {
		d.rep.Unchanged++
		return nil
	}
	d.rep.MetadataOnly++
	return d.plan.journal.add(op.encode)
}

// remember notes where a file with several names is, for the names to come.
func (d *decider) remember(s *step, state linkState) {
	if s.entry.Links > 1 {
		d.links[keyOfPath(s.entry.Path)] = state
	}
}

// metadata compares what is on disk with an entry, and gives the operation that
// makes it so.
func (d *decider) metadata(e *Entry, m *meta) (operation, bool, error) {
	op := operation{kind: opMeta, path: e.Path, new: *e}
	op.old.Path = e.Path
	m.fill(&op.old)
	err := d.tree.at(e.Path, func(dir int, name string) (err error) {
		op.old.Xattrs, err = d.xattrs.ofName(dir, name)
		return err
	})
	if err != nil {
		return op, false, fmt.Errorf("read the attributes of %q: %w", e.Path, err)
	}
	differs := m.uid != e.UID || m.gid != e.GID || m.mode != e.Mode && e.Type != Symlink ||
		m.mtime != e.ModTime || !sameXattrs(op.old.Xattrs, e.Xattrs)
	return op, differs, nil
}

func (d *decider) stageFile(s *step) error {
	d.rep.BytesFetched += d.cur.fetch
	d.rep.BytesReused += d.cur.reused
	d.rep.BytesHoles += d.cur.holes
	d.needs(d.cur.fetch + d.cur.reused)
	rec := stagedFile{entry: s.entry, at: s.at, first: d.cur.first, count: d.cur.count}
	if d.cur.reused > 0 {
		rec.reuse, rec.size, rec.mtime, rec.ctime = true, s.onDisk.size, s.onDisk.mtime, s.onDisk.ctim
	}
	if err := d.plan.files.add(rec.encode); err != nil {
		return err
	}
	d.remember(s, linkState{staged: true, at: s.at})
	return d.moveIn(s)
}

// special handles symlinks, devices and FIFOs.
func (d *decider) special(s *step) error {
	if s.onDisk != nil && s.onDisk.typ == s.entry.Type {
		same, err := d.sameSpecial(s)
		if err != nil {
			return err
		}
		if same {
			same, err = d.mayStay(s)
		}
		if err != nil {
			return err
		}
		if same {
			return d.keep(s)
		}
	}
	d.needs(0)
	rec := stagedFile{entry: s.entry, at: s.at}
	if err := d.plan.files.add(rec.encode); err != nil {
		return err
	}
	d.remember(s, linkState{staged: true, at: s.at})
	return d.moveIn(s)
}

func (d *decider) sameSpecial(s *step) (bool, error) {
	switch s.entry.Type {
	case Symlink:
		target, err := d.tree.readlink(s.entry.Path)
		if err != nil {
			return false, fmt.Errorf("read symlink %q: %w", s.entry.Path, err)
		}
		return target == s.entry.LinkTarget, nil
	case CharDevice, BlockDevice:
		return s.onDisk.rdev == s.entry.Rdev, nil
	}
	return true, nil
}

// link handles a further name of a file.
func (d *decider) link(s *step) error {
	first, ok := d.links[keyOfPath(s.entry.HardLinkOf)]
	if !ok {
		return hostile(s.entry.Path, fmt.Sprintf("a hard link to %.100q, which is no file before it", s.entry.HardLinkOf))
	}
	if !first.staged && s.onDisk != nil && s.onDisk.ino == first.inode {
		d.rep.Unchanged++
		return nil
	}
	rec := stagedLink{path: s.entry.Path, at: s.at, source: s.entry.HardLinkOf, staged: first.staged, from: first.at}
	if err := d.plan.links.add(rec.encode); err != nil {
		return err
	}
	return d.moveIn(s)
}

// leave ends a directory that stays: its times were moved by what came and
// went, if anything did.
func (d *decider) leave(f *frame) error {
	if !f.changed && !d.req.VerifyAll && d.tree.root.fs.stable && f.onDisk.ino == f.entry.Inode && f.onDisk.ctim == f.entry.ChangeTime {
		if !f.extra {
			d.rep.Unchanged++
		}
		return nil
	}
	op, differs, err := d.metadata(&f.entry, &f.onDisk)
	if err != nil {
		return err
	}
	switch {
	case f.extra:
		op.new, op.timesOnly, differs = op.old, true, false
	case differs:
		d.rep.MetadataOnly++
	default:
		op.timesOnly = true
		d.rep.Unchanged++
	}
	if !differs && !f.changed {
		return nil
	}
	return d.plan.journal.add(op.encode)
}
