package archive

import (
	"github.com/ripplebak/ripplebak/repository"
	"github.com/ripplebak/ripplebak/volume"
)

// Options say how a walk is saved.
type Options struct {
	// DeviceID is recorded in every node: a stable number of the item, so that
	// two volumes with equal inode numbers are never linked together.
	DeviceID uint64
	// Progress, if set, is told now and then how far the save is, by the
	// goroutine that called Save; it must be quick.
	Progress func(Progress)
}

// Progress is how far a save is.
type Progress struct {
	Files int64 // everything that is no directory, unchanged ones included
	Bytes int64 // content that was read
	Path  string
}

// Result says what Save saved.
type Result struct {
	// Tree is the volume's root. Root is its node, with Tree as its subtree and
	// without a name: what the caller puts into the tree above.
	Tree repository.ID
	Root repository.Node

	Files, Dirs, Others int64 // regular files, directories, the rest; unchanged ones included
	New, Changed        int64 // of what is no directory, compared with the parent
	Unchanged           int64 // its node was taken over
	TreesReused         int64 // directories in which nothing changed

	BytesRead int64  // content that came through the stream
	BytesAll  uint64 // content of all regular files, each name counted

	// Walk is what the helper says of the walk.
	Walk volume.WalkResult

	// Warnings are the first of what was noticed, Unreadable not among them.
	Warnings     []volume.Warning
	WarningCount int64
	// Unreadable are the first of the paths that could not be read, with the
	// reason. Nothing of them is in the tree. If there is any, the volume is
	// partial: stored, but not good.
	Unreadable      []volume.Warning
	UnreadableCount int64
}

// Partial says whether something could not be read.
func (r *Result) Partial() bool { return r.UnreadableCount > 0 }

// maxNoted bounds each list of a Result.
const maxNoted = 10_000

func (r *Result) warn(w volume.Warning) {
	r.WarningCount++
	if len(r.Warnings) < maxNoted {
		r.Warnings = append(r.Warnings, w)
	}
}

func (r *Result) unreadable(w volume.Warning) {
	r.UnreadableCount++
	if len(r.Unreadable) < maxNoted {
		r.Unreadable = append(r.Unreadable, w)
	}
}
