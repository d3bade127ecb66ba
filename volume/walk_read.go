package volume

import (
	"errors"
	"io"
	"slices"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// tries is how often a small file is read when it changes meanwhile.
const tries = 3

// reader looks at the items of one batch after the other.
func (w *walker) reader() {
	x := &fileReader{w: w}
	for b := range w.work {
		b.data = b.data[:0]
		for i := range b.items {
			x.look(b, &b.items[i])
		}
		close(b.ready)
	}
}

// fileReader looks at files; each goroutine has its own.
type fileReader struct {
	w      *walker
	xattrs xattrReader
	target []byte
}

// look finds out what an item is, and reads it if it is small.
func (x *fileReader) look(b *batch, it *item) {
	switch it.kind {
	case itemEnter:
		x.lookDir(it)
		return
	case itemFile:
	default:
		return
	}
	m := &it.m
	if err := statName(it.dir.fd, it.ent.nameZ(), m); err != nil {
		it.fail(err, "look at it")
		return
	}
	x.w.root.judgeLinks(m)
	if m.typ == Dir || m.typ == 0 {
		it.warn(WarnChanged, "became another type of file: not saved")
		return
	}
	if x.w.root.crossing(m) {
		it.warn(WarnMount, "something else is mounted there: not saved")
		return
	}
	if it.hasKnown && x.w.unchanged(&it.known, m) {
		it.state = stateSame
		return
	}
	switch {
	case m.typ == Symlink:
		x.readLink(it)
	case m.typ != File:
		it.state = stateOther
		it.setXattrs(x.xattrs.ofName(it.dir.fd, it.ent.text()))
	case m.links > 1, m.size > smallFile, int64(len(b.data))+m.size > batchContent:
		it.state = stateStream
	default:
		x.readSmall(b, it)
	}
}

// unchanged is the helper's half of the trust rule: all is as recorded. That the
// record may be trusted was decided by who sent it.
func (w *walker) unchanged(k *Known, m *meta) bool {
	return k.Type == m.typ && (m.typ != File || k.Size == m.size) &&
		k.ModTime == m.mtime && k.ChangeTime == m.ctim &&
		(k.Inode == m.ino || !w.root.fs.stable)
}

func (x *fileReader) lookDir(it *item) {
	if err := statFD(it.dir.fd, &it.m); err != nil {
		// It was opened, so this cannot be for want of rights.
		it.note(Warning{Kind: WarnUnreadable, Path: it.dir.path, Text: "look at it: " + errnoText(err)})
		it.m = meta{typ: Dir, mode: 0o700}
	}
	it.setXattrs(x.xattrs.ofFD(it.dir.fd))
}

func (x *fileReader) readLink(it *item) {
	if x.target == nil {
		x.target = make([]byte, maxTarget+1)
	}
	n, err := unix.Readlinkat(it.dir.fd, strings.Clone(it.ent.text()), x.target)
	if errors.Is(err, unix.EINVAL) { // it is no link any more
		it.warn(WarnChanged, "became another type of file: not saved")
		return
	}
	if err != nil {
		it.fail(err, "read the link")
		return
	}
	if n == 0 || n > maxTarget {
		it.note(Warning{Kind: WarnUnreadable, Path: it.path(), Text: "its link target is empty or too long"})
		return
	}
	it.target, it.state = string(x.target[:n]), stateOther
}

// open opens an item's file and takes its metadata from what was opened. It
// says in the item why not.
func (x *fileReader) open(it *item) (fd int, ok bool) {
	fd, err := x.w.root.openFile(it.dir.fd, strings.Clone(it.ent.text()))
	if err != nil {
		it.note(openingFailed(it.path(), err))
		return -1, false
	}
	x.w.opened.Add(1)
	if err := statFD(fd, &it.m); err != nil {
		unix.Close(fd)
		it.fail(err, "look at it")
		return -1, false
	}
	x.w.root.judgeLinks(&it.m)
	if it.m.typ != File {
		unix.Close(fd)
		it.warn(WarnChanged, "became another type of file: not saved")
		return -1, false
	}
	it.setXattrs(x.xattrs.ofFD(fd))
	return fd, true
}

// readSmall reads a small file whole, and again if it changes meanwhile.
func (x *fileReader) readSmall(b *batch, it *item) {
	start := len(b.data)
	for try := 1; ; try++ {
		b.data = b.data[:start]
		same := x.readOnce(b, it)
		if it.state != stateInline || same {
			return
		}
		if try == tries {
			it.warn(WarnChanged, "changed while it was read")
			return
		}
	}
}

// readOnce reads a file into the batch and says whether it stayed the same. The
// item's state says whether it was read at all.
func (x *fileReader) readOnce(b *batch, it *item) (same bool) {
	it.state, it.xattrs = stateSkipped, nil
	fd, ok := x.open(it)
	if !ok {
		return false
	}
	defer unix.Close(fd)
	if int64(len(b.data))+it.m.size > batchContent || it.m.links > 1 {
		it.state = stateStream
		return false
	}
	it.from = len(b.data)
	b.data = slices.Grow(b.data, int(it.m.size))
	n, err := readAt(fd, b.data[it.from:it.from+int(it.m.size)], 0)
	if err != nil && !errors.Is(err, io.EOF) {
		it.fail(err, "read")
		return false
	}
	it.to = it.from + n
	b.data = b.data[:it.to]
	it.state = stateInline
	var after meta
	if err := statFD(fd, &after); err != nil {
		return false
	}
	return n == int(it.m.size) && it.m.sameContent(&after)
}

// readAt fills p from offset; io.EOF says that the file ended before.
func readAt(fd int, p []byte, offset int64) (int, error) {
	n := 0
	for n < len(p) {
		m, err := ignoringEINTR(func() (int, error) { return unix.Pread(fd, p[n:], offset+int64(n)) })
		if err != nil {
			return n, err
		}
		if m == 0 {
			return n, io.EOF
		}
		n += m
	}
	return n, nil
}

func (it *item) path() string { return it.dir.pathOf(it.ent.text()) }

func (it *item) note(v Warning) { it.notes = append(it.notes, v) }

func (it *item) warn(kind WarningKind, text string) {
	it.note(Warning{Kind: kind, Path: it.path(), Text: text})
}

// fail notes that a file could not be read; that it is gone is no failure.
func (it *item) fail(err error, doing string) {
	it.state = stateSkipped
	if errors.Is(err, unix.ENOENT) {
		it.warn(WarnVanished, "vanished")
		return
	}
	it.warn(WarnUnreadable, doing+": "+errnoText(err))
}

// setXattrs keeps an item's attributes, or notes that they are lost.
func (it *item) setXattrs(xs []Xattr, err error) {
	it.xattrs = xs
	if err == nil || errors.Is(err, unix.ENOENT) {
		return
	}
	path := it.dir.path
	if it.kind == itemFile {
		path = it.path()
	}
	it.note(Warning{Kind: WarnXattr, Path: path, Text: "extended attributes not saved: " + err.Error()})
}

// unsafeString gives bytes as a string that is good until they change.
func unsafeString(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
