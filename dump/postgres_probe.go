package dump

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
)

// pgProbe finds the client and a way to the server, and asks both. Its output
// is a sequence of NUL-terminated fields, which no name can imitate; each
// record begins with its kind. The last record is "end".
//
// $db ranges over the databases that may serve to talk to the server, the
// socket goes before TCP. The reasons are shown only when nothing worked.
const pgProbe = pgEnvironment + `for tool in psql pg_dump pg_dumpall pg_restore; do
  command -v "$tool" >/dev/null 2>&1 || { echo "$tool is not in the container" >&2; exit 127; }
done
query=$1; where=$2; shift 2
set -- postgres "${POSTGRES_DB:-postgres}" template1 "$@"
found= why=
for h in "" 127.0.0.1; do
  if [ -n "$h" ]; then PGHOST=$h; export PGHOST; fi
  for db do
    conn=$(printf '%s' "$db" | sed "s/[\\\\']/\\\\&/g")
    if err=$(psql --no-psqlrc --no-password --quiet --dbname="dbname='$conn'" --command='SELECT 1' 2>&1 >/dev/null); then
      found=1; break 2
    fi
    case $why in *"$err"*) ;; *) why="$why$err
" ;; esac
  done
done
if [ -z "$found" ]; then printf '%s' "$why" >&2; exit 2; fi
printf 'connect\000%s\000%s\000' "$h" "$db"
printf 'client\000%s\000' "$(pg_dump --version)" || exit 1
ask() { psql --no-psqlrc --no-password --quiet --no-align --tuples-only --field-separator-zero --record-separator-zero --set=ON_ERROR_STOP=1 --dbname="dbname='$conn'" --command="$1"; }
dirs=$(psql --no-psqlrc --no-password --quiet --no-align --tuples-only --set=ON_ERROR_STOP=1 --dbname="dbname='$conn'" --command="$where") || exit $?
data=${dirs:-${PGDATA:-}}
if [ -n "$data" ]; then
  printf 'dir\000%s\000' "$data"
  for d in "$data" "$data/pg_wal"; do
    real=$(cd "$d" 2>/dev/null && pwd -P) && printf 'dir\000%s\000' "$real"
  done
  free=$(df -Pk "$data" 2>/dev/null) && printf 'df\000%s\000' "$free"
fi
ask "$query" || exit $?
printf 'end\000'
`

// pgDataDirQuery is empty where the user may not know.
const pgDataDirQuery = `SELECT CASE WHEN pg_catalog.pg_has_role('pg_read_all_settings', 'USAGE') THEN pg_catalog.current_setting('data_directory') END`

// pgFactsQuery asks everything else in one statement . The
// columns of pg_database that only some versions have are reached through the
// row as JSON, which gives NULL where there is none.
const pgFactsQuery = `SELECT kind, a, b, c, d, e, f, g, h, i, j, k, l, m, n FROM (
SELECT 1 AS o, 'server' AS kind, pg_catalog.current_setting('server_version') AS a, pg_catalog.current_setting('server_version_num') AS b,
  current_user::text AS c, r.rolsuper::text AS d, r.rolcreatedb::text AS e, r.rolcreaterole::text AS f, pg_catalog.pg_is_in_recovery()::text AS g,
  NULL::text AS h, NULL::text AS i, NULL::text AS j, NULL::text AS k, NULL::text AS l, NULL::text AS m, NULL::text AS n
  FROM pg_catalog.pg_roles r WHERE r.rolname = current_user
UNION ALL
SELECT 2, 'role', rolname::text, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL FROM pg_catalog.pg_roles
UNION ALL
SELECT 3, 'tablespace', spcname::text, pg_catalog.pg_tablespace_location(oid), NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
  FROM pg_catalog.pg_tablespace WHERE spcname NOT IN ('pg_default', 'pg_global')
UNION ALL
SELECT 4, 'database', x.datname::text, pg_catalog.pg_get_userbyid(x.datdba)::text, pg_catalog.pg_encoding_to_char(x.encoding)::text,
  x.datcollate::text, x.datctype::text, j->>'datlocprovider', COALESCE(j->>'datlocale', j->>'daticulocale'), j->>'daticurules',
  CASE WHEN t.spcname <> 'pg_default' THEN t.spcname::text END,
  CASE WHEN x.datconnlimit <> -2 AND (pg_catalog.pg_has_role('pg_read_all_stats', 'USAGE') OR pg_catalog.has_database_privilege(x.oid, 'CONNECT'))
    THEN pg_catalog.pg_database_size(x.oid)::text END,
  x.datallowconn::text, x.datistemplate::text, (x.datconnlimit = -2)::text,
  (pg_catalog.current_setting('default_transaction_isolation') = 'serializable' OR EXISTS (SELECT FROM pg_catalog.pg_db_role_setting s
    WHERE s.setdatabase IN (0, x.oid) AND 'default_transaction_isolation=serializable' = ANY (s.setconfig)))::text
  FROM pg_catalog.pg_database x JOIN pg_catalog.pg_tablespace t ON t.oid = x.dattablespace, LATERAL pg_catalog.to_jsonb(x) AS j
) AS q ORDER BY o, a`

// pgFactsColumns is the number of fields of a record of pgFactsQuery.
const pgFactsColumns = 15

// pgProbeEnd is the last record of a probe.
const pgProbeEnd = "end"

// errProbe says that the output of a probe is not what the probe writes.
var errProbe = errors.New("the answer to the probe is not well-formed")

// Probe is one exec that says all that a backup or restore must know.
func (Postgres) Probe(req Request) Command {
	args := append([]string{req.User, "", pgFactsQuery, pgDataDirQuery}, req.Databases...)
	return Command{Argv: shell(pgProbe, args...), Show: "psql (versions, databases, where the files lie)"}
}

// ParseProbe reads the records of pgProbe.
func (p Postgres) ParseProbe(req Request, stdout []byte) (Facts, error) {
	facts := Facts{Engine: p.Name(), FreeBytes: -1}
	fields := strings.Split(string(stdout), "\x00")
	if n := len(fields); n < 2 || fields[n-1] != "" || fields[n-2] != pgProbeEnd {
		return Facts{}, fmt.Errorf("%w: it has no end", errProbe)
	}
	fields = fields[:len(fields)-2]
	for len(fields) > 0 {
		n := probeFields(fields[0])
		if n == 0 || n > len(fields) {
			return Facts{}, fmt.Errorf("%w: record %.20q", errProbe, fields[0])
		}
		if err := facts.takeRecord(fields[:n]); err != nil {
			return Facts{}, fmt.Errorf("%w: %w", errProbe, err)
		}
		fields = fields[n:]
	}
	if facts.ServerMajor == 0 || facts.ClientMajor == 0 {
		return Facts{}, fmt.Errorf("%w: it does not name the server and the client", errProbe)
	}
	return facts, nil
}

// probeFields is the length of a record, by its kind.
func probeFields(kind string) int {
	switch kind {
	case "connect":
		return 3
	case "client", "dir", "df":
		return 2
	case "server", "role", "tablespace", "database":
		return pgFactsColumns
	}
	return 0
}

func (f *Facts) takeRecord(r []string) (err error) {
	switch r[0] {
	case "connect":
		f.Host, f.Connect = r[1], r[2]
	case "client":
		f.ClientVersion = strings.TrimPrefix(r[1], "pg_dump (PostgreSQL) ")
		f.ClientMajor, err = majorOf(f.ClientVersion)
	case "dir":
		f.addDataDir(r[1])
	case "df":
		f.FreeBytes, err = freeOf(r[1])
	case "server":
		f.ServerVersion = r[1]
		var num int
		if num, err = strconv.Atoi(r[2]); err == nil {
			f.ServerMajor = num / 10000
		}
		f.User, f.Superuser, f.CreateDB, f.CreateRole, f.Standby = r[3], r[4] == "true", r[5] == "true", r[6] == "true", r[7] == "true"
		f.CreateDB, f.CreateRole = f.CreateDB || f.Superuser, f.CreateRole || f.Superuser
	case "role":
		f.Roles = append(f.Roles, r[1])
	case "tablespace":
		f.Tablespaces = append(f.Tablespaces, r[1])
		f.addDataDir(r[2])
	case "database":
		var d Database
		d, err = databaseOf(r)
		f.Databases = append(f.Databases, d)
	}
	return err
}

// addDataDir notes a directory once. In-place tablespaces have a relative
// path and lie in the data directory anyway.
func (f *Facts) addDataDir(dir string) {
	if dir = path.Clean(dir); path.IsAbs(dir) && !slices.Contains(f.DataDirs, dir) {
		f.DataDirs = append(f.DataDirs, dir)
	}
}

func databaseOf(r []string) (Database, error) {
	d := Database{
		Name: r[1], Owner: r[2], Encoding: r[3], Collate: r[4], CType: r[5],
		Locale: r[7], ICURules: r[8], Tablespace: r[9], Size: -1,
		AllowConn: r[11] == "true", Template: r[12] == "true", Invalid: r[13] == "true", Serializable: r[14] == "true",
	}
	switch r[6] {
	case "", "c":
		d.LocaleProvider = "libc"
	case "i":
		d.LocaleProvider = "icu"
	case "b":
		d.LocaleProvider = "builtin"
	default:
		return Database{}, fmt.Errorf("database %q has the locale provider %q, which is not known", d.Name, r[6])
	}
	if r[10] != "" {
		size, err := strconv.ParseInt(r[10], 10, 64)
		if err != nil {
			return Database{}, fmt.Errorf("size of database %q: %w", d.Name, err)
		}
		d.Size = size
	}
	return d, nil
}

// majorOf is the major version in "17.2 (Debian 17.2-1)", "18beta1" or "15".
func majorOf(version string) (int, error) {
	end := strings.IndexFunc(version, func(r rune) bool { return r < '0' || r > '9' })
	if end < 0 {
		end = len(version)
	}
	major, err := strconv.Atoi(version[:end])
	if err != nil {
		return 0, fmt.Errorf("version %.60q", version)
	}
	return major, nil
}

// freeOf reads the output of df -Pk: the field before the percentage is what
// is available, in KiB. Both the device and the mount point may hold blanks.
func freeOf(df string) (int64, error) {
	lines := strings.Split(strings.TrimSpace(df), "\n")
	fields := strings.Fields(lines[len(lines)-1])
	for i := len(fields) - 1; i > 0; i-- {
		if !strings.HasSuffix(fields[i], "%") {
			continue
		}
		if kib, err := strconv.ParseInt(fields[i-1], 10, 64); err == nil && kib >= 0 && kib < 1<<52 {
			return kib * 1024, nil
		}
	}
	// Some filesystems say "-": not known, which is no error.
	return -1, nil
}
