package plan

import (
	"path/filepath"
	"time"

	"github.com/docker/go-units"
)

// DirInput is everything that a restore into a directory is decided upon.
type DirInput struct {
	Project string
	// Dir is the directory, as an absolute path.
	Dir      string
	At       time.Time
	Sources  []Source
	Warnings []string
	Problems []string
	// Occupied says that the directory holds something; KeepExtra, that what
	// it holds beside the items is left.
	Occupied, KeepExtra bool
	// Lost says why what is written there would not stay; empty: it does.
	Lost string
	// FreeBytes is what the directory's filesystem has to give; -1 where that
	// is not known.
	FreeBytes int64
}

// MakeRestoreToDir decides how items become files in a directory. Nothing is
// stopped, and nothing of the project is touched.
func MakeRestoreToDir(in DirInput) *Restore {
	r := &Restore{
		Project: in.Project, Dir: in.Dir, At: in.At, Items: []RestoreItem{}, Operations: []RestoreOperation{},
		Warnings: append([]string{}, in.Warnings...), Problems: append([]string{}, in.Problems...),
	}
	need := int64(0)
	for _, s := range in.Sources {
		it := RestoreItem{
			Key: s.Item.Key(), Kind: s.Item.Kind, Service: s.Item.Service, Name: s.Item.Name,
			Snapshot: s.Snapshot, Time: s.Time, Bytes: s.Item.Bytes, Files: s.Item.Files, Paths: s.Paths, Source: s,
			To: filepath.Join(append([]string{in.Dir}, s.Item.Path()...)...),
		}
		switch {
		case s.Item.DumpInfo == nil && s.Item.VolumeInfo == nil && s.Item.ConfigInfo == nil:
			r.problem("%s: the manifest does not describe it", it.Key)
		}
		need += it.Bytes
		r.Items = append(r.Items, it)
		r.Operations = append(r.Operations, RestoreOperation{Do: WriteFiles, Items: []string{it.Key}, Cause: "as it was at " + stamp(it.Time)})
	}
	r.checkTimes()
	switch {
	case len(r.Items) == 0 && len(r.Problems) == 0:
		r.problem("there is nothing to restore")
	case in.Lost != "":
		r.problem("%s: %s", in.Dir, in.Lost)
	case in.Occupied && !in.KeepExtra:
		r.problem("%s is not empty: name another directory; or with --keep-extra files are written over those of the same name, and the others stay", in.Dir)
	case in.FreeBytes >= 0 && need > in.FreeBytes:
		r.problem("%s: %s are needed there, and %s are free", in.Dir, units.BytesSize(float64(need)), units.BytesSize(float64(in.FreeBytes)))
	}
	return r
}
