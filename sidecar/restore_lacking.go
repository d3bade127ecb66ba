package sidecar

import (
	"fmt"
	"strings"

	"github.com/ripplebak/ripplebak/dump"
	"github.com/ripplebak/ripplebak/manifest"
	"github.com/ripplebak/ripplebak/plan"
)

// mostNamed bounds how many databases a warning names.
const mostNamed = 5

// lacking says of volumes that come back without their databases: files that
// were dumped are in no copy of their volume, so that who names the volume alone
// gets all but them.
func (r *restore) lacking(sources []plan.Source) []string {
	var out []string
	for _, s := range sources {
		src := r.sources[s.Item.Key()]
		if s.Item.Kind != manifest.Volume || src == nil {
			continue
		}
		var left []string
		for _, it := range src.snapshot.manifest.Items {
			if r.sources[it.Key()] == nil && liesIn(it, s.Item.Name) {
				left = append(left, it.Service+"/"+it.Name)
			}
		}
		if left == nil {
			continue
		}
		names := strings.Join(left[:min(len(left), mostNamed)], ", ")
		if more := len(left) - mostNamed; more > 0 {
			names += fmt.Sprintf(" and %d more", more)
		}
		out = append(out, fmt.Sprintf("%s comes back without the databases in it, which were saved as dumps and were not asked for: %s; of these what is there now stays, and on a new host nothing is there: add --database %q, or --service with their service",
			s.Item.Key(), names, left[0]))
	}
	return out
}

// liesIn says whether an item is a good dump of a file in a volume.
func liesIn(it manifest.Item, volume string) bool {
	if it.Kind != manifest.Dump || it.State != manifest.Good {
		return false
	}
	engine, facts, err := dumpedFacts(it)
	if err != nil {
		return false // it is not about to be restored, where that would be said
	}
	files, ok := engine.(dump.VolumeEngine)
	if !ok {
		return false
	}
	placed, err := files.Place(facts, nil)
	return err == nil && placed.Volume == volume
}
