package archive

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/ripplebak/ripplebak/repository"
)

// Finder looks for files in many snapshots. A directory that several of them
// share is looked into once; what is kept of one is a few bytes, and what
// matched in it.
type Finder struct {
	// Want says whether a file is wanted, by its path from the snapshot's root,
	// "/" first.
	Want func(path string, n *repository.Node) bool
	// Enter says whether a directory can hold what is wanted.
	Enter func(path string) bool

	repo *repository.Repository
	// seen has what was found in a tree at a path.
	seen map[[sha256.Size]byte]*Finds
}

// NewFinder looks into a repository.
func NewFinder(repo *repository.Repository) *Finder {
	return &Finder{repo: repo, seen: map[[sha256.Size]byte]*Finds{}}
}

// Finds are what matched in a directory and below it; nil for nothing.
type Finds struct{ entries []find }

// find is a name in a directory: what matched there, what was found below, or
// both.
type find struct {
	name  string
	match *Match
	below *Finds
}

// Match is a file that was found, as one snapshot has it.
type Match struct {
	Type     string
	Mode     os.FileMode
	UID, GID uint32
	Size     uint64
	ModTime  time.Time
	Target   string // of a symbolic link
	// version is the same for equal content, and for all directories.
	version [sha256.Size]byte
}

// Look finds what a tree holds. Trees of one namespace are looked at in the
// same way: what was found in one of them is taken for the same tree at the same
// path.
func (f *Finder) Look(ctx context.Context, namespace string, tree repository.ID) (*Finds, error) {
	return f.look(ctx, namespace, "", tree)
}

func (f *Finder) look(ctx context.Context, namespace, at string, tree repository.ID) (*Finds, error) {
	key := sha256.Sum256([]byte(namespace + "\x00" + at + "\x00" + string(tree[:])))
	if found, ok := f.seen[key]; ok {
		return found, nil
	}
	t, err := f.repo.LoadTree(ctx, tree)
	if err != nil {
		return nil, fmt.Errorf("directory %q: %w", at, err)
	}
	var found Finds
	for _, n := range t.Nodes {
		path := at + "/" + n.Name
		e := find{name: n.Name}
		if f.Want(path, n) {
			e.match = matchOf(n)
		}
		if n.Subtree != nil && f.Enter(path) {
			if e.below, err = f.look(ctx, namespace, path, *n.Subtree); err != nil {
				return nil, err
			}
		}
		if e.match != nil || e.below != nil {
			e.name = strings.Clone(e.name)
			found.entries = append(found.entries, e)
		}
	}
	f.seen[key] = nil
	if len(found.entries) > 0 {
		f.seen[key] = &found
	}
	return f.seen[key], nil
}

func matchOf(n *repository.Node) *Match {
	return &Match{
		Type: n.Type, Mode: n.Mode, UID: n.UID, GID: n.GID, Size: n.Size, ModTime: n.ModTime,
		Target: strings.Clone(n.LinkTarget), version: versionOf(n),
	}
}

// versionOf identifies a file's content.
func versionOf(n *repository.Node) (v [sha256.Size]byte) {
	h := sha256.New() // writing to it never fails
	io.WriteString(h, n.Type)
	if n.Type != repository.NodeDir {
		io.WriteString(h, "\x00"+n.LinkTarget+"\x00")
		h.Write(binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(nil, n.Device), n.Size))
		for _, id := range n.Content {
			h.Write(id[:])
		}
	}
	h.Sum(v[:0])
	return v
}

// Version is a file's content, and the snapshots that have it, as numbers in
// the order in which they were given. The match is the last one's.
type Version struct {
	Match
	In []int
}

// Merge calls fn for each path that matched in any of the snapshots, in the
// order of a walk, with its versions in the order in which they first appear.
func Merge(snapshots []*Finds, fn func(path string, versions []Version) error) error {
	var all []holding
	for i, found := range snapshots {
		all = hold(all, found, []int{i})
	}
	return merge(all, "", fn)
}

// holding is what the same directory holds in some of the snapshots.
type holding struct {
	found *Finds
	in    []int
}

// hold adds snapshots that hold the same to those before.
func hold(all []holding, found *Finds, in []int) []holding {
	if found == nil {
		return all
	}
	for i := range all {
		if all[i].found == found {
			all[i].in = append(all[i].in, in...)
			return all
		}
	}
	return append(all, holding{found, slices.Clone(in)})
}

func merge(all []holding, at string, fn func(path string, versions []Version) error) error {
	next := make([]int, len(all)) // the entry of each that comes next
	for {
		name, any := "", false
		for i, h := range all {
			if next[i] < len(h.found.entries) {
				if n := h.found.entries[next[i]].name; !any || n < name {
					name, any = n, true
				}
			}
		}
		if !any {
			return nil
		}
		var versions []Version
		var below []holding
		for i, h := range all {
			if next[i] == len(h.found.entries) || h.found.entries[next[i]].name != name {
				continue
			}
			e := h.found.entries[next[i]]
			next[i]++
			versions = addVersion(versions, e.match, h.in)
			below = hold(below, e.below, h.in)
		}
		if len(versions) > 0 {
			if err := fn(at+"/"+name, sortVersions(versions)); err != nil {
				return err
			}
		}
		if err := merge(below, at+"/"+name, fn); err != nil {
			return err
		}
	}
}

func addVersion(versions []Version, m *Match, in []int) []Version {
	if m == nil {
		return versions
	}
	for i := range versions {
		v := &versions[i]
		if v.version == m.version {
			if slices.Max(in) > slices.Max(v.In) {
				v.Match = *m
			}
			v.In = append(v.In, in...)
			return versions
		}
	}
	return append(versions, Version{*m, slices.Clone(in)})
}

func sortVersions(versions []Version) []Version {
	for _, v := range versions {
		slices.Sort(v.In)
	}
	slices.SortFunc(versions, func(a, b Version) int { return a.In[0] - b.In[0] })
	return versions
}
