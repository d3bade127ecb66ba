package volume

import (
	"errors"
	"fmt"
	"strconv"

	"golang.org/x/sys/unix"
)

// The marks of a staging directory say where a decided restore stands. Without
// one it goes forward; with hold or undo it goes back; with a final one the
// volume is as it should be, and what is left is to clear away. With hold, in
// says that all of the new data is in; on the way back, cleared says that what
// came into being in directories that were emptied is out.
const (
	markHold   = "hold"
	markIn     = "in"
	markUndo   = "undo"
	markDone   = "done"
	markUndone = "undone"

	markCleared = "cleared"
)

// applier carries out a complete journal, or takes it back. Every operation can
// be seen, from what lies in new/ and old/, to be done or not, so that either
// direction can be taken from any point between the two, however often it is
// interrupted.
type applier struct {
	tree    *beneath
	staging string // its name at the root
	dir     int    // its descriptor
	meta    *metaWriter
	crash   func(string)
	hold    bool // the old stays aside, and what came into being meanwhile goes when it comes back
}

// forward brings the new data in and makes that durable.
func (a *applier) forward(j *journal) error {
	err := j.each(func(op operation) error {
		var err error
		switch op.kind {
		case opRemove:
			err = a.remove(op)
		case opPlace:
			err = a.place(op)
		default:
			return nil
		}
		if err == nil {
			a.at("mid-rename")
		}
		return err
	})
	if err != nil {
		return err
	}
	err = j.each(func(op operation) error {
		if op.kind != opMeta {
			return nil
		}
		return a.setMeta(op.path, &op.new, op.timesOnly)
	})
	if err != nil {
		return err
	}
	if a.hold {
		return a.finish(markIn)
	}
	return a.finish(markDone)
}

// back brings the old data in again and makes that durable.
func (a *applier) back(j *journal) error {
	if err := mark(a.dir, markUndo); err != nil {
		return err
	}
	if err := a.passes(j, pass{opPlace, a.unplace}, pass{opAbsent, a.unmake}); err != nil {
		return err
	}
	if a.hold {
		if err := a.unemptyAll(j); err != nil {
			return err
		}
	}
	if err := a.passes(j, pass{opRemove, a.unremove}, pass{opMeta, a.unsetMeta}); err != nil {
		return err
	}
	return a.finish(markUndone)
}

// pass is what is done with each operation of a kind.
type pass struct {
	kind opKind
	do   func(operation) error
}

// passes goes through the journal for one pass after the other.
func (a *applier) passes(j *journal, all ...pass) error {
	for _, p := range all {
		err := j.each(func(op operation) error {
			if op.kind != p.kind {
				return nil
			}
			if err := p.do(op); err != nil {
				return err
			}
			a.at("mid-back")
			return nil
		})
		if err != nil {
			return fmt.Errorf("bring the old data back: %w", err)
		}
	}
	return nil
}

// finish makes all that was done durable and says so.
func (a *applier) finish(name string) error {
	if err := unix.Syncfs(a.tree.root.fd); err != nil {
		return fmt.Errorf("sync the volume: %w", err)
	}
	return mark(a.dir, name)
}

func (a *applier) at(point string) {
	if a.crash != nil {
		a.crash(point)
	}
}

func (a *applier) staged(op operation) string {
	return a.staging + "/" + newDir + "/" + strconv.FormatUint(op.n, 10)
}

func (a *applier) aside(op operation) string {
	return a.staging + "/" + oldDir + "/" + strconv.FormatUint(op.n, 10)
}

// exists says whether something lies at path.
func (a *applier) exists(path string) (bool, error) {
	_, err := a.tree.stat(path)
	if isNotExist(err) {
		return false, nil
	}
	return err == nil, err
}

// remove moves the old aside. What has gone without us need not go.
func (a *applier) remove(op operation) error {
	if done, err := a.exists(a.aside(op)); done || err != nil {
		return err
	}
	err := a.rename(op.path, a.aside(op), op.dir)
	if isNotExist(err) {
		return nil
	}
	return err
}

// place moves the new in, where nothing may be.
func (a *applier) place(op operation) error {
	err := a.rename(a.staged(op), op.path, op.dir)
	if !isNotExist(err) {
		return err
	}
	there, serr := a.exists(op.path)
	if serr == nil && there {
		return nil // an earlier try did it
	}
	return errors.Join(fmt.Errorf("neither %q nor what was staged for it is there: %w", op.path, ErrChangedMeanwhile), serr)
}

// unplace moves the new out again.
func (a *applier) unplace(op operation) error {
	if staged, err := a.exists(a.staged(op)); staged || err != nil {
		return err
	}
	err := a.rename(op.path, a.staged(op), op.dir)
	if isNotExist(err) {
		return nil
	}
	return err
}

// unremove moves the old back. What a server has made in its place, while the
// old was held, makes way.
func (a *applier) unremove(op operation) error {
	err := a.rename(a.aside(op), op.path, op.dir)
	if a.hold && errors.Is(err, ErrChangedMeanwhile) {
		if err := a.makeWay(op); err != nil {
			return err
		}
		err = a.rename(a.aside(op), op.path, op.dir)
	}
	if isNotExist(err) {
		return nil
	}
	return err
}

// rename moves a file to where nothing may be.
func (a *applier) rename(from, to string, dir bool) error {
	err := a.tree.at(from, func(fromDir int, fromName string) error {
		return a.tree.at(to, func(toDir int, toName string) error {
			return renameNew(fromDir, fromName, toDir, toName)
		})
	})
	if errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("%q came into being: %w", to, ErrChangedMeanwhile)
	}
	if err != nil {
		return fmt.Errorf("rename %q to %q: %w", from, to, err)
	}
	if dir {
		a.tree.forget(from)
		a.tree.forget(to)
	}
	return nil
}

// renameNew renames without replacing, also where the filesystem cannot refuse
// to replace by itself.
func renameNew(fromDir int, from string, toDir int, to string) error {
	err := unix.Renameat2(fromDir, from, toDir, to, unix.RENAME_NOREPLACE)
	if !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOSYS) {
		return err
	}
	var m meta
	switch err := statIn(toDir, to, &m); {
	case err == nil:
		return unix.EEXIST
	case !isNotExist(err):
		return err
	}
	return unix.Renameat(fromDir, from, toDir, to)
}

func (a *applier) unsetMeta(op operation) error {
	return a.setMeta(op.path, &op.old, op.timesOnly)
}

// setMeta gives what stays in place the metadata of e.
func (a *applier) setMeta(path string, e *Entry, timesOnly bool) error {
	if timesOnly {
		return a.meta.setTimes(path, e)
	}
	return a.meta.set(path, e, false)
}
