package integration

import (
	"strconv"
	"strings"
	"testing"
)

// sqliteProject is an app with its databases in a volume, run by a user of its
// own: one in WAL mode, one with a rollback journal, each with a hundred
// accounts. What differs between tests is the app's own.
const sqliteProject = `
services:
  app:
    image: ${SQLITE_IMAGE}
    command: ["sleep", "infinity"]
    init: true
    user: "1234:5678"
    labels:
      ripplebak.dump: sqlite
%labels
    volumes:
      - data:/data
  aside:
    image: ${SQLITE_IMAGE}
    command: ["sleep", "infinity"]
    init: true
volumes:
  data:
`

// sqliteBank makes both databases.
const sqliteBank = `
import sqlite3
for name, mode in (("wal.db", "WAL"), ("sub/journal [1].db", "DELETE")):
    db = sqlite3.connect("/data/" + name)
    db.execute("PRAGMA journal_mode=" + mode)
    db.execute("CREATE TABLE accounts (id INTEGER PRIMARY KEY, amount INTEGER, filler BLOB)")
    db.execute("CREATE TABLE moves (n INTEGER PRIMARY KEY)")
    db.executemany("INSERT INTO accounts VALUES (?, 100, randomblob(30000))", [(i,) for i in range(100)])
    db.commit()
`

// sqliteTransfers moves money between two accounts at a time, for ever.
const sqliteTransfers = `
import sqlite3, sys, random
db = sqlite3.connect("/data/" + sys.argv[1], timeout=30, isolation_level=None)
while True:
    a, b = random.sample(range(100), 2)
    db.execute("BEGIN IMMEDIATE")
    db.execute("UPDATE accounts SET amount = amount - 1 WHERE id = ?", (a,))
    db.execute("UPDATE accounts SET amount = amount + 1, filler = randomblob(30000) WHERE id = ?", (b,))
    db.execute("INSERT INTO moves VALUES (NULL)")
    db.execute("COMMIT")
`

// sqliteLook prints the sum of the accounts, the number of moves, and the check.
const sqliteLook = `
import sqlite3, sys
db = sqlite3.connect("/data/" + sys.argv[1], timeout=30)
db.execute("BEGIN")
print(db.execute("SELECT sum(amount) FROM accounts").fetchone()[0], db.execute("SELECT count(*) FROM moves").fetchone()[0], db.execute("PRAGMA integrity_check").fetchone()[0])
`

// sqliteFiles are the databases that sqliteBank makes.
var sqliteFiles = []string{"wal.db", "sub/journal [1].db"}

type sqliteProjectOf struct{ *project }

// newSQLite makes the project, with what is made only once.
func newSQLite(t testing.TB, labels string) *sqliteProjectOf {
	t.Helper()
	p := newProject(t, strings.Replace(sqliteProject, "%labels", labels, 1)).withRepository()
	p.up("app", "aside")
	s := &sqliteProjectOf{p}
	s.inVolume("data", "mkdir /v/sub && chown -R 1234:5678 /v && echo notes >/v/notes && chmod 640 /v/notes")
	s.python(sqliteBank)
	return s
}

func (s *sqliteProjectOf) inTest(t testing.TB) *sqliteProjectOf {
	return &sqliteProjectOf{project: s.project.inTest(t)}
}

func (s *sqliteProjectOf) python(script string, args ...string) string {
	s.t.Helper()
	return strings.TrimSpace(must(s.t, append([]string{"docker", "exec", s.containerID("app"), "python3", "-c", script}, args...)...))
}

// load begins to write to both databases.
func (s *sqliteProjectOf) load() {
	s.t.Helper()
	for _, f := range sqliteFiles {
		must(s.t, "docker", "exec", "-d", s.containerID("app"), "python3", "-c", sqliteTransfers, f)
	}
	for _, f := range sqliteFiles {
		eventually(s.t, f+" is written to", func() bool { return s.moves(f) > 20 })
	}
}

// moves asserts that a database is whole, and says how many moves it knows.
func (s *sqliteProjectOf) moves(file string) (n int) {
	s.t.Helper()
	fields := strings.Fields(s.python(sqliteLook, file))
	if len(fields) != 3 || fields[0] != "10000" || fields[2] != "ok" {
		s.t.Errorf("%s: %q, want a sum of 10000", file, fields)
		return 0
	}
	n, err := strconv.Atoi(fields[1])
	if err != nil {
		s.t.Error(err)
	}
	return n
}

// listing is what lies in the volume, with owners and modes.
func (s *sqliteProjectOf) listing() string {
	s.t.Helper()
	return s.inVolume("data", "cd /v && find . -printf '%P %U:%G %m\\n' | sort")
}
