package volume

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"

	"golang.org/x/sys/unix"
)

// lenience is what a restore leaves out that whoever runs it may not set: who
// has no rights over other people's files gets their content all the same. It
// notes what is to be said of that, and what is done at the end. Nil for a
// restore that has to set everything.
type lenience struct {
	own bool // runs without root's rights over modes

	mu      sync.Mutex
	owners  int64 // files whose owner could not be set
	bits    int64 // of these, those that lost setuid or setgid by it
	closing []closingDir
}

// closingDir is a directory that its owner may not write to. It is open to us
// until all is in place.
type closingDir struct {
	path string
	mode uint32
}

func newLenience(req RestoreRequest) *lenience {
	if !req.Lenient {
		return nil
	}
	return &lenience{own: os.Geteuid() != 0}
}

// adapt gives what may be set of e, and sets the owner as far as that goes.
func (l *lenience) adapt(m *metaWriter, o object, e *Entry, fresh bool) (*Entry, error) {
	out := *e
	if !fresh || e.UID != m.uid || e.GID != m.gid {
		err := m.owner(o, e)
		if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EINVAL) { // in a user namespace IDs may not exist
			_ = o.chown(^uint32(0), e.GID) // as much as a member of the group may do
			l.count(&out)
			err = nil
		}
		if err != nil {
			return nil, fmt.Errorf("set the owner of %q: %w", e.Path, err)
		}
		out.UID, out.GID = m.uid, m.gid // which needs no setting again
	}
	if l.own && e.Type == Dir && e.Mode&0o700 != 0o700 {
		l.mu.Lock()
		l.closing = append(l.closing, closingDir{path: e.Path, mode: out.Mode})
		l.mu.Unlock()
		out.Mode |= 0o700
	}
	return &out, nil
}

// count counts a file that keeps another owner. With that it must not keep the
// bits by which it would run as its owner.
func (l *lenience) count(e *Entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.owners++
	if e.Type == File && e.Mode&0o6000 != 0 {
		l.bits++
		e.Mode &^= 0o6000
	}
}

// finish closes the directories, those with longer paths first, as nothing can
// be reached through one that is closed, and says what was left out.
func (l *lenience) finish(tree *beneath, warn func(string)) error {
	if l == nil {
		return nil
	}
	slices.SortFunc(l.closing, func(a, b closingDir) int { return len(b.path) - len(a.path) })
	for _, d := range l.closing {
		err := tree.at(d.path, func(dir int, name string) error { return named(dir, name).chmod(tree.root, d.mode) })
		if err != nil {
			return fmt.Errorf("set the mode of %q: %w", d.path, err)
		}
	}
	if l.owners > 0 {
		warn(fmt.Sprintf("%d files and folders belong to whoever restored them: only root may give files to others", l.owners))
	}
	if l.bits > 0 {
		warn(fmt.Sprintf("%d of them are not setuid or setgid any more", l.bits))
	}
	return nil
}

// mayMakeDevices tries to make one in our own directory.
func (r *restoreRun) mayMakeDevices() bool {
	const name = "device"
	if r.dir < 0 || unix.Mknodat(r.dir, name, unix.S_IFCHR|0o600, int(unix.Mkdev(1, 3))) != nil {
		return false
	}
	return unix.Unlinkat(r.dir, name, 0) == nil
}
