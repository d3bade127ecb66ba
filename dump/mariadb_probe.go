package dump

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
)

// myProbe finds a way to the server and asks it. A record is a line of fields
// with tabs between them; in a field the client writes tab, newline, NUL and
// backslash as \t, \n, \0 and \\. Each record begins with its kind. The last
// record is "end".
//
// Who is not told whom to be is root, who sees everything. Only where no
// password of root is known, as when the image made a random one, and root is
// not let in without, it is the user that the image made: it may see less, and
// a password of root that is wrong must not lead there.
const myProbe = myEnvironment + `chosen=$1 facts=$2 people=$3
found= why=
try() {
  for h in "" 127.0.0.1; do
    login "$1" "$h"
    if err=$(sql --execute='SELECT 1' 2>&1 >/dev/null); then found=1; return; fi
    why="$why$err
"
  done
}
try "${chosen:-root}"
if [ -z "$found$chosen" ] && [ -z "$(secret ROOT_PASSWORD)" ] && [ -n "$owner" ]; then try "$owner"; fi
if [ -z "$found" ]; then printf '%s' "$why" >&2; exit 2; fi
line() { printf '%s\t%s\n' "$1" "$(printf %s "$2" | tail -n 1 | tr '\t\\' '  ')"; }
printf 'connect\t%s\n' "$host"
line client "$("$dumper" --version)" || exit 1
data=$(sql --raw --execute='SELECT @@datadir') || exit 1
real=$(cd "$data" 2>/dev/null && pwd -P) && line dir "$real"
free=$(df -Pk "$data" 2>/dev/null) && line df "$free"
sql --execute="$facts" || exit $?
if out=$(sql --execute="$people" 2>/dev/null); then printf '%s\n' "$out"; else printf 'nopeople\n'; fi
printf 'end\n'
`

// mySystemSchemas is for the server's own statements.
const mySystemSchemas = `('mysql', 'information_schema', 'performance_schema', 'sys', 'ndbinfo')`

// myMostNamed bounds how many tables a probe names in a warning.
const myMostNamed = "200"

// myFactsQuery asks everything that any user may ask.
const myFactsQuery = `SELECT 'server', VERSION(), @@version_comment, CURRENT_USER(), @@read_only,
  LEFT(USER(), CHAR_LENGTH(USER()) - LOCATE('@', REVERSE(USER())));
SELECT 'right', p.PRIVILEGE_TYPE FROM information_schema.USER_PRIVILEGES p
  WHERE p.GRANTEE = CONCAT('''', LEFT(CURRENT_USER(), CHAR_LENGTH(CURRENT_USER()) - LOCATE('@', REVERSE(CURRENT_USER()))), '''@''', SUBSTRING_INDEX(CURRENT_USER(), '@', -1), '''')
  AND p.PRIVILEGE_TYPE IN ('SUPER', 'CREATE', 'CREATE USER');
SELECT 'dir', @@datadir;
SELECT 'dir', IFNULL(@@innodb_data_home_dir, '');
SELECT 'dir', IFNULL(@@innodb_log_group_home_dir, '');
SELECT 'dir', IFNULL(@@innodb_undo_directory, '');
SELECT 'file', IFNULL(@@log_bin_basename, '');
SELECT 'database', s.SCHEMA_NAME, s.DEFAULT_CHARACTER_SET_NAME, s.DEFAULT_COLLATION_NAME, IFNULL(t.size, 0) FROM information_schema.SCHEMATA s
  LEFT JOIN (SELECT TABLE_SCHEMA, SUM(DATA_LENGTH + INDEX_LENGTH) AS size FROM information_schema.TABLES
    WHERE TABLE_SCHEMA NOT IN ` + mySystemSchemas + ` GROUP BY TABLE_SCHEMA) t ON t.TABLE_SCHEMA = s.SCHEMA_NAME
  WHERE LOWER(s.SCHEMA_NAME) NOT IN ` + mySystemSchemas + ` ORDER BY s.SCHEMA_NAME;
SELECT 'engine', TABLE_SCHEMA, TABLE_NAME, ENGINE FROM information_schema.TABLES
  WHERE TABLE_TYPE = 'BASE TABLE' AND ENGINE NOT IN ('InnoDB', 'ROCKSDB', 'TokuDB') AND LOWER(TABLE_SCHEMA) NOT IN ` + mySystemSchemas + `
  ORDER BY TABLE_SCHEMA, TABLE_NAME LIMIT ` + myMostNamed + `;
SELECT 'mark', TABLE_SCHEMA, TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA LIKE 'ripplebak\\_act\\_%';
SELECT 'refer', UNIQUE_CONSTRAINT_SCHEMA, CONSTRAINT_SCHEMA, TABLE_NAME FROM information_schema.REFERENTIAL_CONSTRAINTS
  WHERE UNIQUE_CONSTRAINT_SCHEMA <> CONSTRAINT_SCHEMA LIMIT ` + myMostNamed

// myPeopleQuery asks who there is, which only some may.
const myPeopleQuery = `SELECT 'user', User, Host FROM mysql.user ORDER BY User, Host`

// Probe is one exec that says all that a backup or restore must know.
func (m MariaDB) Probe(req Request) Command {
	return Command{
		Argv: shell(myProbe, req.User, "", req.User, myFactsQuery, myPeopleQuery),
		Show: "mariadb (versions, databases, where the files lie)",
	}
}

// ParseProbe reads the records of myProbe.
func (m MariaDB) ParseProbe(req Request, stdout []byte) (Facts, error) {
	p := myFacts{Facts: Facts{Engine: m.Name(), FreeBytes: -1}, request: req}
	lines := strings.Split(string(stdout), "\n")
	if n := len(lines); n < 2 || lines[n-1] != "" || lines[n-2] != pgProbeEnd {
		return Facts{}, fmt.Errorf("%w: it has no end", errProbe)
	}
	for _, line := range lines[:len(lines)-2] {
		if err := p.take(strings.Split(line, "\t")); err != nil {
			return Facts{}, fmt.Errorf("%w: %w", errProbe, err)
		}
	}
	if p.ServerMajor == 0 || p.ClientVersion == "" {
		return Facts{}, fmt.Errorf("%w: it does not name the server and the client", errProbe)
	}
	p.warn()
	return p.Facts, nil
}

// myFacts gathers the records of a probe.
type myFacts struct {
	Facts
	request  Request
	engines  map[string][]string // tables that are not transactional, by database
	nopeople bool
}

// myFields is the length of a record, by its kind.
func myFields(kind string) int {
	switch kind {
	case "nopeople":
		return 1
	case "connect", "client", "dir", "file", "df", "right":
		return 2
	case "mark", "user":
		return 3
	case "engine", "refer":
		return 4
	case "database":
		return 5
	case "server":
		return 6
	}
	return 0
}

func (p *myFacts) take(r []string) (err error) {
	if len(r) != myFields(r[0]) {
		return fmt.Errorf("record %.20q", r[0])
	}
	for i := range r {
		r[i] = myUnescape(r[i])
	}
	switch r[0] {
	case "connect":
		p.Host = r[1]
	case "client":
		p.ClientVersion = r[1]
	case "dir":
		p.addDataDir(r[1])
	case "file":
		p.addDataDir(path.Dir(r[1]))
	case "df":
		p.FreeBytes, err = freeOf(r[1])
	case "server":
		err = p.takeServer(r)
	case "right":
		p.Superuser, p.CreateDB, p.CreateRole = p.Superuser || r[1] == "SUPER", p.CreateDB || r[1] == "CREATE", p.CreateRole || r[1] == "CREATE USER"
	case "database":
		err = p.takeDatabase(r)
	case "engine":
		if p.engines == nil {
			p.engines = map[string][]string{}
		}
		p.engines[r[1]] = append(p.engines[r[1]], r[2])
	case "mark":
		p.of(r[1], func(d *Database) { d.Marks = append(d.Marks, r[2]) })
	case "refer":
		p.of(r[1], func(d *Database) { d.ReferredBy = append(d.ReferredBy, r[2]+"."+r[3]) })
	case "user":
		p.Roles = append(p.Roles, myAccount(r[1], r[2]))
	case "nopeople":
		p.nopeople = true
	}
	return err
}

func (p *myFacts) of(database string, do func(*Database)) {
	for i := range p.Databases {
		if p.Databases[i].Name == database {
			do(&p.Databases[i])
		}
	}
}

// myAccount is a user as facts name it. A role has no host.
func myAccount(user, host string) string { return user + "@" + host }

func (p *myFacts) takeServer(r []string) (err error) {
	p.ServerVersion, p.Product = r[1], productMySQL
	if strings.Contains(strings.ToLower(r[1]+" "+r[2]), "mariadb") {
		p.Product = productMariaDB
	}
	if p.ServerMajor, err = mySeriesOf(strings.TrimPrefix(r[1], "5.5.5-")); err != nil {
		return err
	}
	// Who was let in, and by which name: an account may stand for others.
	p.Connect, p.User = r[3], r[5]
	p.Standby = r[4] == "1" || r[4] == "ON"
	return nil
}

// mySeriesOf is 1011 for "10.11.18-MariaDB".
func mySeriesOf(version string) (int, error) {
	first, rest, _ := strings.Cut(version, ".")
	second, _, _ := strings.Cut(rest, ".")
	major, err := strconv.Atoi(first)
	minor, merr := strconv.Atoi(second)
	if err != nil || merr != nil || major < 1 || minor < 0 || minor > 99 {
		return 0, fmt.Errorf("version %.60q", version)
	}
	return major*100 + minor, nil
}

func (p *myFacts) takeDatabase(r []string) error {
	d := Database{Name: r[1], Encoding: r[2], Collate: r[3], AllowConn: true}
	size, err := strconv.ParseFloat(r[4], 64) // a sum is a decimal
	if err != nil || size < 0 {
		return fmt.Errorf("size of database %q: %.20q", d.Name, r[4])
	}
	d.Size = int64(size)
	p.Databases = append(p.Databases, d)
	return nil
}

// warn says what a dump does not keep.
func (p *myFacts) warn() {
	for _, d := range p.Databases {
		tables := p.engines[d.Name]
		if len(tables) == 0 || myOurs(d.Name) || p.request.Databases != nil && !slices.Contains(p.request.Databases, d.Name) {
			continue
		}
		p.Warnings = append(p.Warnings, fmt.Sprintf("tables of database %q that are not InnoDB are not dumped as of one moment: %s; convert them by ALTER TABLE ... ENGINE=InnoDB", d.Name, nameList(tables)))
	}
	if p.nopeople {
		p.Warnings = append(p.Warnings, fmt.Sprintf("users and grants are not dumped, nor triggers, events and routines that %q may not see, of which nobody can tell: set MARIADB_ROOT_PASSWORD or its _FILE, or the label dump.user to one that may see all", p.Connect))
	}
}

// myUnescape undoes what the client does to a field.
func myUnescape(s string) string {
	return strings.NewReplacer(`\\`, `\`, `\t`, "\t", `\n`, "\n", `\0`, "\x00").Replace(s)
}
