package dump

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// Postgres is the engine "pg_dump": each database in the custom format,
// uncompressed so that it deduplicates, the roles, and what belongs to a
// database but is dropped by a pg_restore that does not create it.
//
// It is written for PostgreSQL 12 to 18.
type Postgres struct{}

// Name is the engine's name in the label.
func (Postgres) Name() string { return "pg_dump" }

// pgMaxName is the number of bytes that a PostgreSQL name has at most.
const pgMaxName = 63

// Names that hold what is under way while a database is restored.
const (
	pgNewPrefix = "ripplebak_new_"
	pgOldPrefix = "ripplebak_old_"
)

// Check refuses what can be no name in PostgreSQL.
func (Postgres) Check(req Request) error {
	if err := checkName("user", req.User); req.User != "" && err != nil {
		return err
	}
	for i, name := range req.Databases {
		if err := checkName("database", name); err != nil {
			return err
		}
		switch {
		case name == "template0" || name == "template1":
			return fmt.Errorf("%w: database %s is the server's own template and cannot be restored", ErrBadRequest, name)
		case ours(name):
			return fmt.Errorf("%w: database %s was left by an interrupted restore", ErrBadRequest, name)
		case slices.Contains(req.Databases[:i], name):
			return fmt.Errorf("%w: database %q is named twice", ErrBadRequest, name)
		}
	}
	_, err := parsePatterns(req.ExcludeTableData)
	return err
}

func checkName(what, name string) error {
	switch {
	case name == "":
		return fmt.Errorf("%w: the name of a %s is empty", ErrBadRequest, what)
	case len(name) > pgMaxName:
		return fmt.Errorf("%w: the name of a %s is %d bytes long, PostgreSQL allows %d", ErrBadRequest, what, len(name), pgMaxName)
	case strings.ContainsRune(name, 0):
		return fmt.Errorf("%w: the name of a %s holds a NUL byte", ErrBadRequest, what)
	}
	return nil
}

// ours says whether a database is one that a restore of ours made.
func ours(name string) bool {
	return strings.HasPrefix(name, pgNewPrefix) || strings.HasPrefix(name, pgOldPrefix)
}

// Ready succeeds when the server answers over TCP. The init server of the
// images listens on the socket only, and would vanish under a restore.
func (Postgres) Ready() Command {
	return Command{
		Argv: shell(pgRun, "", "", "pg_isready", "--host=127.0.0.1", "--quiet", "--timeout=5"),
		Show: "pg_isready --host=127.0.0.1",
	}
}

// pgHomes are where the images keep the server's files where no variable says
// otherwise.
var pgHomes = [...]string{"/var/lib/postgresql", "/var/lib/pgsql", "/var/lib/pgpro"}

// FallbackDataDirs goes by the environment, and by where the images put their
// files: a volume mounted at, or below, one of those places is the engine's.
func (Postgres) FallbackDataDirs(env func(string) string, mounts []string) []string {
	var dirs []string
	add := func(dir string) {
		if dir = path.Clean(dir); path.IsAbs(dir) && dir != "/" && !slices.Contains(dirs, dir) {
			dirs = append(dirs, dir)
		}
	}
	if dir := env("PGDATA"); dir != "" {
		add(dir)
	} else {
		add("/var/lib/postgresql/data")
	}
	if dir := env("POSTGRES_INITDB_WALDIR"); dir != "" {
		add(dir)
	}
	for _, mount := range mounts {
		for _, home := range pgHomes {
			if mount = path.Clean(mount); mount == home || strings.HasPrefix(mount, home+"/") {
				add(mount)
			}
		}
	}
	return dirs
}

// CanRestore refuses a dump of a newer server or client: neither promises to
// be understood by older ones.
func (Postgres) CanRestore(dumped, target Facts) error {
	if dumped.Engine != target.Engine {
		return fmt.Errorf("%w: a dump by %s cannot be restored by %s", ErrBadRequest, dumped.Engine, target.Engine)
	}
	if dumped.ServerMajor > target.ServerMajor {
		return fmt.Errorf("%w: it was made of PostgreSQL %s, the server is %s; start PostgreSQL %d or newer",
			ErrNewerDump, dumped.ServerVersion, target.ServerVersion, dumped.ServerMajor)
	}
	if dumped.ClientMajor > target.ClientMajor {
		return fmt.Errorf("%w: it was made by pg_dump %s, the container has pg_restore %s; use an image with version %d or newer",
			ErrNewerDump, dumped.ClientVersion, target.ClientVersion, dumped.ClientMajor)
	}
	return nil
}

// pgSpaceSlack is for the write-ahead log and for catalogues.
const pgSpaceSlack = 64 << 20

// SpaceNeeded is a second copy of the database, a quarter for sorting while
// indexes are built, and some for the write-ahead log. The old copy stays
// until the new one is in place.
func (Postgres) SpaceNeeded(dumped Facts, database string, dumpBytes int64) int64 {
	size := dumpBytes
	if d, ok := dumped.Database(database); ok {
		size = max(size, d.Size)
	}
	return size + size/4 + pgSpaceSlack
}
