package dump

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// MariaDB is the engine "mariadb-dump", and under its other name "mysqldump":
// each database as SQL, uncompressed so that it deduplicates, the users with
// what they are granted, and what is granted on the objects of a database.
//
// It is written for MariaDB 10.3 and newer and for MySQL 5.7 and newer. Of the
// two names of each program, the one that is in the container is used.
type MariaDB struct {
	// MySQL makes it the engine "mysqldump".
	MySQL bool
}

// Name is the engine's name in the label.
func (m MariaDB) Name() string {
	if m.MySQL {
		return "mysqldump"
	}
	return "mariadb-dump"
}

// The products whose servers this engine knows.
const (
	productMariaDB = "MariaDB"
	productMySQL   = "MySQL"
)

// Bytes that names have at most: 64 and 128 characters of up to four bytes.
const (
	myMaxName = 64 * 4
	myMaxUser = 128 * 4
)

// Names that hold what is under way while a database is restored.
const (
	myNewPrefix = "ripplebak_new_" // what the dump is loaded into
	myOldPrefix = "ripplebak_old_" // where the old tables go
	myActPrefix = "ripplebak_act_" // what is to be done, and how far it is
)

// isSystemSchema says whether a schema is the server's own.
func isSystemSchema(name string) bool {
	switch strings.ToLower(name) {
	case "mysql", "information_schema", "performance_schema", "sys", "ndbinfo":
		return true
	}
	return false
}

// myOurs says whether a schema is one that a restore of ours made.
func myOurs(name string) bool { return ours(name) || strings.HasPrefix(name, myActPrefix) }

// Check refuses what can be no name in MariaDB.
func (MariaDB) Check(req Request) error {
	if len(req.User) > myMaxUser || strings.ContainsRune(req.User, 0) {
		return fmt.Errorf("%w: the name of a user is longer than %d bytes or holds a NUL byte", ErrBadRequest, myMaxUser)
	}
	for i, name := range req.Databases {
		switch {
		case name == "":
			return fmt.Errorf("%w: the name of a database is empty", ErrBadRequest)
		case len(name) > myMaxName:
			return fmt.Errorf("%w: the name of a database is %d bytes long, MariaDB and MySQL allow 64 characters", ErrBadRequest, len(name))
		case strings.ContainsRune(name, 0):
			return fmt.Errorf("%w: the name of a database holds a NUL byte", ErrBadRequest)
		case isSystemSchema(name):
			return fmt.Errorf("%w: database %s is the server's own; users and grants are saved without it", ErrBadRequest, name)
		case myOurs(name):
			return fmt.Errorf("%w: database %s was left by an interrupted restore", ErrBadRequest, name)
		case slices.Contains(req.Databases[:i], name):
			return fmt.Errorf("%w: database %q is named twice", ErrBadRequest, name)
		}
	}
	return nil
}

// Ready succeeds when the server answers over TCP, be it that it refuses the
// password. The init server of the images runs without networking, and would
// vanish under a restore.
func (MariaDB) Ready() Command {
	return Command{
		Argv: shell(myReady, "", ""),
		Show: "mariadb-admin --host=127.0.0.1 ping",
	}
}

// myHomes are where the images put the server's files.
var myHomes = [...]string{"/var/lib/mysql", "/bitnami/mariadb", "/bitnami/mysql"}

// FallbackDataDirs goes by where the images put the server's files: a volume
// mounted at, or below, one of those places is the engine's.
func (MariaDB) FallbackDataDirs(_ func(string) string, mounts []string) []string {
	dirs := []string{myHomes[0]}
	for _, mount := range mounts {
		mount = path.Clean(mount)
		for _, home := range myHomes {
			if (mount == home || strings.HasPrefix(mount, home+"/")) && !slices.Contains(dirs, mount) {
				dirs = append(dirs, mount)
			}
		}
	}
	return dirs
}

// CanRestore refuses a dump of a newer server, and one of the other product:
// collations, JSON, sequences and the ways to store a password differ, so that
// what would be loaded is not what was dumped. To move from one to the other,
// export the dump, and load it with an eye on it.
func (MariaDB) CanRestore(dumped, target Facts) error {
	if !myEngine(dumped.Engine) || !myEngine(target.Engine) {
		return fmt.Errorf("%w: a dump by %s cannot be restored by %s", ErrBadRequest, dumped.Engine, target.Engine)
	}
	if dumped.Product != target.Product {
		return fmt.Errorf("%w: it was made of %s, the server is %s, and the two differ in what they understand; start %s, or export the dump and load it by hand",
			ErrBadRequest, dumped.Product, target.Product, dumped.Product)
	}
	if dumped.ServerMajor > target.ServerMajor {
		return fmt.Errorf("%w: it was made of %s %s, the server is %s; start %s %s or newer",
			ErrNewerDump, dumped.Product, dumped.ServerVersion, target.ServerVersion, dumped.Product, mySeries(dumped.ServerMajor))
	}
	return nil
}

func myEngine(name string) bool { return name == "mariadb-dump" || name == "mysqldump" }

// mySeries is how people call a major version, which is kept as one number:
// 1011 is 10.11.
func mySeries(major int) string { return fmt.Sprintf("%d.%d", major/100, major%100) }

// mySpaceSlack is for logs and the dictionary.
const mySpaceSlack = 64 << 20

// SpaceNeeded is a second copy of the database, a quarter for what InnoDB's
// pages leave free and for undo, and some for logs. The old copy stays until
// the new one is in place.
func (MariaDB) SpaceNeeded(dumped Facts, database string, dumpBytes int64) int64 {
	size := dumpBytes
	if d, ok := dumped.Database(database); ok {
		size = max(size, d.Size)
	}
	return size + size/4 + mySpaceSlack
}
