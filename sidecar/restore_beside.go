package sidecar

import (
	"fmt"

	"github.com/ripplebak/ripplebak/dump"
	"github.com/ripplebak/ripplebak/manifest"
	"github.com/ripplebak/ripplebak/plan"
)

// beside gives the sources their new names, where what is restored goes beside
// what is there. The roles of a server are there already.
func (r *restore) beside(sources []plan.Source) []plan.Source {
	if r.opt.ToDatabase == "" && r.opt.ToVolume == "" {
		return sources
	}
	var out []plan.Source
	for _, s := range sources {
		switch s.Item.Kind {
		case manifest.Volume:
			s.NewName = r.opt.ToVolume
		case manifest.Dump:
			if s.Item.Name == "" && !r.opt.Globals {
				delete(r.sources, s.Item.Key())
				continue
			}
			if s.Item.Name != "" {
				s.NewName = r.opt.ToDatabase
			}
		}
		out = append(out, s)
	}
	return out
}

// checkNewName refuses an engine that replaces what is there whatever it is
// told, and a name that is taken.
func (r *restore) checkNewName(engine dump.Engine, s plan.Source, p plan.Probe) []string {
	if s.NewName == "" {
		return nil
	}
	renamer, ok := dump.AsRenamer(engine)
	if !ok {
		return []string{fmt.Sprintf("%s: %s cannot restore under another name; --to-dir gives the dump as a file", s.Item.Key(), engine.Name())}
	}
	if p.Err != nil || p.Missing != "" {
		return nil // it is asked again once it has been started
	}
	if err := renamer.CheckNewName(s.NewName, p.Facts); err != nil {
		return []string{fmt.Sprintf("%s: %v", s.Item.Key(), err)}
	}
	return nil
}
