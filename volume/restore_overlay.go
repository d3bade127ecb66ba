package volume

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// ErrNotHeld says that there is nothing to keep: it was kept before, or the old
// data is back.
var ErrNotHeld = errors.New("its new data is not in place, so that it cannot be kept")

// kept is the frame of a directory that is on disk and stays.
func (c *comparer) kept(e *Entry, m meta) *frame {
	f := &frame{path: e.Path, kind: frameKept, entry: *e, onDisk: m, extra: c.req.Overlay}
	if f.extra {
		f.entry = Entry{Path: e.Path}
		m.fill(&f.entry)
	}
	return f
}

// adopt gives an entry of an overlay the owner and mode of what it replaces,
// else those of the directory that it comes into. A file becomes as open as
// that, so that a server that does not own its directory can read it too.
func adopt(e, parent *Entry, there *meta) {
	switch {
	case there != nil && there.typ == e.Type:
		e.UID, e.GID, e.Mode = there.uid, there.gid, there.mode
		return
	case e.Type == Dir:
		e.Mode = parent.Mode
	default:
		e.Mode = parent.Mode&0o666 | 0o600
	}
	e.UID, e.GID = parent.UID, parent.GID
}

// own gives a file of an overlay the owner that it is to have.
func (r *RestoreRequest) own(e *Entry) {
	for _, o := range r.Owned {
		if o.Path == e.Path && e.Type == File {
			e.UID, e.GID, e.Mode = o.UID, o.GID, o.Mode&0o777
		}
	}
}

// removes says whether a path goes although it is an overlay's.
func (r *RestoreRequest) removes(path string) bool {
	for _, gone := range r.Remove {
		if isAtOrBelow(path, gone) {
			return true
		}
	}
	return r.belowEmptied(path)
}

// belowEmptied says whether a path lies in a directory that is emptied.
func (r *RestoreRequest) belowEmptied(path string) bool {
	return slices.ContainsFunc(r.Empty, func(dir string) bool { return path != dir && isAtOrBelow(path, dir) })
}

// empties says whether a directory is emptied.
func (r *RestoreRequest) empties(path string) bool { return slices.Contains(r.Empty, path) }

// checkEmptied refuses a listing that does not name all that is emptied.
// Otherwise what is there would be taken for what has come into being.
func (c *comparer) checkEmptied() error {
	for _, path := range c.req.Empty {
		if !slices.Contains(c.emptied, path) {
			return hostile(path, "it is to be emptied, and is not listed")
		}
	}
	return nil
}

// noteEmpty writes down which directories are emptied.
func (d *decider) noteEmpty() error {
	for i, path := range d.req.Empty {
		if path != "" {
			if err := checkOpPath(path); err != nil || path[0] == '/' {
				return errors.Join(err, hostile(path, "not a directory in the volume"))
			}
		}
		if !d.req.Hold {
			continue
		}
		if err := d.plan.journal.add(operation{kind: opEmpty, path: path, n: uint64(i), dir: true}.encode); err != nil {
			return err
		}
	}
	return nil
}

// noteAbsent writes down what was not there of what goes: should it come into
// being while the old is held, it goes when that comes back.
func (d *decider) noteAbsent() error {
	if !d.req.Hold {
		return nil
	}
	for i, path := range d.req.Remove {
		if path == "" || path[0] == '/' {
			return hostile(path, "not a path in the volume")
		}
		if err := checkOpPath(path); err != nil {
			return err
		}
		_, err := d.tree.stat(path)
		if err == nil {
			continue
		}
		if !isNotExist(err) {
			return fmt.Errorf("look at %q: %w", path, err)
		}
		if err := d.plan.journal.add(operation{kind: opAbsent, path: path, n: uint64(i)}.encode); err != nil {
			return err
		}
	}
	return nil
}

// unmake moves away what came into being where nothing was.
func (a *applier) unmake(op operation) error {
	if !a.hold {
		return nil
	}
	return a.moveAway(op.path, "absent-"+strconv.FormatUint(op.n, 10))
}

// makeWay moves away what came into being in the place of something that was
// moved aside.
func (a *applier) makeWay(op operation) error {
	return a.moveAway(op.path, "way-"+strconv.FormatUint(op.n, 10))
}

// unempty moves away what came into being in a directory that was emptied. It
// must not run before all of the old is aside, nor after any of it is back.
func (a *applier) unempty(op operation) error {
	h, err := a.tree.dir(op.path)
	if isNotExist(err) {
		return nil // it was made for the restore, and has gone with all that is in it
	}
	if err != nil {
		return err
	}
	found, err := listAgain(h.fd)
	a.tree.release(h)
	if err != nil {
		return fmt.Errorf("list directory %q: %w", op.path, err)
	}
	names := make([]string, 0, len(found))
	for _, d := range found {
		names = append(names, strings.Clone(d.text()))
	}
	own := protector{}
	for i, name := range names {
		path := joinPath(op.path, name)
		if own.covers(path) {
			continue
		}
		if err := a.moveAway(path, fmt.Sprintf("emptied-%d-%d", op.n, i)); err != nil && !errors.Is(err, unix.EBUSY) {
			return err // busy: something is mounted there, which did not go either
		}
	}
	return nil
}

// unemptyAll moves away what came into being in directories that were emptied,
// once: what is found there after that is the old, which has come back.
func (a *applier) unemptyAll(j *journal) error {
	for mark, want := range map[string]bool{markIn: true, markCleared: false} {
		if is, err := marked(a.dir, mark); err != nil || is != want {
			return err
		}
	}
	err := j.each(func(op operation) error {
		if op.kind != opEmpty {
			return nil
		}
		return a.unempty(op)
	})
	if err != nil {
		return fmt.Errorf("bring the old data back: %w", err)
	}
	return a.finish(markCleared)
}

// moveAway moves what lies at path, if anything does, to what is thrown away.
// Each try after a kill finds a name of its own.
func (a *applier) moveAway(path, name string) error {
	there, err := a.exists(path)
	if err != nil || !there {
		return err
	}
	for try := range 100 {
		err = a.rename(path, fmt.Sprintf("%s/%s/%s-%d", a.staging, newDir, name, try), true)
		if !errors.Is(err, ErrChangedMeanwhile) {
			break
		}
	}
	if isNotExist(err) {
		return nil
	}
	return err
}

// keepHeld says durably that the new data of a restore that was held stays. A
// server, or the programs that made its files, need not have synced what they
// wrote: all of it is on disk before the old data may go.
func keepHeld(path, id string, sync func(fd int) error) error {
	tree, err := openBeneath(path)
	if err != nil {
		return err
	}
	defer tree.close()
	dir, err := tree.root.openDir(tree.root.fd, StagingPrefix+id)
	if isNotExist(err) {
		return ErrNotHeld
	}
	if err != nil {
		return fmt.Errorf("open the staging directory: %w", err)
	}
	defer unix.Close(dir) // only a handle
	if done, err := marked(dir, markDone); done || err != nil {
		return err
	}
	for name, want := range map[string]bool{markHold: true, markIn: true, markUndo: false, markUndone: false} {
		is, err := marked(dir, name)
		if err != nil {
			return err
		}
		if is != want {
			return ErrNotHeld
		}
	}
	if err := sync(tree.root.fd); err != nil {
		return fmt.Errorf("sync the volume: %w", err)
	}
	return mark(dir, markDone)
}
