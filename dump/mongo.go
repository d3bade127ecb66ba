package dump

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// Mongo is the engine "mongodump": an archive of all databases, or one of each
// that is named.
type Mongo struct{}

// mongoAll is the item that holds all databases.
const mongoAll = "all"

// MongoFacts is what only a MongoDB server says.
type MongoFacts struct {
	ReplicaSet string `json:"replica_set,omitempty"`
	Router     bool   `json:"router,omitempty"` // a mongos
	// Oplog says that what changes while all databases are dumped is dumped
	// too, so that all is of one moment.
	Oplog bool `json:"oplog"`
}

// Name is the engine's name in the label.
func (Mongo) Name() string { return "mongodump" }

// Check refuses names that the tools would not take for one.
func (Mongo) Check(req Request) error {
	if strings.ContainsAny(req.User, "\x00\n") {
		return fmt.Errorf("%w: the name of the user cannot be one", ErrBadRequest)
	}
	for _, name := range req.Databases {
		if name == "" || len(name) > 63 || strings.ContainsAny(name, "/\\. \"$*<>:|?\x00\n") {
			return fmt.Errorf("%w: %q cannot be the name of a database", ErrBadRequest, name)
		}
	}
	return nil
}

// Probe is one exec that says all that a backup or restore must know.
func (Mongo) Probe(req Request) Command {
	return Command{Argv: shell(mongoProbe, req.User), Show: "mongosh, with isMaster, buildInfo and listDatabases (versions, replica set, databases)"}
}

// ParseProbe reads the lines of mongoProbe.
func (e Mongo) ParseProbe(req Request, stdout []byte) (Facts, error) {
	facts := Facts{Engine: e.Name(), User: req.User, FreeBytes: -1, Mongo: &MongoFacts{}}
	lines := strings.Split(strings.TrimRight(string(stdout), "\n"), "\n")
	if lines[len(lines)-1] != "end" {
		return Facts{}, fmt.Errorf("%w: it has no end", errProbe)
	}
	secret := false
	for _, line := range lines[:len(lines)-1] {
		kind, value, _ := strings.Cut(line, " ")
		switch kind {
		case "tools":
			facts.ClientVersion = value
			facts.ClientMajor, _ = versionOf(value)
		case "secret":
			secret = true
		case "server":
			if err := facts.takeMongo(value); err != nil {
				return Facts{}, fmt.Errorf("%w: %w", errProbe, err)
			}
		}
	}
	if facts.ServerMajor == 0 || facts.ClientMajor == 0 {
		return Facts{}, fmt.Errorf("%w: it does not name the server and the tools", errProbe)
	}
	if secret && newerThan("100.3", facts.ClientVersion) {
		return Facts{}, fmt.Errorf("%w: mongodump %s takes a password only where others can see it: 100.3 or newer does not, which is in the images of MongoDB 4.4 and newer", ErrBadRequest, facts.ClientVersion)
	}
	return facts, nil
}

// takeMongo reads what the server said.
func (f *Facts) takeMongo(text string) error {
	var said struct {
		Version   string `json:"version"`
		Set       string `json:"set"`
		Mongos    bool   `json:"mongos"`
		Primary   bool   `json:"primary"`
		Databases []struct {
			Name string `json:"name"`
			Size int64  `json:"size"`
		} `json:"databases"`
	}
	if err := json.Unmarshal([]byte(text), &said); err != nil {
		return err
	}
	f.ServerVersion = said.Version
	f.ServerMajor, _ = versionOf(said.Version)
	f.Standby = said.Set != "" && !said.Primary
	*f.Mongo = MongoFacts{ReplicaSet: said.Set, Router: said.Mongos, Oplog: said.Set != "" && !said.Mongos}
	all := Database{Name: mongoAll, AllowConn: true}
	f.Databases = []Database{all}
	for _, d := range said.Databases {
		if d.Name == "local" || d.Name == "config" {
			continue // the server's own, which are not dumped
		}
		f.Databases = append(f.Databases, Database{Name: d.Name, Size: d.Size, AllowConn: true})
		f.Databases[0].Size += d.Size
	}
	if !f.Mongo.Oplog {
		f.Warnings = append(f.Warnings, "its databases are not saved as of one moment: only a member of a replica set keeps what changes meanwhile (a set of one member will do)")
	}
	return nil
}

// Files is one archive of all, or one of each database that is named.
func (e Mongo) Files(req Request, facts Facts) ([]File, error) {
	if err := e.Check(req); err != nil {
		return nil, err
	}
	if facts.Mongo == nil {
		return nil, errNotMongo
	}
	if req.Databases == nil {
		return []File{e.file(req, mongoAll, facts.Mongo.allFlags("--archive"))}, nil
	}
	var files []File
	for _, name := range req.Databases {
		if name == mongoAll {
			files = append(files, e.file(req, mongoAll, facts.Mongo.allFlags("--archive")))
			continue
		}
		if _, ok := facts.Database(name); !ok {
			return nil, fmt.Errorf("%w: there is no database %q", ErrBadRequest, name)
		}
		files = append(files, e.file(req, name, []string{"--archive", "--numParallelCollections=1", "--db=" + name}))
	}
	return files, nil
}

var errNotMongo = errors.New("nothing is recorded of the server")

// allFlags has one collection follow the other, so that what did not change is
// recognised.
func (f MongoFacts) allFlags(flags ...string) []string {
	flags = append(flags, "--numParallelCollections=1")
	if f.Oplog {
		flags = append(flags, "--oplog")
	}
	return flags
}

func (Mongo) file(req Request, item string, flags []string) File {
	return File{
		Name: EscapeName(item) + ".archive", Item: item, Role: RoleDatabase,
		Command: Command{
			Argv: shell(mongoDump, append([]string{req.User}, flags...)...), Gate: true,
			Show: "mongodump " + strings.Join(flags, " "),
		},
		NewProof: func() Proof { return newMongoProof() },
	}
}

// Skipped says what named databases leave out.
func (Mongo) Skipped(req Request, facts Facts) []string {
	var skipped []string
	if facts.Standby {
		skipped = append(skipped, "what its primary has not sent it yet: it is a secondary")
	}
	if facts.Mongo != nil && facts.Mongo.Router {
		skipped = append(skipped, "how collections are spread over the shards")
	}
	if req.Databases != nil {
		skipped = append(skipped, "users and roles, which are in the database admin")
	}
	return skipped
}

// Judge is the proof for an archive.
func (Mongo) Judge(Role, string) Proof { return newMongoProof() }

// Ready succeeds when the server answers and the container is set up.
func (Mongo) Ready() Command {
	return Command{Argv: shell(mongoReady, ""), Show: "mongosh, with ping"}
}

// FallbackDataDirs are where the images keep the server's files.
func (Mongo) FallbackDataDirs(func(string) string, []string) []string {
	return []string{"/data/db", "/data/configdb", "/bitnami/mongodb"}
}

// CanRestore refuses a dump of a newer series, and a server that takes its data
// from another.
func (Mongo) CanRestore(dumped, target Facts) error {
	switch {
	case dumped.Engine != target.Engine:
		return fmt.Errorf("%w: a dump by %s cannot be restored by %s", ErrBadRequest, dumped.Engine, target.Engine)
	case dumped.Mongo == nil || target.Mongo == nil:
		return errNotMongo
	case target.Standby:
		return fmt.Errorf("%w: the server is a secondary, which takes nothing but its primary's data: restore its primary", ErrBadRequest)
	case dumped.Mongo.Oplog && target.Mongo.Router:
		return fmt.Errorf("%w: a dump of a replica set with its oplog cannot be restored through mongos", ErrBadRequest)
	case newerThan(dumped.ServerVersion, target.ServerVersion):
		return fmt.Errorf("%w: it was made of MongoDB %s, the server is %s", ErrNewerDump, dumped.ServerVersion, target.ServerVersion)
	}
	return nil
}

// SpaceNeeded is nothing beside the old data, which is dropped first.
func (Mongo) SpaceNeeded(Facts, string, int64) int64 { return 0 }

// RestoreGlobals has nothing to do: users and roles are in a database.
func (Mongo) RestoreGlobals(GlobalsRequest) ([]Step, []string, error) { return nil, nil, nil }

// restoreFlags are those of mongorestore.
func (Mongo) restoreFlags(database string, dumped Facts) []string {
	flags := []string{"--archive", "--drop", "--stopOnError"}
	switch {
	case database != mongoAll:
		flags = append(flags, "--nsInclude="+database+".*")
	case dumped.Mongo != nil && dumped.Mongo.Oplog:
		flags = append(flags, "--oplogReplay")
	}
	return flags
}

// Restore pipes the archive into mongorestore.
func (e Mongo) Restore(req RestoreRequest) ([]Step, error) {
	if err := e.Check(Request{User: req.Target.User, Databases: []string{req.Database}}); err != nil {
		return nil, err
	}
	if req.NewName != "" {
		return nil, fmt.Errorf("%w: mongodump's archives are not restored under another name", ErrBadRequest)
	}
	flags := e.restoreFlags(req.Database, req.Dumped)
	return []Step{{
		Name: "load", Cause: "it replaces each collection of the dump", Input: InputDump,
		Command: Command{Argv: shell(mongoRestore, append([]string{req.Target.User}, flags...)...), Stdin: true, Show: "mongorestore " + strings.Join(flags, " ")},
	}}, nil
}

// InPlace shows mongorestore, which drops each collection before it loads it.
func (e Mongo) InPlace(item string, _ Request, dumped Facts) (command, note string) {
	return "mongorestore " + strings.Join(e.restoreFlags(item, dumped), " "),
		"mongorestore drops each collection and then loads it: if it fails, some are old, some new, and one may be gone; collections that are not in the dump stay"
}

// Recover knows nothing: see InPlace.
func (Mongo) Recover(RecoverRequest) (Recovery, error) { return Recovery{}, errInPlace }

// Leftovers are none.
func (Mongo) Leftovers(Facts) []string { return nil }

// mongoExplanations are looked through in order.
var mongoExplanations = [...]struct{ text, advice string }{
	{"cannot read MONGO_INITDB_ROOT_PASSWORD_FILE", "the file that MONGO_INITDB_ROOT_PASSWORD_FILE names cannot be read in the container"},
	{"Authentication failed", "the server refuses the password: look at MONGO_INITDB_ROOT_USERNAME and MONGO_INITDB_ROOT_PASSWORD of the service (or their _FILE), and at the label dump.user"},
	{"AuthenticationFailed", "the server refuses the password: look at MONGO_INITDB_ROOT_USERNAME and MONGO_INITDB_ROOT_PASSWORD of the service (or their _FILE), and at the label dump.user"},
	{"requires authentication", "the server wants a password: set MONGO_INITDB_ROOT_USERNAME and MONGO_INITDB_ROOT_PASSWORD of the service, or their _FILE"},
	{"applyOps", "the user may not replay the oplog, which takes a role with anyAction on anyResource"},
	{"not authorized", "the user lacks a right: a dump takes the role backup, a restore the role restore"},
	{"oplog overflow", "more was written during the dump than the oplog holds: make it larger"},
	{"is not in the container", "the image has no client: dump from a container that has mongodump, mongorestore and mongosh"},
	{"ECONNREFUSED", mongoNotReached},
	{"connection refused", mongoNotReached},
	{"couldn't connect to server", mongoNotReached},
	{"server selection error", mongoNotReached},
	{"No space left on device", "no space is left where the server keeps its files"},
}

const mongoNotReached = "the server does not answer on 127.0.0.1: is it running, and does it listen there without TLS?"

// Explain says what an error text means and which variable to look at.
func (Mongo) Explain(stderr string, exit int) string {
	for _, e := range mongoExplanations {
		if strings.Contains(stderr, e.text) {
			return e.advice
		}
	}
	switch exit {
	case 126, 127:
		return "the image has no client that can be run: dump from a container that has mongodump, mongorestore and mongosh"
	case 137:
		return "the command was killed: the container was stopped, or memory ran out"
	case 143:
		return "the command was ended: the container was stopped"
	}
	return ""
}
