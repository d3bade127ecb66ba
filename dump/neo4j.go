package dump

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
)

// Neo4j is the engine "neo4j": an archive of each database, written and read by
// neo4j-admin while the server is down.
type Neo4j struct{}

// Name is the engine's name in the label.
func (Neo4j) Name() string { return "neo4j" }

// OfflineUser is the service's own: its scripts become the owner of the files.
func (Neo4j) OfflineUser() string { return "" }

// neo4jItem is the one item: which databases there are, and who may use them,
// is in one of them.
const neo4jItem = "all"

// neo4jSystem is the database that says which others there are.
const neo4jSystem = "system"

// Neo4jFacts is where a server keeps its files, and what lies there.
type Neo4jFacts struct {
	Dir       string   `json:"dir"`  // of its data
	Logs      string   `json:"logs"` // of its transactions
	Databases []string `json:"databases"`
}

// Check refuses what cannot be chosen.
func (Neo4j) Check(req Request) error {
	if req.User != "" {
		return fmt.Errorf("%w: there is no user to name: the files are read, not the server", ErrBadRequest)
	}
	for _, name := range req.Databases {
		if name != neo4jItem {
			return fmt.Errorf("%w: there is no database %q that could be dumped by itself: who may use it is said by another one", ErrBadRequest, name)
		}
	}
	return nil
}

// Files is an archive of each database.
func (e Neo4j) Files(req Request, facts Facts) ([]File, error) {
	if err := e.Check(req); err != nil {
		return nil, err
	}
	if facts.Neo4j == nil {
		return nil, errNotNeo4j
	}
	if req.Databases != nil && len(req.Databases) == 0 {
		return nil, nil
	}
	var files []File
	for _, name := range facts.Neo4j.Databases {
		show := "neo4j-admin database dump --to-stdout " + name
		if facts.ServerMajor < 5 {
			show = "neo4j-admin dump --database=" + name + " --to=FILE"
		}
		files = append(files, File{
			Name: neo4jFile(name), Item: neo4jItem, Role: RoleDatabase,
			Command:  Command{Argv: shell(neo4jDump, facts.Neo4j.Dir, facts.Neo4j.Logs, name), Gate: true, Show: show},
			NewProof: func() Proof { return newNeo4jProof() },
		})
	}
	return files, nil
}

// neo4jFile is the name of a database's dump, as neo4j-admin calls it.
func neo4jFile(name string) string { return name + ".dump" }

var errNotNeo4j = errors.New("nothing is recorded of the Neo4j server")

// Skipped is nothing: every database has its files.
func (Neo4j) Skipped(Request, Facts) []string { return nil }

// Judge is the proof for each file.
func (Neo4j) Judge(Role, string) Proof { return newNeo4jProof() }

// Ready succeeds when the server answers and its databases are online.
func (Neo4j) Ready() Command {
	return Command{Argv: shell(neo4jReady), Show: "cypher-shell 'SHOW DATABASES' (answers, and each is online)"}
}

// FallbackDataDirs goes by the image's variables, and by where images put their
// files.
func (Neo4j) FallbackDataDirs(env func(string) string, mounts []string) []string {
	homes := []string{"/data", "/var/lib/neo4j/data", "/bitnami/neo4j"}
	var dirs []string
	for _, name := range []string{"NEO4J_server_directories_data", "NEO4J_dbms_directories_data"} {
		if dir := path.Clean(env(name)); path.IsAbs(dir) {
			homes, dirs = append(homes, dir), append(dirs, dir)
		}
	}
	for _, mount := range mounts {
		mount = path.Clean(mount)
		inHome := slices.ContainsFunc(homes, func(h string) bool { return mount == h || strings.HasPrefix(mount, h+"/") })
		if inHome && !slices.Contains(dirs, mount) {
			dirs = append(dirs, mount)
		}
	}
	return dirs
}

// CanRestore refuses a dump of a newer server, whose files an older one does
// not read, and one of 4.x in a newer one, where they have to be migrated.
func (Neo4j) CanRestore(dumped, target Facts) error {
	switch {
	case dumped.Engine != target.Engine:
		return fmt.Errorf("%w: a dump by %s cannot be restored by %s", ErrBadRequest, dumped.Engine, target.Engine)
	case dumped.Neo4j == nil || target.Neo4j == nil:
		return errNotNeo4j
	case newerThan(dumped.ServerVersion, target.ServerVersion):
		return fmt.Errorf("%w: it was made of Neo4j %s, the image has %s", ErrNewerDump, dumped.ServerVersion, target.ServerVersion)
	case dumped.ServerMajor < 5 && target.ServerMajor >= 5:
		return fmt.Errorf("%w: it was made of Neo4j %s, and the image has %s, to which its files have to be migrated: export it, and run \"neo4j-admin database migrate\" after loading it", ErrBadRequest, dumped.ServerVersion, target.ServerVersion)
	}
	return nil
}

// SpaceNeeded is the files themselves: archives are compressed.
func (Neo4j) SpaceNeeded(dumped Facts, database string, dumpBytes int64) int64 {
	if d, ok := dumped.Database(database); ok && d.Size > 0 {
		return d.Size + 64<<20
	}
	return 10*dumpBytes + 64<<20
}

// Place has all databases and transactions go aside, and loads each database
// anew. Where the server keeps its files today counts.
func (Neo4j) Place(dumped Facts, target *Facts) (Placement, error) {
	if dumped.Neo4j == nil || len(dumped.Neo4j.Databases) == 0 {
		return Placement{}, errNotNeo4j
	}
	dir, logs := dumped.Neo4j.Dir, dumped.Neo4j.Logs
	if target != nil && target.Neo4j != nil {
		dir, logs = target.Neo4j.Dir, target.Neo4j.Logs
	}
	databases := path.Join(dir, "databases")
	p := Placement{Empty: []string{databases}}
	for _, d := range []string{dir, logs} {
		if err := neo4jDir(d); err != nil {
			return Placement{}, fmt.Errorf("%w: %w", ErrBadRequest, err)
		}
	}
	if within := databases + "/"; logs == dir || strings.HasPrefix(within, logs+"/") || strings.HasPrefix(logs, within) {
		return Placement{}, fmt.Errorf("%w: %.60q cannot hold the transactions beside the databases in %.60q", ErrBadRequest, logs, databases)
	}
	p.Empty = append(p.Empty, logs)
	for _, name := range dumped.Neo4j.Databases {
		if !neo4jName(name) {
			return Placement{}, fmt.Errorf("%w: %.60q is no name of a database", ErrBadRequest, name)
		}
		p.Load = append(p.Load, Step{
			Name: "load", Cause: "its directories are empty", Input: InputDump, File: neo4jFile(name),
			Command: Command{Argv: shell(neo4jLoad, dir, logs, name), Stdin: true, Show: "neo4j-admin database load --from-stdin " + name + " (with 4.x: load --from=FILE)"},
		})
	}
	return p, nil
}

// Fits is nothing that the proof could say.
func (Neo4j) Fits(Proof, Facts, *Facts) error { return nil }

// Came is asked of a server whose databases are online. One that lacks some has
// made itself new ones.
func (Neo4j) Came(_ Proof, dumped, now Facts) ([]string, error) {
	if now.Neo4j == nil || dumped.Neo4j == nil {
		return nil, errNotNeo4j
	}
	for _, name := range dumped.Neo4j.Databases {
		if !slices.Contains(now.Neo4j.Databases, name) {
			return nil, fmt.Errorf("the server came up without the database %q, which the dump holds: it keeps its files in %s; look at its log", name, now.Neo4j.Dir)
		}
	}
	return nil, nil
}

// RestoreGlobals has nothing to do: users and roles are in a database.
func (Neo4j) RestoreGlobals(GlobalsRequest) ([]Step, []string, error) { return nil, nil, nil }

// Restore is not how this engine restores: see Place.
func (Neo4j) Restore(RestoreRequest) ([]Step, error) { return nil, errByFiles }

// Recover is not how this engine recovers: the volume's journal does.
func (Neo4j) Recover(RecoverRequest) (Recovery, error) { return Recovery{}, errByFiles }

// Leftovers are none: what a restore leaves lies in the volume.
func (Neo4j) Leftovers(Facts) []string { return nil }

// neo4jExplanations are looked through in order.
var neo4jExplanations = [...]struct{ text, advice string }{
	{"neo4j-admin is not in the container", "the image has no neo4j-admin"},
	{"no directory with databases", "the server's files were not found: mount a volume at /data, or where server.directories.data says"},
	{"Active logical log detected", "the server was not shut down cleanly, and has to recover by itself first: start it, and give it more time to stop (stop_grace_period: 2m)"},
	{"database is in use", "something else has the database open: stop what mounts its volume"},
	{"no space left for a dump", "with Neo4j 4.x a dump is a file first: make room in /tmp of the container, or where the server keeps its data"},
	{"No space left on device", "no space is left where the server keeps its files"},
	{"do not have permission", "the files cannot be read by the user that the service runs as"},
	{"Permission denied", "the files cannot be read by the user that the service runs as"},
}

// Explain says what an error text means.
func (Neo4j) Explain(stderr string, exit int) string {
	for _, e := range neo4jExplanations {
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
