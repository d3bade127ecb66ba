package volume

import (
	"slices"
	"strings"
)

// protector knows what in a volume a restore leaves alone: what was excluded or
// unreadable at backup, the filesystem's own lost+found, and the directories of
// restores.
type protector struct {
	globs  excluder
	paths  []string // could not be read at backup
	mounts []string
	kept   []string // what the request names as not its own
}

func newProtector(req RestoreRequest) (*protector, error) {
	globs, err := newExcluder(req.Protected)
	if err != nil {
		return nil, err
	}
	return &protector{globs: globs, paths: req.ProtectedPaths, kept: req.Kept}, nil
}

// covers says whether what lies at path is left alone, with all below it. It
// looks at path itself, not at the directories above.
func (p *protector) covers(path string) bool { return p.why(path) != "" }

// stagingDir is why a restore's own directory is left alone, which nobody needs
// to be told.
const stagingDir = "a restore's own directory"

// why says why what lies at path is left alone; empty if it is not.
func (p *protector) why(path string) string {
	switch {
	case path == "":
		return ""
	case path == "lost+found":
		return "the filesystem's own"
	case strings.HasPrefix(path, StagingPrefix) && strings.IndexByte(path, '/') < 0:
		return stagingDir
	case within(path, p.mounts):
		return "a mount point"
	case within(path, p.kept):
		return "one of the project's own files"
	case within(path, p.paths):
		return "could not be read when it was saved"
	case p.globs.match(path):
		return "excluded from the backup"
	}
	return ""
}

// within says whether path is one of the others, or below one.
func within(path string, others []string) bool {
	for _, own := range others {
		if isAtOrBelow(path, own) {
			return true
		}
	}
	return false
}

// mayCoverBelow says whether something below the directory at path could be
// protected, so that it has to be looked at name by name.
func (p *protector) mayCoverBelow(path string) bool {
	if len(p.globs) > 0 {
		return true
	}
	for _, own := range slices.Concat(p.paths, p.mounts, p.kept) {
		if isAtOrBelow(own, path) {
			return true
		}
	}
	return false
}
