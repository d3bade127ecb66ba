package volume

import "strings"

// protector knows what in a volume a restore leaves alone: what was excluded or
// unreadable at backup, the filesystem's own lost+found, and the directories of
// restores.
type protector struct {
	globs excluder
	paths []string
}

func newProtector(req RestoreRequest) (*protector, error) {
	globs, err := newExcluder(req.Protected)
	if err != nil {
		return nil, err
	}
	return &protector{globs: globs, paths: req.ProtectedPaths}, nil
}

// covers says whether what lies at path is left alone, with all below it. It
// looks at path itself, not at the directories above.
func (p *protector) covers(path string) bool {
	if path == "" {
		return false
	}
	if path == "lost+found" || strings.HasPrefix(path, StagingPrefix) && strings.IndexByte(path, '/') < 0 {
		return true
	}
	for _, own := range p.paths {
		if isAtOrBelow(path, own) {
			return true
		}
	}
	return p.globs.match(path)
}

// mayCoverBelow says whether something below the directory at path could be
// protected, so that it has to be looked at name by name.
func (p *protector) mayCoverBelow(path string) bool {
	if len(p.globs) > 0 {
		return true
	}
	for _, own := range p.paths {
		if isAtOrBelow(own, path) {
			return true
		}
	}
	return false
}
