package volume

import (
	"context"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// extras hands on what is on disk in a directory and not in the snapshot, as
// far as the listing has come.
func (c *comparer) extras(ctx context.Context, f *frame, passed func(name string) bool) error {
	for f.next < len(f.names) && passed(f.names[f.next].text()) {
		path, typ := joinPath(f.path, f.names[f.next].text()), f.names[f.next].typ
		f.next++
		if err := c.extra(ctx, f, path, typ); err != nil {
			return err
		}
	}
	return nil
}

// extra hands on one such file. Of a directory that holds something protected,
// everything else goes one by one, and it stays.
func (c *comparer) extra(ctx context.Context, f *frame, path string, typ Type) error {
	why := c.prot.why(path)
	switch {
	case !c.only.holds(path) || c.req.Overlay && !c.req.removes(path) || why == stagingDir:
		return nil
	case why != "":
		return c.leave(ctx, path, why)
	case c.req.KeepExtra:
		return c.leave(ctx, path, "not in the snapshot, and kept")
	}
	if typ == 0 || typ == Dir {
		m, err := c.tree.stat(path)
		if isNotExist(err) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("look at %q: %w", path, err)
		}
		typ = m.typ
		if typ == Dir && c.prot.mayCoverBelow(path) {
			found, err := c.holdsProtected(path)
			if err != nil {
				return err
			}
			if found {
				return c.extrasOf(ctx, path, m)
			}
		}
	}
	c.nextN++
	return c.send(ctx, &step{kind: stepExtra, entry: Entry{Path: path}, frame: f, at: place{n: c.nextN, rootLen: len(path)}, dirOn: typ == Dir})
}

// leave hands on what is not in the snapshot and stays all the same.
func (c *comparer) leave(ctx context.Context, path, why string) error {
	return c.send(ctx, &step{kind: stepLeft, entry: Entry{Path: path}, reason: why})
}

// extrasOf hands on what is in a directory that stays although the snapshot
// does not have it. It keeps its metadata.
func (c *comparer) extrasOf(ctx context.Context, path string, m meta) error {
	entry := Entry{Path: path}
	m.fill(&entry)
	f := &frame{path: path, kind: frameKept, entry: entry, onDisk: m, extra: true}
	if err := c.enter(ctx, f); err != nil {
		return err
	}
	return c.pop(ctx)
}

// holdsProtected says whether anything below a directory is protected.
func (c *comparer) holdsProtected(path string) (bool, error) {
	if !c.prot.mayCoverBelow(path) {
		return false, nil
	}
	h, err := c.tree.dir(path)
	if err != nil {
		return false, err
	}
	names, err := listAgain(h.fd)
	c.tree.release(h)
	if err != nil {
		return false, fmt.Errorf("list directory %q: %w", path, err)
	}
	for _, d := range names {
		child := joinPath(path, strings.Clone(d.text()))
		if c.prot.covers(child) {
			return true, nil
		}
		if d.typ != Dir && d.typ != 0 {
			continue
		}
		if m, err := c.tree.stat(child); err != nil || m.typ != Dir {
			continue
		}
		if found, err := c.holdsProtected(child); found || err != nil {
			return found, err
		}
	}
	return false, nil
}

// checkMovable refuses to replace a directory that holds something protected.
func (c *comparer) checkMovable(path string) error {
	found, err := c.holdsProtected(path)
	if err == nil && found {
		err = fmt.Errorf("%w: %q is no directory in the snapshot, and holds files that were excluded or unreadable at backup: move it away first", ErrInTheWay, path)
	}
	return err
}

// listAgain lists a directory whose descriptor may have been read before.
func listAgain(fd int) ([]dirent, error) {
	if _, err := unix.Seek(fd, 0, 0); err != nil {
		return nil, err
	}
	return list(fd)
}

// isStagingName says whether path is, or lies in, a restore's own directory.
func isStagingName(path string) bool { return strings.HasPrefix(path, StagingPrefix) }
