package volume

import (
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// scope is the part of a volume that a restore is about: paths, each with all
// that is below it. An empty one is the whole volume. Outside of it nothing is
// written, nothing is removed, and directories on the way keep their metadata;
// only where one is missing it is made, as it was.
type scope []string

func newScope(only []string) (scope, error) {
	for _, path := range only {
		if err := checkOnly(path); err != nil {
			return nil, err
		}
	}
	return only, nil
}

func checkOnly(path string) error {
	if len(path) > maxPath {
		return fmt.Errorf("a path of %d bytes cannot be restored", len(path))
	}
	for name := range strings.SplitSeq(path, "/") {
		if name == "" || name == "." || name == ".." || len(name) > maxName || strings.IndexByte(name, 0) >= 0 {
			return fmt.Errorf("%.300q is no path in a volume", path)
		}
	}
	if isStagingName(path) {
		return fmt.Errorf("%.300q is a restore's own directory", path)
	}
	return nil
}

// holds says whether what lies at path is restored.
func (s scope) holds(path string) bool {
	for _, only := range s {
		if isAtOrBelow(path, only) {
			return true
		}
	}
	return len(s) == 0
}

// passes says whether path is a directory on the way to what is restored, and
// not itself restored.
func (s scope) passes(path string) bool {
	if s.holds(path) {
		return false
	}
	for _, only := range s {
		if isAtOrBelow(only, path) {
			return true
		}
	}
	return false
}

// Wants says whether the snapshot's entry at path belongs into the listing.
func (r RestoreRequest) Wants(path string) bool {
	s := scope(r.Only)
	return s.holds(path) || s.passes(path)
}

// checkScope refuses entries of the listing that nobody asked for.
func (c *comparer) checkScope(e *Entry) error {
	switch {
	case c.only.holds(e.Path):
		return nil
	case !c.only.passes(e.Path):
		return hostile(e.Path, "outside of what is to be restored")
	case e.Type != Dir:
		return hostile(e.Path, "no directory, and on the way to what is to be restored")
	}
	return nil
}

// passThrough goes into a directory on the way to what is restored. It keeps
// its metadata, and so do its other files.
func (c *comparer) passThrough(path string, m meta) (*frame, error) {
	if m.typ != Dir {
		return nil, fmt.Errorf("%w: %q is a directory in the snapshot and none here, and is itself not to be restored: move it away first", ErrInTheWay, path)
	}
	entry := Entry{Path: path}
	m.fill(&entry)
	return &frame{path: path, kind: frameKept, entry: entry, onDisk: m, extra: true}, nil
}

// checkEmpty refuses a volume that holds something, where it must not.
func checkEmpty(r *root, req RestoreRequest) error {
	if !req.MustBeEmpty {
		return nil
	}
	return emptyBut(r, r.fd, "", req.Kept)
}

// emptyBut refuses a directory that holds anything but these files.
func emptyBut(r *root, fd int, dir string, kept []string) error {
	names, err := listAgain(fd)
	if err != nil {
		return fmt.Errorf("list the volume: %w", err)
	}
	for _, n := range names {
		name := strings.Clone(n.text())
		path := joinPath(dir, name)
		switch {
		case path == "lost+found", slices.Contains(kept, path):
			continue
		case !slices.ContainsFunc(kept, func(k string) bool { return strings.HasPrefix(k, path+"/") }):
			return fmt.Errorf("%w: it holds %.100q", ErrOccupied, path)
		}
		below, err := r.openDir(fd, name)
		if err != nil {
			return fmt.Errorf("%w: it holds %.100q: %w", ErrOccupied, path, err)
		}
		err = emptyBut(r, below, path, kept)
		unix.Close(below) // only a handle
		if err != nil {
			return err
		}
	}
	return nil
}
