package volume

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

// FoundDatabase is a file that begins as databases of SQLite do.
type FoundDatabase struct {
	Path string
	Size int64
	UID  uint32
	GID  uint32
	Mode uint32
}

// FoundDatabases is what a search has found. More says that there are others,
// Odd how many have names that cannot be spelled.
type FoundDatabases struct {
	Files []FoundDatabase
	More  bool
	Odd   int
}

// Bounds of a search: what it may find, and what its answer may hold of names.
const (
	maxFound      = 1000
	maxFoundNames = 256 << 10
)

const sqliteMagic = "SQLite format 3\x00"

type findHeader struct {
	Job     string
	Root    string
	Within  []string
	Exclude []string
}

// serveFind looks for databases.
func serveFind(ctx context.Context, header json.RawMessage, s *stream) error {
	var h findHeader
	if err := json.Unmarshal(header, &h); err != nil {
		return fmt.Errorf("read the request: %w", err)
	}
	exclude, err := newExcluder(h.Exclude)
	if err != nil {
		return err
	}
	r, err := openRoot(h.Root)
	if err != nil {
		return err
	}
	defer r.close()
	f := &finder{ctx: ctx, root: r, exclude: exclude, seen: map[string]bool{}}
	for _, at := range h.Within {
		if err := f.from(strings.Trim(path.Clean("/"+at), "/")); err != nil {
			return err
		}
	}
	return writeAnswer(s, f.found)
}

// finder looks for databases below a root, through no symlink and into no
// other filesystem.
type finder struct {
	ctx     context.Context
	root    *root
	exclude excluder
	seen    map[string]bool // paths, for what is looked for may overlap
	found   FoundDatabases
	names   int
}

// from looks at a path, and below it.
func (f *finder) from(at string) error {
	fd, err := unix.FcntlInt(uintptr(f.root.fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("look into the volume: %w", err)
	}
	defer func() { unix.Close(fd) }()
	if at == "" {
		return f.directory(fd, "", 0)
	}
	parts := strings.Split(at, "/")
	for _, name := range parts[:len(parts)-1] {
		next, err := f.root.openDir(fd, name)
		if err != nil {
			return f.unless(at, err)
		}
		unix.Close(fd)
		fd = next
	}
	return f.name(fd, append([]byte(parts[len(parts)-1]), 0), at, len(parts))
}

// unless passes over what is not there, or is no directory.
func (f *finder) unless(at string, err error) error {
	if isNotExist(err) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) || errors.Is(err, unix.EXDEV) {
		return nil
	}
	return fmt.Errorf("look into %q: %s", at, errnoText(err))
}

// directory looks at what is in a directory and below it. One that cannot be
// listed fails the search: what is in it would be saved by nobody's decision.
func (f *finder) directory(fd int, at string, depth int) error {
	if depth > maxOpenDepth || f.found.More {
		return nil
	}
	if f.ctx.Err() != nil {
		return context.Cause(f.ctx)
	}
	names, err := list(fd)
	if err != nil {
		return f.unless(at, err)
	}
	for _, ent := range names {
		name := string(ent.name)
		if ent.typ != File && ent.typ != Dir && ent.typ != 0 || depth == 0 && setAside(name) {
			continue
		}
		below := path.Join(at, name)
		if at == "" {
			below = name
		}
		if err := f.name(fd, ent.nameZ(), below, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// name looks at one name of a directory, which a zero byte follows.
func (f *finder) name(dir int, nameZ []byte, at string, depth int) error {
	if f.exclude.match(at) || f.seen[at] {
		return nil
	}
	var m meta
	if err := statName(dir, nameZ, &m); err != nil {
		return f.unless(at, err)
	}
	name := string(nameZ[:len(nameZ)-1])
	switch {
	case f.root.crossing(&m):
		return nil
	case m.typ == Dir:
		fd, err := f.root.openDir(dir, name)
		if err != nil {
			return f.unless(at, err)
		}
		defer unix.Close(fd)
		return f.directory(fd, at, depth)
	case m.typ == File && m.size >= 512 && m.size%512 == 0: // whole pages
		return f.file(dir, name, at, &m)
	}
	return nil
}

// file notes a file that begins as it should.
func (f *finder) file(dir int, name, at string, m *meta) error {
	fd, err := f.root.openFile(dir, name)
	if err != nil {
		return f.unless(at, err)
	}
	defer unix.Close(fd)
	var head [len(sqliteMagic)]byte
	n, err := ignoringEINTR(func() (int, error) { return unix.Pread(fd, head[:], 0) })
	if err != nil || string(head[:n]) != sqliteMagic {
		return nil // the walk says so of a file that cannot be read
	}
	f.seen[at] = true
	switch {
	case !utf8.ValidString(at) || strings.ContainsFunc(at, unicode.IsControl):
		f.found.Odd++
	case len(f.found.Files) >= maxFound || f.names+len(at) > maxFoundNames:
		f.found.More = true
	default:
		f.names += len(at)
		f.found.Files = append(f.found.Files, FoundDatabase{Path: at, Size: m.size, UID: m.uid, GID: m.gid, Mode: m.mode})
	}
	return nil
}
