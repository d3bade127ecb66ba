package dump

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Slapd is the engine "slapd", for OpenLDAP: the configuration and each
// database as LDIF, written by slapcat and read by slapadd while the server is
// down.
type Slapd struct{}

// Name is the engine's name in the label.
func (Slapd) Name() string { return "slapd" }

// OfflineUser is the service's own.
func (Slapd) OfflineUser() string { return "" }

// slapdItem is the one item: a configuration and its databases belong together.
const slapdItem = "all"

// slapdConfig is the name of the configuration's file below dumps/SERVICE/.
const slapdConfig = "config.ldif"

// SlapdFacts is what a configuration says.
type SlapdFacts struct {
	Config    string          `json:"config"` // its directory
	Databases []SlapdDatabase `json:"databases"`
}

// SlapdDatabase is a database that is stored in files.
type SlapdDatabase struct {
	Number int    `json:"number"` // as slapcat counts
	Suffix string `json:"suffix"`
	Dir    string `json:"dir"`
}

// file is the name of its dump.
func (d SlapdDatabase) file() string { return "database-" + strconv.Itoa(d.Number) + ".ldif" }

// Check refuses what cannot be chosen.
func (Slapd) Check(req Request) error {
	if req.User != "" {
		return fmt.Errorf("%w: there is no user to name: the files are read, not the server", ErrBadRequest)
	}
	for _, name := range req.Databases {
		if name != slapdItem {
			return fmt.Errorf("%w: there is no database %q that could be dumped by itself: the configuration and all databases belong together", ErrBadRequest, name)
		}
	}
	return nil
}

// Files are the configuration and each database.
func (s Slapd) Files(req Request, facts Facts) ([]File, error) {
	if err := s.Check(req); err != nil {
		return nil, err
	}
	if facts.Slapd == nil {
		return nil, errNotSlapd
	}
	if req.Databases != nil && len(req.Databases) == 0 {
		return nil, nil
	}
	file := func(name string, role Role, n int) File {
		number := strconv.Itoa(n)
		return File{
			Name: name, Item: slapdItem, Role: role,
			Command: Command{
				Argv: shell(slapdDump, facts.Slapd.Config, number), Gate: true,
				Show: "slapcat -F " + facts.Slapd.Config + " -n " + number + " -g",
			},
			NewProof: func() Proof { return newLDIFProof(role) },
		}
	}
	// The roles tell the two kinds apart. That of the configuration is not the
	// one of globals, which would make it an item of its own.
	files := []File{file(slapdConfig, RoleProperties, 0)}
	for _, d := range facts.Slapd.Databases {
		files = append(files, file(d.file(), RoleDatabase, d.Number))
	}
	return files, nil
}

var errNotSlapd = errors.New("nothing is recorded of the configuration")

// Skipped is nothing: what is stored elsewhere, such as a proxy's, is not the
// server's.
func (Slapd) Skipped(Request, Facts) []string { return nil }

// Judge is the proof for each file.
func (Slapd) Judge(role Role, _ string) Proof { return newLDIFProof(role) }

// Ready succeeds when the server answers.
func (Slapd) Ready() Command {
	return Command{Argv: shell(slapdReady), Show: "ldapsearch -x -s base -b ''"}
}

// FallbackDataDirs goes by where the images put their files.
func (Slapd) FallbackDataDirs(_ func(string) string, mounts []string) []string {
	homes := []string{"/var/lib/ldap", "/etc/ldap/slapd.d", "/bitnami/openldap", "/var/lib/openldap", "/etc/openldap/slapd.d"}
	var dirs []string
	for _, mount := range mounts {
		if mount = path.Clean(mount); slices.ContainsFunc(homes, func(h string) bool { return mount == h || strings.HasPrefix(mount, h+"/") }) {
			dirs = append(dirs, mount)
		}
	}
	return dirs
}

// CanRestore refuses a dump of a newer series, whose configuration an older
// server may not know.
func (Slapd) CanRestore(dumped, target Facts) error {
	switch {
	case dumped.Engine != target.Engine:
		return fmt.Errorf("%w: a dump by %s cannot be restored by %s", ErrBadRequest, dumped.Engine, target.Engine)
	case dumped.Slapd == nil:
		return errNotSlapd
	case dumped.ServerVersion != "" && target.ServerVersion != "" && newerThan(dumped.ServerVersion, target.ServerVersion):
		return fmt.Errorf("%w: it was made of OpenLDAP %s, the image has %s", ErrNewerDump, dumped.ServerVersion, target.ServerVersion)
	}
	return nil
}

// SpaceNeeded is the databases with their indexes.
func (Slapd) SpaceNeeded(_ Facts, _ string, dumpBytes int64) int64 { return 3*dumpBytes + 16<<20 }

// Place has the configuration and every database go aside, and fills their
// directories anew. Where they lie is what the dump says, which restores the
// configuration too; but that goes where the server looks for it today.
func (Slapd) Place(dumped Facts, target *Facts) (Placement, error) {
	if dumped.Slapd == nil {
		return Placement{}, errNotSlapd
	}
	conf := dumped.Slapd.Config
	p := Placement{}
	empty := func(dir string) {
		if !slices.ContainsFunc(p.Empty, func(e string) bool { return dir == e || strings.HasPrefix(dir, e+"/") }) {
			p.Empty = append(p.Empty, dir)
		}
	}
	dirs := []string{}
	if target != nil && target.Slapd != nil {
		conf = target.Slapd.Config
		for _, d := range target.Slapd.Databases {
			dirs = append(dirs, d.Dir)
		}
	}
	own := []string{conf}
	for _, d := range dumped.Slapd.Databases {
		own = append(own, d.Dir)
	}
	dirs = append(dirs, own...)
	slices.Sort(dirs) // what lies in another comes after it
	for _, d := range dirs {
		if !path.IsAbs(d) || path.Clean(d) != d || d == "/" {
			return Placement{}, fmt.Errorf("%w: %.60q is no directory of a database", ErrBadRequest, d)
		}
		empty(d)
	}
	p.Load = slapdSteps(conf, slapdConfig, 0, own)
	for _, d := range dumped.Slapd.Databases {
		p.Load = append(p.Load, slapdSteps(conf, d.file(), d.Number, []string{d.Dir})...)
	}
	return p, nil
}

// slapdSteps load a file and count.
func slapdSteps(conf, file string, n int, dirs []string) []Step {
	number := strconv.Itoa(n)
	return []Step{
		{
			Name: "load", Cause: "its directory is empty", Input: InputDump, File: file, Filter: withoutRemark,
			Command: Command{Argv: shell(slapdLoad, append([]string{conf, number}, dirs...)...), Stdin: true, Show: "slapadd -F " + conf + " -n " + number},
		},
		{
			Name: "count", Cause: "every entry has to be there", Input: InputDump, File: file,
			Command: Command{Argv: shell(slapdCount, conf, number), Stdin: true, Show: "slapcat -F " + conf + " -n " + number + " -g | grep -c ^dn:"},
		},
	}
}

// Fits is nothing that the proof could say.
func (Slapd) Fits(Proof, Facts, *Facts) error { return nil }

// Came is asked of a server that answers. That every entry is there was counted
// before it was started, so that what is left is whether it looks there: one
// that keeps its configuration elsewhere has made itself a new one.
func (Slapd) Came(_ Proof, dumped, now Facts) ([]string, error) {
	if now.Slapd == nil || dumped.Slapd == nil {
		return nil, errNotSlapd
	}
	for _, d := range dumped.Slapd.Databases {
		if !slices.ContainsFunc(now.Slapd.Databases, func(n SlapdDatabase) bool { return n.Suffix == d.Suffix && n.Dir == d.Dir }) {
			return nil, fmt.Errorf("the server came up without the database %q in %s, which the dump holds: its configuration is in %s, look whether it has made itself a new one", d.Suffix, d.Dir, now.Slapd.Config)
		}
	}
	return nil, nil
}

// RestoreGlobals has nothing to do: there are none.
func (Slapd) RestoreGlobals(GlobalsRequest) ([]Step, []string, error) { return nil, nil, nil }

// Restore is not how this engine restores: see Place.
func (Slapd) Restore(RestoreRequest) ([]Step, error) { return nil, errByFiles }

// Recover is not how this engine recovers: the volumes' journals do.
func (Slapd) Recover(RecoverRequest) (Recovery, error) { return Recovery{}, errByFiles }

// Leftovers are none: what a restore leaves lies in the volumes.
func (Slapd) Leftovers(Facts) []string { return nil }

// slapdExplanations are looked through in order.
var slapdExplanations = [...]struct{ text, advice string }{
	{"is not in the container", "the image has no slapcat and slapadd"},
	{"no directory with a configuration", "the configuration was not found: it has to be a directory (cn=config), not a slapd.conf"},
	{"MDB_MAP_FULL", "the database is full: raise olcDbMaxSize"},
	{"No space left on device", "no space is left where the server keeps its files"},
	{"Permission denied", "the files cannot be read by the user that the service runs as"},
	{"entries are in the database", "not all of the dump was taken"},
}

// Explain says what an error text means.
func (Slapd) Explain(stderr string, exit int) string {
	for _, e := range slapdExplanations {
		if strings.Contains(stderr, e.text) {
			return e.advice
		}
	}
	switch exit {
	case 126, 127:
		return "the image has no program that can be run"
	case 137:
		return "the command was killed: memory ran out, or the container was removed"
	}
	return ""
}
