package dump

import (
	"fmt"
	"path"
	"slices"
	"sort"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
)

// SQLite is the engine "sqlite": each database is a file in a volume, copied by
// SQLite's own online backup in a helper, and put back in its place.
type SQLite struct{}

// Name is the engine's name in the label.
func (SQLite) Name() string { return "sqlite" }

// SQLiteFacts are the files that were found.
type SQLiteFacts struct {
	Files []SQLiteFile `json:"files"`
}

// SQLiteFile is one database.
type SQLiteFile struct {
	Name   string `json:"name"`   // of the item
	Volume string `json:"volume"` // the volume's key
	Path   string `json:"path"`   // below its root
	Owner
	Checked *CheckedFile `json:"-"`
}

// sqliteName is what the item of a file is called: its path in the container.
func sqliteName(target, at string) string {
	return strings.TrimPrefix(path.Join(target, at), "/")
}

// Check refuses a choice of databases other than by their paths.
func (SQLite) Check(req Request) error {
	for _, p := range req.Paths {
		if !path.IsAbs(p) || !doublestar.ValidatePattern(p) {
			return fmt.Errorf("%w: %q is no absolute path and no pattern of one", ErrBadRequest, p)
		}
	}
	return nil
}

// Seek looks everywhere, or where the paths of the label may lead to.
func (SQLite) Seek(req Request, mounts []Mount) []Search {
	var out []Search
	for _, m := range mounts {
		s := Search{Volume: m.Volume}
		if req.Paths == nil {
			s.Within = []string{""}
		}
		for _, p := range req.Paths {
			base, _ := doublestar.SplitPattern(p)
			if !isPattern(p) {
				base = p
			}
			if at, ok := inMount(m.Target, base); ok {
				s.Within = append(s.Within, at)
			} else if _, ok := inMount(base, m.Target); ok {
				s.Within = append(s.Within, "")
			}
		}
		i := slices.IndexFunc(out, func(o Search) bool { return o.Volume == m.Volume })
		switch {
		case s.Within == nil:
		case i < 0:
			out = append(out, s)
		default:
			out[i].Within = append(out[i].Within, s.Within...)
		}
	}
	for i := range out {
		sort.Strings(out[i].Within)
		out[i].Within = slices.Compact(out[i].Within)
	}
	return out
}

// isPattern says whether a path may mean several.
func isPattern(p string) bool { return strings.ContainsAny(p, `*?[{\`) }

// inMount is the path below the mount's target.
func inMount(target, p string) (string, bool) {
	target = path.Clean(target)
	switch {
	case p == target:
		return "", true
	case target == "/":
		return strings.TrimPrefix(p, "/"), true
	}
	return strings.CutPrefix(p, target+"/")
}

// Found names the files by their paths in the container. A file that two mounts
// show is one.
func (s SQLite) Found(req Request, mounts []Mount, found []FoundFile) Facts {
	facts := Facts{Engine: s.Name(), FreeBytes: -1, SQLite: &SQLiteFacts{Files: []SQLiteFile{}}}
	matched := map[string]bool{}
	for _, f := range found {
		name, ok := "", false
		for _, m := range mounts {
			if m.Volume != f.Volume {
				continue
			}
			at := path.Join(m.Target, f.Path)
			if pattern, hit := wants(req.Paths, at); hit && !ok {
				name, ok, matched[pattern] = sqliteName(m.Target, f.Path), true, true
			}
		}
		if !ok {
			continue
		}
		facts.SQLite.Files = append(facts.SQLite.Files, SQLiteFile{Name: name, Volume: f.Volume, Path: f.Path, Owner: f.Owner, Checked: f.Checked})
		facts.Databases = append(facts.Databases, Database{Name: name, Size: f.Size, AllowConn: true})
	}
	for _, p := range req.Paths {
		if !matched[p] {
			facts.Absent = append(facts.Absent, Absent{Name: strings.TrimPrefix(p, "/"), Why: fmt.Sprintf("the volumes hold no SQLite database at %s: was it made yet, and is it one?", p)})
		}
	}
	return facts
}

// wants says which path of a label names a file; all do where there is none.
func wants(paths []string, at string) (string, bool) {
	if paths == nil {
		return "", true
	}
	for _, p := range paths {
		if p == at || isPattern(p) && doublestar.MatchUnvalidated(p, at) {
			return p, true
		}
	}
	return "", false
}

// Files is a copy of each database.
func (s SQLite) Files(req Request, facts Facts) ([]File, error) {
	if err := s.Check(req); err != nil {
		return nil, err
	}
	if facts.SQLite == nil {
		return nil, errNotSQLite
	}
	var files []File
	for _, f := range facts.SQLite.Files {
		if req.Databases != nil && !slices.Contains(req.Databases, f.Name) {
			continue
		}
		files = append(files, File{
			Name: EscapeName(f.Name) + ".sqlite", Item: f.Name, Role: RoleDatabase,
			Command:  Command{Show: "SQLite online backup of /" + f.Name + ", integrity_check of the copy"},
			Copy:     &Copy{Volume: f.Volume, Path: f.Path},
			NewProof: func() Proof { return &sqliteProof{} },
		})
	}
	return files, nil
}

var errNotSQLite = fmt.Errorf("%w: it is not recorded where the file lies", ErrBadRequest)

// Beside names the write-ahead log with its index, and the rollback journal.
func (SQLite) Beside(p string) []string { return []string{p + "-journal", p + "-shm", p + "-wal"} }

// Place puts the dump where the file was, and has what belonged to the old one
// go: a journal or log of another file would be played into it.
func (s SQLite) Place(dumped Facts, _ *Facts) (Placement, error) {
	if dumped.SQLite == nil || len(dumped.SQLite.Files) != 1 {
		return Placement{}, errNotSQLite
	}
	f := dumped.SQLite.Files[0]
	if f.Path == "" || path.Clean("/"+f.Path) != "/"+f.Path || f.Volume == "" {
		return Placement{}, fmt.Errorf("%w: %q is no file in a volume", ErrBadRequest, f.Path)
	}
	dir, base := path.Split(f.Path)
	owner := f.Owner
	return Placement{Volume: f.Volume, Dir: path.Clean("/" + dir), Files: []string{base}, Remove: s.Beside(base), Owner: &owner}, nil
}

// Fits has nothing to compare with: each SQLite of the last twenty years reads
// the file.
func (SQLite) Fits(proof Proof, _ Facts, _ *Facts) error {
	if _, ok := proof.(*sqliteProof); !ok {
		return errNotSQLite
	}
	return nil
}

// Came says whether the file that was put in place is the one that was proven,
// and passes its check there.
func (SQLite) Came(proof Proof, _, now Facts) ([]string, error) {
	p, ok := proof.(*sqliteProof)
	if !ok || now.SQLite == nil || len(now.SQLite.Files) != 1 || now.SQLite.Files[0].Checked == nil {
		return nil, errNotSQLite
	}
	c := now.SQLite.Files[0].Checked
	switch {
	case c.Problem != "":
		return nil, fmt.Errorf("%w: the file fails its check in the volume: %s", ErrBadDump, c.Problem)
	case c.Pages*c.PageSize != p.size:
		return nil, fmt.Errorf("%w: the file in the volume has %d bytes, the dump %d", ErrBadDump, c.Pages*c.PageSize, p.size)
	}
	return nil, nil
}

// Judge is the proof for the file.
func (SQLite) Judge(Role, string) Proof { return &sqliteProof{} }

// Skipped is nothing: what is no database is saved with its volume.
func (SQLite) Skipped(Request, Facts) []string { return nil }

// FallbackDataDirs are none: there is no directory of the engine's own.
func (SQLite) FallbackDataDirs(func(string) string, []string) []string { return nil }

// CanRestore has nothing against it.
func (SQLite) CanRestore(dumped, target Facts) error {
	if dumped.Engine != target.Engine {
		return fmt.Errorf("%w: a dump by %s cannot be restored by %s", ErrBadRequest, dumped.Engine, target.Engine)
	}
	return nil
}

// SpaceNeeded is the file beside the old one.
func (SQLite) SpaceNeeded(_ Facts, _ string, dumpBytes int64) int64 { return dumpBytes }

// Probe is not how this engine learns of its databases: see Seek and Found.
func (SQLite) Probe(Request) Command { return Command{} }

// ParseProbe is not how this engine learns of its databases.
func (SQLite) ParseProbe(Request, []byte) (Facts, error) { return Facts{}, errByFiles }

// Ready is not asked: there is no server.
func (SQLite) Ready() Command { return Command{} }

// RestoreGlobals has nothing to do: there are none.
func (SQLite) RestoreGlobals(GlobalsRequest) ([]Step, []string, error) { return nil, nil, nil }

// Restore is not how this engine restores: see Place.
func (SQLite) Restore(RestoreRequest) ([]Step, error) { return nil, errByFiles }

// Recover is not how this engine recovers: the volume's journal does.
func (SQLite) Recover(RecoverRequest) (Recovery, error) { return Recovery{}, errByFiles }

// Leftovers are none: what a restore leaves lies in the volume.
func (SQLite) Leftovers(Facts) []string { return nil }

// Explain knows no better: a helper says it in our words.
func (SQLite) Explain(string, int) string { return "" }
