package volume

import (
	"context"
	"errors"
	"fmt"
	"io"
)

// supply is where a restore at the helper's end gets everything from: the other
// end of its stream.
type supply interface {
	// entry gives the listing's next entry and how many blobs its content has;
	// io.EOF only after the proven end of the listing.
	entry() (*Entry, int64, error)
	// blobs gives the next of the current entry's blobs, at least one.
	blobs() ([]Blob, error)
	// planned tells what is going to be done, before anything is staged.
	planned(*RestoreReport) error
	// want asks for blobs, each once; they are then got by blob, in any order.
	want([]Blob) error
	// blob gives the index, in what was wanted, and the length of the next blob;
	// read then fills exactly that much. io.EOF when all have been sent.
	blob() (index int, length int, err error)
	read(p []byte) error
}

// frame is a directory of the listing while its entries are taken.
type frame struct {
	path string
	kind frameKind
	at   place  // staged: where
	last string // the name that was listed last

	names []dirent // kept: what is on disk, ascending
	next  int      // the first of names that has not been passed

	entry Entry // what it is to be
	extra bool  // keeps its metadata: it is an overlay's, or not in the snapshot and stays for what it holds

	// Owned by the decider:
	onDisk  meta
	changed bool // something was moved in or out
}

type frameKind uint8

const (
	frameKept    frameKind = iota // is on disk and stays
	frameStaged                   // is made anew with all below
	frameSkipped                  // is left alone with all below
)

// step is what the comparer hands to the decider, in the order of the walk.
type step struct {
	kind   stepKind
	entry  Entry
	frame  *frame // the directory that holds it; of stepEnter and stepLeave, itself
	at     place
	onDisk *meta // nil: nothing is there
	dirOn  bool  // stepExtra: it is a directory
	reason string

	intact bool       // it looks as recorded: the content is not compared
	file   *candidate // what is there is compared by content
	piece  *piece     // the first, or of stepBlobs a further, piece of its content
	last   bool       // no further stepBlobs follows
}

type stepKind uint8

const (
	stepEnter stepKind = iota
	stepLeave
	stepExtra // on disk, not in the snapshot
	stepSkip
	stepLeft // on disk, not in the snapshot, and stays
	stepEntry
	stepBlobs
)

// comparer merges the listing with what is on disk. It only reads. It runs
// ahead of the decider by the capacity of queue.
type comparer struct {
	tree *beneath
	prot *protector
	only scope
	// noDevices leaves devices out.
	noDevices bool
	req       RestoreRequest
	src       supply
	queue     chan<- *step
	work      chan<- *piece

	frames     []*frame
	nextN      uint64
	unfinished *candidate // of an entry whose last step was not sent
	emptied    []string   // directories of the request's Empty that were listed
}

// run takes the whole listing.
func (c *comparer) run(ctx context.Context) error {
	for {
		e, count, err := c.src.entry()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("receive the snapshot's listing: %w", err)
		}
		if err := c.take(ctx, e, count); err != nil {
			return err
		}
	}
	if len(c.frames) == 0 {
		return hostile("", "the listing is empty")
	}
	for len(c.frames) > 0 {
		if err := c.pop(ctx); err != nil {
			return err
		}
	}
	return c.checkEmptied()
}

func (c *comparer) send(ctx context.Context, s *step) error {
	select {
	case c.queue <- s:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (c *comparer) top() *frame { return c.frames[len(c.frames)-1] }

// take handles one entry of the listing.
func (c *comparer) take(ctx context.Context, e *Entry, blobs int64) error {
	if err := checkEntry(e); err != nil {
		return err
	}
	if err := c.checkScope(e); err != nil {
		return err
	}
	if blobs != 0 && (e.Type != File || e.HardLinkOf != "") || blobs < 0 || blobs > e.Size {
		return hostile(e.Path, fmt.Sprintf("%d blobs for %d bytes", blobs, e.Size))
	}
	if e.Type == Dir && c.req.empties(e.Path) {
		c.emptied = append(c.emptied, e.Path)
	}
	if e.Path == "" {
		if len(c.frames) > 0 {
			return hostile("", "the root comes twice")
		}
		// As it was before our own directory came.
		if c.only.passes("") {
			f, err := c.passThrough("", c.tree.root.at)
			if err != nil {
				return err
			}
			return c.enter(ctx, f)
		}
		return c.enter(ctx, c.kept(e, c.tree.root.at))
	}
	if err := c.descendTo(ctx, e.Path); err != nil {
		return err
	}
	switch top := c.top(); top.kind {
	case frameSkipped:
		return c.skip(ctx, e, blobs, nil, "")
	case frameStaged:
		at := place{n: top.at.n, rootLen: top.at.rootLen}
		return c.makeNew(ctx, e, blobs, at, nil)
	default:
		return c.match(ctx, e, blobs)
	}
}

// descendTo leaves directories until the one that holds path is the current
// one, and checks that path comes after all that was listed there.
func (c *comparer) descendTo(ctx context.Context, path string) error {
	if len(c.frames) == 0 {
		return hostile(path, "the listing does not begin with the root")
	}
	up, name := splitPath(path)
	if err := checkName(path, name); err != nil {
		return err
	}
	for c.top().path != up {
		if isAtOrBelow(up, c.top().path) || len(c.frames) == 1 {
			return hostile(path, "its directory was not listed before it")
		}
		if err := c.pop(ctx); err != nil {
			return err
		}
	}
	top := c.top()
	if name <= top.last {
		return hostile(path, "not in order, or twice")
	}
	top.last = name
	return nil
}

// pop ends the current directory.
func (c *comparer) pop(ctx context.Context) error {
	top := c.top()
	if top.kind == frameKept {
		if err := c.extras(ctx, top, func(string) bool { return true }); err != nil {
			return err
		}
		if err := c.send(ctx, &step{kind: stepLeave, frame: top}); err != nil {
			return err
		}
	}
	c.frames = c.frames[:len(c.frames)-1]
	return nil
}

// enter goes into a directory that is on disk and stays.
func (c *comparer) enter(ctx context.Context, f *frame) error {
	h, err := c.tree.dir(f.path)
	if err != nil {
		return err
	}
	// The handle may have been listed before: begin at its start.
	f.names, err = listAgain(h.fd)
	c.tree.release(h)
	if err != nil {
		return fmt.Errorf("list directory %q: %w", f.path, err)
	}
	c.frames = append(c.frames, f)
	return c.send(ctx, &step{kind: stepEnter, frame: f})
}

// match handles an entry whose directory is on disk and stays.
func (c *comparer) match(ctx context.Context, e *Entry, blobs int64) error {
	top := c.top()
	if err := c.extras(ctx, top, func(name string) bool { return name < top.last }); err != nil {
		return err
	}
	var there *meta
	if top.next < len(top.names) && top.names[top.next].text() == top.last {
		top.next++
		m, err := c.tree.stat(e.Path)
		if err != nil && !isNotExist(err) {
			return fmt.Errorf("look at %q: %w", e.Path, err)
		}
		if err == nil {
			there = &m
		}
	}
	if why := c.prot.why(e.Path); there != nil && why != "" {
		return c.skip(ctx, e, blobs, there, "left alone: "+why)
	}
	if there == nil && isStagingName(e.Path) {
		return hostile(e.Path, "the name of a restore's own directory")
	}
	if there != nil && c.only.passes(e.Path) {
		f, err := c.passThrough(e.Path, *there)
		if err != nil {
			return err
		}
		return c.enter(ctx, f)
	}
	if there != nil && there.typ == Dir && e.Type == Dir {
		if c.req.belowEmptied(e.Path) {
			return hostile(e.Path, "it lies in a directory that is emptied")
		}
		return c.enter(ctx, c.kept(e, *there))
	}
	if there != nil && there.typ == Dir {
		if err := c.checkMovable(e.Path); err != nil {
			return err
		}
	}
	c.nextN++
	return c.makeNew(ctx, e, blobs, place{n: c.nextN, rootLen: len(e.Path)}, there)
}

// makeNew handles an entry that is not a directory on disk: missing, of another
// type, or to be compared.
func (c *comparer) makeNew(ctx context.Context, e *Entry, blobs int64, at place, there *meta) error {
	parent := c.top()
	if e.Type == Socket {
		if there != nil && there.typ != Socket {
			if err := c.extra(ctx, parent, e.Path, there.typ); err != nil {
				return err
			}
		}
		return c.skip(ctx, e, 0, nil, "a socket: its server makes it anew")
	}
	if c.noDevices && there == nil && (e.Type == CharDevice || e.Type == BlockDevice) {
		return c.skip(ctx, e, 0, nil, "a device, which only root may make")
	}
	if c.req.Overlay {
		adopt(e, &parent.entry, there)
		c.req.own(e)
	}
	if e.Type == Dir {
		c.frames = append(c.frames, &frame{path: e.Path, kind: frameStaged, at: at, entry: *e})
	}
	s := &step{kind: stepEntry, entry: *e, frame: parent, at: at, onDisk: there, last: true}
	if e.Type != File || e.HardLinkOf != "" {
		return c.send(ctx, s)
	}
	if there != nil && there.typ == File {
		if s.intact = c.intact(e, there); s.intact {
			if err := c.discard(e, blobs); err != nil {
				return err
			}
			return c.send(ctx, s)
		}
		s.file = &candidate{tree: c.tree, path: e.Path, is: *there, fd: -1}
	}
	return c.content(ctx, s, blobs)
}

// intact says whether what is on disk looks exactly as recorded, so that its
// content need not be read.
func (c *comparer) intact(e *Entry, m *meta) bool {
	if c.req.VerifyAll || !c.tree.root.fs.stable || c.tree.root.fs.silent {
		return false
	}
	if b := c.req.TrustBefore; !b.IsZero() && !(e.ModTime.Before(b) && e.ChangeTime.Before(b)) {
		return false
	}
	return m.size == e.Size && m.mtime == e.ModTime && m.ctim == e.ChangeTime && m.ino == e.Inode &&
		m.mode == e.Mode && m.uid == e.UID && m.gid == e.GID
}

// content sends a file's step, and its blobs in pieces of bounded size, which
// go to the hashers as well when there is something to compare with.
func (c *comparer) content(ctx context.Context, s *step, blobs int64) error {
	offset := int64(0)
	c.unfinished = s.file
	for {
		if blobs > 0 {
			list, err := c.nextBlobs(&s.entry, &blobs, offset)
			if err != nil {
				return err
			}
			s.piece = newPiece(s.file, list, offset)
			offset = s.piece.end
		}
		s.last = blobs == 0
		if s.last && offset != s.entry.Size {
			return hostile(s.entry.Path, fmt.Sprintf("%d bytes of blobs for %d bytes", offset, s.entry.Size))
		}
		if s.piece != nil && s.file != nil {
			select {
			case c.work <- s.piece:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		last := s.last // s is the decider's from here on
		if err := c.send(ctx, s); err != nil {
			return err
		}
		if last {
			c.unfinished = nil
			return nil
		}
		s = &step{kind: stepBlobs, entry: s.entry, frame: s.frame, at: s.at, onDisk: s.onDisk, file: s.file}
	}
}

// nextBlobs takes the next blobs of a file and checks them.
func (c *comparer) nextBlobs(e *Entry, left *int64, offset int64) ([]Blob, error) {
	list, err := c.src.blobs()
	if err != nil {
		return nil, fmt.Errorf("receive the snapshot's listing: %w", err)
	}
	if *left -= int64(len(list)); *left < 0 {
		return nil, hostile(e.Path, "more blobs than announced")
	}
	for _, b := range list {
		if err := checkBlob(e.Path, b); err != nil {
			return nil, err
		}
		if offset += int64(b.Length); offset > e.Size {
			return nil, hostile(e.Path, "more content than its size")
		}
	}
	return list, nil
}

// discard passes over the content of an entry.
func (c *comparer) discard(e *Entry, blobs int64) error {
	for blobs > 0 {
		if _, err := c.nextBlobs(e, &blobs, 0); err != nil {
			return err
		}
	}
	return nil
}

// skip passes over an entry, and over all that will be listed below it.
func (c *comparer) skip(ctx context.Context, e *Entry, blobs int64, there *meta, reason string) error {
	if err := c.discard(e, blobs); err != nil {
		return err
	}
	s := &step{kind: stepSkip, entry: *e, frame: c.top(), onDisk: there, reason: reason}
	if e.Type == Dir {
		c.frames = append(c.frames, &frame{path: e.Path, kind: frameSkipped})
	}
	return c.send(ctx, s)
}
