package dump

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
)

// Redis is the engine "redis", for Redis, Valkey and KeyDB: one RDB file with
// all databases, taken as a replica takes it, and put back in the place of the
// server's own files.
type Redis struct{}

// Name is the engine's name in the label.
func (Redis) Name() string { return "redis" }

// redisItem is the one item: a file holds all databases of a server.
const redisItem = "all"

// redisFile is its name below dumps/SERVICE/.
const redisFile = "dump.rdb"

// RedisFacts is what a server says of itself and of its files.
type RedisFacts struct {
	Product string `json:"product"` // "redis", which KeyDB counts as, or "valkey"
	Mode    string `json:"mode"`    // "standalone", "cluster", ...
	Dir     string `json:"dir"`     // where its files lie, as the server sees it
	File    string `json:"file"`    // the RDB file in Dir
	// AOF says that it keeps an append-only file, or that there is one in Dir:
	// such a file is loaded in the place of the RDB file.
	AOF     bool   `json:"aof"`
	AOFFile string `json:"aof_file"`
	AOFDir  string `json:"aof_dir"` // the directory of AOF files, from version 7 on

	Keys    int64 `json:"-"` // of all databases
	Loading bool  `json:"-"`
	// Loaded is how many keys it has loaded when it started, Expired how many
	// of the file were too old by then; -1: it does not say.
	Loaded  int64 `json:"-"`
	Expired int64 `json:"-"`

	// reach is what the commands read to find the server and its password.
	reach Secrets
}

// Check refuses a choice of databases: a server dumps all of them.
func (Redis) Check(req Request) error {
	if len(req.User) > 255 || strings.ContainsAny(req.User, "\x00\n") {
		return fmt.Errorf("%w: the name of the user cannot be one", ErrBadRequest)
	}
	for _, name := range req.Databases {
		if name != redisItem {
			return fmt.Errorf("%w: there is no database %q that could be dumped by itself: all are in one file", ErrBadRequest, name)
		}
	}
	return nil
}

// Files is the one file.
func (r Redis) Files(req Request, facts Facts) ([]File, error) {
	if err := r.Check(req); err != nil {
		return nil, err
	}
	if facts.Redis == nil {
		return nil, errNotRedis
	}
	if req.Databases != nil && len(req.Databases) == 0 {
		return nil, nil
	}
	return []File{{
		Name: redisFile, Item: redisItem, Role: RoleDatabase,
		Command: Command{
			Argv: shell(redisDump, req.User), Gate: true, Stdin: len(facts.Redis.reach) > 0, Input: facts.Redis.reach,
			Show: redisClient(facts) + " --rdb -",
		},
		NewProof: func() Proof { return newRDBProof() },
		Trim:     newRDBTrim,
	}}, nil
}

var errNotRedis = errors.New("nothing is recorded of the server")

// redisClient is the name of the client that the container has.
func redisClient(facts Facts) string {
	name, _, _ := strings.Cut(facts.ClientVersion, " ")
	return name
}

// Skipped says what one server of several does not have.
func (Redis) Skipped(_ Request, facts Facts) []string {
	if facts.Redis == nil {
		return nil
	}
	var skipped []string
	if facts.Redis.Mode == "cluster" {
		skipped = append(skipped, "the other nodes of its cluster, each of which holds a part of the keys: put the label on their services too")
	}
	if facts.Standby {
		skipped = append(skipped, "what its primary has not sent it yet: it is a replica")
	}
	return skipped
}

// Judge is the proof for the file.
func (Redis) Judge(Role, string) Proof { return newRDBProof() }

// Ready succeeds when the server answers and has loaded its data. One that
// wants a password answers, too.
func (Redis) Ready() Command {
	return Command{Argv: shell(redisReady, ""), Show: "redis-cli PING"}
}

// redisHomes are where images keep the server's files.
var redisHomes = [...]string{"/data", "/bitnami/redis", "/bitnami/valkey", "/bitnami/keydb", "/var/lib/redis", "/var/lib/valkey", "/var/lib/keydb"}

// FallbackDataDirs goes by where the images put their files.
func (Redis) FallbackDataDirs(_ func(string) string, mounts []string) []string {
	dirs := []string{redisHomes[0]}
	for _, mount := range mounts {
		for _, home := range redisHomes {
			if mount = path.Clean(mount); (mount == home || strings.HasPrefix(mount, home+"/")) && !slices.Contains(dirs, mount) {
				dirs = append(dirs, mount)
			}
		}
	}
	return dirs
}

// CanRestore refuses a dump of a server whose files the target does not read.
func (Redis) CanRestore(dumped, target Facts) error {
	switch {
	case dumped.Engine != target.Engine:
		return fmt.Errorf("%w: a dump by %s cannot be restored by %s", ErrBadRequest, dumped.Engine, target.Engine)
	case dumped.Redis == nil || target.Redis == nil:
		return errNotRedis
	case target.Standby:
		return fmt.Errorf("%w: the server is a replica, which would take its primary's data again: restore its primary", ErrBadRequest)
	}
	written, known := rdbOf(dumped)
	if !known {
		// Of a product and a version that this program was not written for.
		if dumped.Redis.Product == target.Redis.Product && newerThan(dumped.ServerVersion, target.ServerVersion) {
			return fmt.Errorf("%w: it was made of %s %s, the server is %s", ErrNewerDump, dumped.Redis.Product, dumped.ServerVersion, target.ServerVersion)
		}
		return nil
	}
	return rdbFits(written, dumped, target)
}

// SpaceNeeded is two files, for a server with an append-only file gets the
// dump in the place of that too, and some slack.
func (Redis) SpaceNeeded(_ Facts, _ string, dumpBytes int64) int64 { return 2*dumpBytes + 16<<20 }

// RestoreGlobals has nothing to do: there are none.
func (Redis) RestoreGlobals(GlobalsRequest) ([]Step, []string, error) { return nil, nil, nil }

// errByFiles says that a FileEngine was asked for a restore by commands.
var errByFiles = errors.New("it is restored as files, not by commands")

// Restore is not how this engine restores: see Place.
func (Redis) Restore(RestoreRequest) ([]Step, error) { return nil, errByFiles }

// Recover is not how this engine recovers: the volume's journal does.
func (Redis) Recover(RecoverRequest) (Recovery, error) { return Recovery{}, errByFiles }

// Leftovers are none: what a restore leaves lies in the volume.
func (Redis) Leftovers(Facts) []string { return nil }
