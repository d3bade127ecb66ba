package volume

import (
	"context"
	"errors"
	"io"
	"sync"

	"golang.org/x/sys/unix"
)

// emitter sends a walk's items in order, and reads what was not read ahead.
type emitter struct {
	w    *walker
	s    *sender
	x    fileReader
	res  WalkResult
	from int // where the content begins that was not sent yet, in the batch

	links map[fileID]*linked
	parts chan []byte // buffers for segments
	made  int
}

// fileID is a file of this machine.
type fileID struct{ dev, ino uint64 }

// linked is a file with several names: the first one, and how many of them are
// still to come, if all lie in the volume.
type linked struct {
	path string
	left uint64
}

const (
	segmentSize  = 1 << 20 // of the 4 MiB that one may have: it fits the cache
	segmentAhead = 3
)

func newEmitter(w *walker, s *sender) *emitter {
	return &emitter{
		w: w, s: s, x: fileReader{w: w},
		links: map[fileID]*linked{}, parts: make(chan []byte, segmentAhead),
	}
}

// run sends everything, and the end record.
func (e *emitter) run(started Time, syncErr error) error {
	e.res.Started, e.res.SlackMillis, e.res.StableInodes = started, e.w.root.fs.slack, e.w.root.fs.stable
	if syncErr != nil {
		e.note(Warning{Kind: WarnSync, Text: "sync the filesystem: " + errnoText(syncErr)})
	}
	var err error
	for b := range e.w.order {
		<-b.ready
		if err == nil {
			if err = e.batch(b); err != nil {
				e.w.stop(err)
			}
		}
		b.discard()
		select {
		case e.w.free <- b:
		default:
		}
	}
	if err != nil {
		return err
	}
	select {
	case <-e.w.done:
		return errStopped // the cause says why
	default:
	}
	if err := e.s.flush(nil); err != nil {
		return err
	}
	e.res.Opened = e.w.opened.Load()
	return e.s.end(e.res)
}

func (e *emitter) batch(b *batch) error {
	e.from = 0
	for i := range b.items {
		it := &b.items[i]
		if err := e.item(b, it); err != nil {
			return err
		}
		for _, v := range it.notes {
			e.note(v)
		}
		if len(e.s.recs.enc.buf) >= batchEnd {
			to := e.from + int(e.s.recs.inline)
			if err := e.send(b, to); err != nil {
				return err
			}
		}
	}
	if e.s.recs.inline > 0 {
		return e.send(b, e.from+int(e.s.recs.inline))
	}
	return nil
}

// send sends the records, and the content up to to.
func (e *emitter) send(b *batch, to int) error {
	err := e.s.flush(b.data[e.from:to])
	e.from = to
	return err
}

func (e *emitter) item(b *batch, it *item) error {
	switch it.kind {
	case itemEnter:
		entry := it.entry()
		entry.Path = it.dir.name
		e.s.recs.entry(EnterDir, &entry)
		e.res.count(EnterDir, &entry)
	case itemLeave:
		e.s.recs.leave()
	case itemFile:
		return e.file(b, it)
	}
	return nil
}

func (e *emitter) file(b *batch, it *item) error {
	switch it.state {
	case stateSame:
		e.isLink(it)
		e.s.recs.unchanged(it.ent.text())
		e.res.Unchanged++
		if it.m.typ == File {
			e.res.Files++
		} else {
			e.res.Others++
		}
	case stateOther:
		entry := it.entry()
		entry.HardLinkOf = e.isLink(it)
		e.other(&entry)
	case stateInline:
		entry := it.entry()
		entry.Size = int64(it.to - it.from)
		e.s.recs.file(&entry, entry.Size)
		e.res.count(FileStart, &entry)
		e.res.Bytes += entry.Size
	case stateStream:
		if first := e.isLink(it); first != "" {
			entry := it.entry()
			entry.HardLinkOf = first
			e.other(&entry)
			return nil
		}
		return e.stream(b, it)
	}
	return nil
}

func (e *emitter) other(entry *Entry) {
	e.s.recs.entry(Other, entry)
	e.res.count(Other, entry)
}

// isLink gives the first path of an item's file, or "" when this is it.
func (e *emitter) isLink(it *item) string {
	if it.m.links < 2 {
		return ""
	}
	id := fileID{it.m.dev, it.m.ino}
	known, ok := e.links[id]
	if !ok {
		e.links[id] = &linked{path: it.path(), left: it.m.links - 1}
		return ""
	}
	if known.left--; known.left == 0 {
		delete(e.links, id)
	}
	return known.path
}

// entry gives an item's entry, its path being its name only.
func (it *item) entry() Entry {
	n := Entry{Path: it.ent.text(), LinkTarget: it.target, Xattrs: it.xattrs}
	it.m.fill(&n)
	return n
}

func (e *emitter) note(v Warning) {
	kind := Warned
	if v.Kind == WarnUnreadable {
		kind = Unreadable
	}
	e.s.recs.warning(kind, v)
	e.res.count(kind, nil)
}

// stream sends a file in segments as it reads them.
func (e *emitter) stream(b *batch, it *item) error {
	before := it.m
	fd, ok := e.x.open(it)
	if !ok {
		e.forgetLink(before)
		return nil
	}
	defer unix.Close(fd)
	if it.m.ino != before.ino || it.m.dev != before.dev {
		// Another file has taken the name since it was looked at.
		e.forgetLink(before)
		if first := e.isLink(it); first != "" {
			entry := it.entry()
			entry.HardLinkOf = first
			e.other(&entry)
			return nil
		}
	}
	entry := it.entry()
	e.s.recs.entry(streamStart, &entry)
	e.res.count(FileStart, &entry)
	if err := e.send(b, e.from+int(e.s.recs.inline)); err != nil {
		return err
	}
	end, readErr, err := e.segments(fd, it.m)
	if err != nil {
		return err
	}
	e.s.recs.streamEnd()
	var after meta
	switch {
	case readErr != nil:
		e.forgetLink(it.m) // the next name of it is tried again
		it.fail(readErr, "read")
	case end != it.m.size || statFD(fd, &after) != nil || !it.m.sameContent(&after):
		it.warn(WarnChanged, "changed while it was read")
	}
	return nil
}

// forgetLink takes back that a file has been seen: it could not be read.
func (e *emitter) forgetLink(m meta) { delete(e.links, fileID{m.dev, m.ino}) }

// part is a piece of a file on its way from the disk to the stream.
type part struct {
	Segment
	data []byte
	err  error
}

// segments sends the content of an open file, reading ahead of what it sends.
// It gives how far it came, and apart from each other the file's error and the
// stream's.
func (e *emitter) segments(fd int, m meta) (end int64, readErr, err error) {
	ctx, cancel := context.WithCancel(context.Background())
	parts := make(chan part)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(func() {
		defer close(parts)
		e.readParts(ctx, fd, m, parts)
	})
	for p := range parts {
		if p.err != nil {
			readErr = p.err
			continue
		}
		if p.Hole {
			err = e.s.hole(p.Offset, p.Length)
		} else {
			err = e.s.segment(p.Offset, p.data)
			e.parts <- p.data[:cap(p.data)]
			e.res.Bytes += p.Length
		}
		if err != nil {
			return end, readErr, err
		}
		end = p.Offset + p.Length
	}
	return end, readErr, nil
}

// readParts reads a file's parts into out, up to the size that m gives.
func (e *emitter) readParts(ctx context.Context, fd int, m meta, out chan<- part) {
	give := func(p part) bool {
		select {
		case out <- p:
			return true
		case <-ctx.Done():
			return false
		}
	}
	sparse := m.size > 0 && m.blocks < uint64(m.size)/512
	unix.Fadvise(fd, 0, 0, unix.FADV_SEQUENTIAL) // a hint, nothing hangs on it
	for at := int64(0); at < m.size; {
		until := m.size
		if sparse {
			var hole int64
			hole, until = nextData(fd, at, m.size)
			if hole > 0 && !give(part{Segment: Segment{Offset: at, Length: hole, Hole: true}}) {
				return
			}
			at += hole
		}
		for at < until {
			buf, ok := e.buffer(ctx)
			if !ok {
				return
			}
			n, err := readAt(fd, buf[:min(int64(len(buf)), until-at)], at)
			if n > 0 && !give(part{Segment: Segment{Offset: at, Length: int64(n)}, data: buf[:n]}) {
				return
			}
			if n == 0 {
				e.parts <- buf
			}
			at += int64(n)
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				give(part{err: err})
				return
			}
		}
	}
}

// buffer gives a buffer for a segment, one of a fixed number.
func (e *emitter) buffer(ctx context.Context) ([]byte, bool) {
	if e.made < segmentAhead {
		select {
		case b := <-e.parts:
			return b, true
		default:
		}
		e.made++
		return make([]byte, segmentSize), true
	}
	select {
	case b := <-e.parts:
		return b, true
	case <-ctx.Done():
		return nil, false
	}
}

// nextData gives the length of the hole at an offset and where the data behind
// it ends. Where the filesystem does not know holes, all is data.
func nextData(fd int, at, size int64) (hole, until int64) {
	start, err := unix.Seek(fd, at, unix.SEEK_DATA)
	if errors.Is(err, unix.ENXIO) {
		return size - at, size
	}
	if err != nil || start < at {
		return 0, size
	}
	if start >= size {
		return size - at, size
	}
	end, err := unix.Seek(fd, start, unix.SEEK_HOLE)
	if err != nil || end <= start {
		end = size
	}
	return start - at, min(end, size)
}
