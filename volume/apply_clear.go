package volume

import (
	"errors"
	"fmt"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"
)

// maxClearDepth bounds the directories that clearing holds open at a time; what
// lies deeper is moved up first.
const maxClearDepth = 64

// clearStaging removes the staging directory name from the root. The marks and
// the journal go after the data, and the final marks last of all, so that what
// is left of it after a kill still says what happened.
func clearStaging(tree *beneath, name string) error {
	dir, err := tree.root.openDir(tree.root.fd, name)
	if isNotExist(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("open the staging directory: %w", err)
	}
	defer unix.Close(dir) // only a handle
	names, err := list(dir)
	if err != nil {
		return fmt.Errorf("list the staging directory: %w", err)
	}
	last := []string{journalName, markIn, markHold, markUndo, markCleared, markDone, markUndone}
	c := &clearer{tree: tree, top: dir}
	for _, d := range names {
		if !slices.Contains(last, d.text()) {
			if err := c.remove(dir, d.text(), 0); err != nil {
				return fmt.Errorf("clear the staging directory: %w", err)
			}
		}
	}
	if err := c.drain(); err != nil {
		return fmt.Errorf("clear the staging directory: %w", err)
	}
	for _, mark := range last {
		if err := unix.Unlinkat(dir, mark, 0); err != nil && !isNotExist(err) {
			return fmt.Errorf("clear the staging directory: %w", err)
		}
	}
	if err := unix.Unlinkat(tree.root.fd, name, unix.AT_REMOVEDIR); err != nil && !isNotExist(err) {
		return fmt.Errorf("remove the staging directory: %w", err)
	}
	tree.forget(name)
	return nil
}

// clearer removes trees of any depth.
type clearer struct {
	tree  *beneath
	top   int
	moved int // directories that were moved up: deep-0, deep-1, ...
	done  int
}

func deepName(n int) string { return "deep-" + strconv.Itoa(n) }

// remove removes name from the directory dir, with all below it.
func (c *clearer) remove(dir int, name string, depth int) error {
	err := unix.Unlinkat(dir, name, 0)
	if err == nil || isNotExist(err) {
		return nil
	}
	if !errors.Is(err, unix.EISDIR) && !errors.Is(err, unix.EPERM) {
		return fmt.Errorf("remove %q: %w", name, err)
	}
	if depth >= maxClearDepth {
		return c.moveUp(dir, name)
	}
	if err := c.empty(dir, name, depth); err != nil {
		return err
	}
	if err := unix.Unlinkat(dir, name, unix.AT_REMOVEDIR); err != nil && !isNotExist(err) {
		return fmt.Errorf("remove %q: %w", name, err)
	}
	return nil
}

func (c *clearer) empty(dir int, name string, depth int) error {
	fd, err := c.tree.root.openDir(dir, name)
	if isNotExist(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("remove %q: %w", name, err)
	}
	defer unix.Close(fd) // only a handle
	names, err := list(fd)
	if err != nil {
		return fmt.Errorf("remove %q: %w", name, err)
	}
	for _, d := range names {
		if err := c.remove(fd, d.text(), depth+1); err != nil {
			return err
		}
	}
	return nil
}

// moveUp puts a deep directory to the top, for drain.
func (c *clearer) moveUp(dir int, name string) error {
	for {
		err := renameNew(dir, name, c.top, deepName(c.moved))
		c.moved++
		if err == nil {
			return nil
		}
		if !errors.Is(err, unix.EEXIST) {
			return fmt.Errorf("remove %q: %w", name, err)
		}
	}
}

// drain removes what was moved up, and what that moves up in its turn.
func (c *clearer) drain() error {
	for c.done < c.moved {
		if err := c.remove(c.top, deepName(c.done), 0); err != nil {
			return err
		}
		c.done++
	}
	return nil
}
