package volume

import (
	"errors"
	"fmt"
	"strconv"

	"golang.org/x/sys/unix"
)

// errNotHeld says that there is nothing to keep.
var errNotHeld = errors.New("its new data is not in place, so that it cannot be kept")

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

// removes says whether a path goes although it is an overlay's.
func (r *RestoreRequest) removes(path string) bool {
	for _, gone := range r.Remove {
		if isAtOrBelow(path, gone) {
			return true
		}
	}
	return false
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

// keepHeld says durably that the new data of a restore that was held stays.
func keepHeld(path, id string) error {
	tree, err := openBeneath(path)
	if err != nil {
		return err
	}
	defer tree.close()
	dir, err := tree.root.openDir(tree.root.fd, StagingPrefix+id)
	if isNotExist(err) {
		return errNotHeld
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
			return errNotHeld
		}
	}
	return mark(dir, markDone)
}
