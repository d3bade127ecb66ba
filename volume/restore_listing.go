package volume

import (
	"fmt"
	"strings"
)

// checkEntry says whether e is an entry that a walk can have written, on its
// own; where it stands in the listing is for the caller to check.
func checkEntry(e *Entry) error {
	switch {
	case len(e.Path) > maxPath:
		return fmt.Errorf("%w: a path of %d bytes", ErrHostileListing, len(e.Path))
	case !e.Type.Valid():
		return hostile(e.Path, fmt.Sprintf("type %d", e.Type))
	case e.Mode&^0o7777 != 0:
		return hostile(e.Path, fmt.Sprintf("mode %#o", e.Mode))
	case e.Size < 0 || e.Type != File && e.Size != 0:
		return hostile(e.Path, fmt.Sprintf("size %d", e.Size))
	case e.Type == Dir && e.HardLinkOf != "":
		return hostile(e.Path, "a hard link to a directory")
	case e.Path == "" && e.Type != Dir:
		return hostile(e.Path, "the root is no directory")
	case e.Type == Symlink && e.HardLinkOf == "" && !validTarget(e.LinkTarget):
		return hostile(e.Path, fmt.Sprintf("link target %.80q", e.LinkTarget))
	case len(e.Xattrs) > maxXattrN:
		return hostile(e.Path, "too many attributes")
	}
	for _, x := range e.Xattrs {
		if x.Name == "" || len(x.Name) > 255 || strings.IndexByte(x.Name, 0) >= 0 || len(x.Value) > maxXattr {
			return hostile(e.Path, fmt.Sprintf("attribute %.80q", x.Name))
		}
	}
	return nil
}

// validTarget says whether a symlink can have this target; where it points to
// does not matter, for nothing ever follows it.
func validTarget(s string) bool {
	return s != "" && len(s) <= maxTarget && strings.IndexByte(s, 0) < 0
}

// checkName says whether name can name a file in a directory.
func checkName(path, name string) error {
	if name == "" || name == "." || name == ".." || len(name) > maxName ||
		strings.IndexByte(name, '/') >= 0 || strings.IndexByte(name, 0) >= 0 {
		return hostile(path, "not a name that a file can have")
	}
	return nil
}

// checkBlob says whether b can be a piece of a file.
func checkBlob(path string, b Blob) error {
	if b.Length == 0 || b.Length > MaxBlob {
		return hostile(path, fmt.Sprintf("a blob of %d bytes", b.Length))
	}
	return nil
}

func hostile(path, what string) error {
	if len(path) > 300 {
		path = path[:300] + "..."
	}
	return fmt.Errorf("%w: %q: %s", ErrHostileListing, path, what)
}
