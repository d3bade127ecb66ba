package volume

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// walker is a walk at the helper's end. One goroutine lists directories and
// matches names with what is known; several look at the files, and read the
// small ones; one sends, in order. Each waits for the next one when it is
// batchesAhead ahead.
type walker struct {
	root    *root
	exclude excluder
	only    string // the one name that is walked; empty: all
	known   *knownReader
	stop    func(error) // ends the walk with an error
	done    <-chan struct{}

	work  chan *batch // to the readers
	order chan *batch // to the emitter
	free  chan *batch

	seen   bool // something at the root, by the lister
	now    *batch
	opened atomic.Int64 // regular files
}

// batch is a run of items in walk order.
type batch struct {
	items []item
	data  []byte // content of small files, end to end
	ready chan struct{}
}

type itemKind uint8

const (
	itemEnter itemKind = iota + 1
	itemLeave
	itemFile // anything but a directory
	itemNote // only a warning
)

type itemState uint8

const (
	stateSkipped itemState = iota // only its warning counts
	stateSame
	stateInline // its content is data[from:to] of the batch
	stateStream // its content is still to be read
	stateOther
)

// item is one step of the walk, filled in first by the lister, then by a reader.
type item struct {
	kind     itemKind
	dir      *openedDir // that holds it; that is entered or left
	ent      dirent
	known    Known
	hasKnown bool

	state    itemState
	m        meta
	from, to int
	target   string
	xattrs   []Xattr
	notes    []Warning
}

// openedDir is a directory whose descriptor stays open as long as somebody
// needs it.
type openedDir struct {
	fd   int
	path string
	name string
	refs atomic.Int32
}

func (d *openedDir) release() {
	if d.refs.Add(-1) == 0 {
		unix.Close(d.fd)
	}
}

func (d *openedDir) pathOf(name string) string {
	if d.path == "" {
		return strings.Clone(name)
	}
	return d.path + "/" + name
}

// maxOpenDepth bounds how deep directories may lie inside one another: each
// level holds a descriptor. A path through more cannot be named by any program
// in one go.
const maxOpenDepth = 2000

// lister goes through the directories and ends the queues at the end.
func (w *walker) lister() {
	defer close(w.work)
	defer close(w.order)
	fd, err := unix.FcntlInt(uintptr(w.root.fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		w.stop(fmt.Errorf("walk the volume: %w", err))
		return
	}
	top := &openedDir{fd: fd}
	top.refs.Store(1)
	if err := w.visit(top, 0); err != nil {
		w.stop(err)
		return
	}
	if w.only != "" && !w.seen {
		w.stop(fmt.Errorf("there is nothing of the name %q any more", w.only))
		return
	}
	w.send()
	if err := w.known.rest(); err != nil {
		w.stop(err)
	}
}

// visit lists one directory and what is below it; the caller's reference to it
// is used up.
func (w *walker) visit(dir *openedDir, depth int) error {
	defer dir.release()
	names, err := list(dir.fd)
	w.add(itemEnter, dir, dirent{})
	if err != nil {
		w.note(dir, Warning{Kind: WarnUnreadable, Path: dir.path, Text: "list: " + errnoText(err)})
	}
	path := append(make([]byte, 0, len(dir.path)+256), dir.path...)
	if len(path) > 0 {
		path = append(path, '/')
	}
	prefix := len(path)
	for i := range names {
		ent := names[i]
		if depth == 0 && (setAside(ent.text()) || w.only != "" && ent.text() != w.only) {
			continue
		}
		w.seen = w.seen || depth == 0
		path = append(path[:prefix], ent.name...)
		if err := w.child(dir, ent, path, depth); err != nil {
			return err
		}
	}
	w.add(itemLeave, dir, dirent{})
	return nil
}

// setAside says whether a name at the root of a volume is none of its data:
// what a restore stages, and what fsck may have put there.
func setAside(name string) bool {
	return name == "lost+found" || strings.HasPrefix(name, StagingPrefix)
}

// child takes one name of a directory.
func (w *walker) child(dir *openedDir, ent dirent, path []byte, depth int) error {
	select {
	case <-w.done:
		return errStopped
	default:
	}
	if len(w.exclude) > 0 && w.exclude.match(string(path)) {
		return nil
	}
	if len(path) > maxPath {
		w.note(dir, Warning{Kind: WarnUnreadable, Path: string(path), Text: fmt.Sprintf("its path has %d bytes", len(path))})
		return nil
	}
	typ := ent.typ
	if typ == 0 {
		var m meta
		if err := statName(dir.fd, ent.nameZ(), &m); err == nil {
			typ = m.typ
		} // else the reader meets the error again and tells it
	}
	if typ == Dir {
		return w.descend(dir, ent, string(path), depth)
	}
	known, err := w.known.find(unsafeString(path))
	if err != nil {
		return err
	}
	it := w.add(itemFile, dir, ent)
	if known != nil {
		it.known, it.hasKnown = *known, true
	}
	return nil
}

// descend opens a subdirectory and visits it, or notes why not.
func (w *walker) descend(dir *openedDir, ent dirent, path string, depth int) error {
	if depth+1 >= maxOpenDepth {
		w.note(dir, Warning{Kind: WarnUnreadable, Path: path, Text: fmt.Sprintf("more than %d directories inside one another", maxOpenDepth)})
		return nil
	}
	fd, err := w.root.openDir(dir.fd, strings.Clone(ent.text()))
	if err == nil && !w.root.openat2 {
		var m meta
		if err = statFD(fd, &m); err == nil && w.root.crossing(&m) {
			err = unix.EXDEV
		}
		if err != nil {
			unix.Close(fd)
		}
	}
	if err != nil {
		w.note(dir, openingFailed(path, err))
		return nil
	}
	sub := &openedDir{fd: fd, path: path, name: path[len(path)-len(ent.name):]}
	sub.refs.Store(1)
	return w.visit(sub, depth+1)
}

// openingFailed says what it means that something could not be opened.
func openingFailed(path string, err error) Warning {
	switch {
	case errors.Is(err, unix.EXDEV):
		return Warning{Kind: WarnMount, Path: path, Text: "something else is mounted there: not entered"}
	case errors.Is(err, unix.ENOENT):
		return Warning{Kind: WarnVanished, Path: path, Text: "vanished"}
	case errors.Is(err, unix.ENOTDIR), errors.Is(err, unix.ELOOP):
		return Warning{Kind: WarnChanged, Path: path, Text: "became another type of file: not saved"}
	}
	return Warning{Kind: WarnUnreadable, Path: path, Text: "open: " + errnoText(err)}
}

var errStopped = errors.New("the walk was stopped")

// add puts an item at the end of the current batch.
func (w *walker) add(kind itemKind, dir *openedDir, ent dirent) *item {
	if w.now != nil && len(w.now.items) == batchItems {
		w.send()
	}
	if w.now == nil {
		select {
		case w.now = <-w.free:
		default:
			w.now = &batch{items: make([]item, 0, batchItems)}
		}
		w.now.ready = make(chan struct{})
	}
	dir.refs.Add(1)
	w.now.items = append(w.now.items, item{kind: kind, dir: dir, ent: ent})
	return &w.now.items[len(w.now.items)-1]
}

func (w *walker) note(dir *openedDir, v Warning) {
	it := w.add(itemNote, dir, dirent{})
	it.notes = append(it.notes, v)
}

// send gives the current batch to the readers and, in order, to the emitter.
func (w *walker) send() {
	b := w.now
	w.now = nil
	if b == nil {
		return
	}
	select {
	case w.order <- b:
	case <-w.done:
		b.discard()
		return
	}
	select {
	case w.work <- b:
	case <-w.done:
		close(b.ready)
	}
}

// discard gives up what the items of a batch hold.
func (b *batch) discard() {
	for i := range b.items {
		b.items[i].dir.release()
	}
	b.items = b.items[:0]
}
