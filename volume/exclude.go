package volume

import (
	"fmt"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
)

// excluder decides which paths a walk leaves out.
type excluder []string

// newExcluder takes doublestar globs. One that begins with "/" is matched from
// the volume's root, any other at any depth; what matches is left out with
// everything below.
func newExcluder(globs []string) (excluder, error) {
	x, bad := compileGlobs(globs)
	if bad >= 0 {
		return nil, fmt.Errorf("exclude %q: not a glob", globs[bad])
	}
	return x, nil
}

// Matcher says of paths, "/" between their parts and none at the front, whether
// one of the globs matches: doublestar globs, as those that leave files out of a
// walk.
func Matcher(globs []string) (func(path string) bool, error) {
	x, bad := compileGlobs(globs)
	if bad >= 0 {
		return nil, fmt.Errorf("%q is not a pattern: a [ or { is not closed, or a \\ stands at the end", globs[bad])
	}
	return x.match, nil
}

// compileGlobs anchors globs; bad is the first that is none, or -1.
func compileGlobs(globs []string) (out excluder, bad int) {
	for i, glob := range globs {
		pattern := strings.TrimSuffix(glob, "/")
		if rest, anchored := strings.CutPrefix(pattern, "/"); anchored {
			pattern = rest
		} else {
			pattern = "**/" + pattern
		}
		if pattern == "" || pattern == "**/" || !doublestar.ValidatePattern(pattern) {
			return nil, i
		}
		out = append(out, pattern)
	}
	return out, -1
}

func (x excluder) match(path string) bool {
	for _, pattern := range x {
		if doublestar.MatchUnvalidated(pattern, path) {
			return true
		}
	}
	return false
}
