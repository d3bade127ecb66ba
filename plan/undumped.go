package plan

import (
	"fmt"
	"strings"

	"github.com/ripplebak/ripplebak/labels"
	"github.com/ripplebak/ripplebak/manifest"
)

// Undumped gives the items whose volumes are read while services write to them,
// and of which no file is dumped: where such a volume holds databases of SQLite,
// a copy of one may be of two moments.
func (p *Plan) Undumped() []Item {
	var out []Item
	for _, it := range p.Items {
		if it.Kind == manifest.Volume && it.active() && it.Volume.During == labels.Live && len(it.Volume.Dumped) == 0 && len(it.Volume.UsedBy) > 0 {
			out = append(out, it)
		}
	}
	return out
}

// namedDatabases is how many files a warning names.
const namedDatabases = 3

// UndumpedWarning says that a volume holds databases of SQLite, and what to do.
func UndumpedWarning(it Item, paths []string) string {
	names := strings.Trim(fmt.Sprintf("%q", paths[:min(len(paths), namedDatabases)]), "[]")
	if more := len(paths) - namedDatabases; more > 0 {
		names += fmt.Sprintf(" and %d more", more)
	}
	services := it.Volume.Owners
	if len(services) == 0 {
		services = it.Volume.UsedBy
	}
	return fmt.Sprintf("%s holds databases of SQLite, which are read while they are written to: %s: "+
		"put ripplebak.dump: sqlite, or ripplebak.during: stop, on service %s", it.Key, names, strings.Join(services, " or "))
}
