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
	var out excluder
	for _, glob := range globs {
		pattern := strings.TrimSuffix(glob, "/")
		if rest, anchored := strings.CutPrefix(pattern, "/"); anchored {
			pattern = rest
		} else {
			pattern = "**/" + pattern
		}
		if pattern == "" || pattern == "**/" || !doublestar.ValidatePattern(pattern) {
			return nil, fmt.Errorf("exclude %q: not a glob", glob)
		}
		out = append(out, pattern)
	}
	return out, nil
}

func (x excluder) match(path string) bool {
	for _, pattern := range x {
		if doublestar.MatchUnvalidated(pattern, path) {
			return true
		}
	}
	return false
}
