package dump

import "strings"

// pgEnvironment is the beginning of every script. Its first two arguments are
// the user ("" for the container's own) and the host ("" for the local
// socket); the rest is the command. It runs in any POSIX shell.
//
// The container's own libpq variables would lead the client astray (PGHOST to
// another server, PGSERVICE to a file), so those that choose a server go;
// PGPORT stays, because the server reads it too. The options make the output
// independent of what an administrator has set for the database or the role.
const pgEnvironment = `user=$1; host=$2; shift 2
if [ -z "$user" ]; then user=${POSTGRES_USER:-}; fi
if [ -z "$user" ] && [ -n "${POSTGRES_USER_FILE:-}" ]; then user=$(cat <"$POSTGRES_USER_FILE"); fi
PGUSER=${user:-postgres}
if [ -z "${PGPASSWORD:-}" ]; then
  PGPASSWORD=${POSTGRES_PASSWORD:-}
  if [ -z "$PGPASSWORD" ] && [ -n "${POSTGRES_PASSWORD_FILE:-}" ]; then
    PGPASSWORD=$(cat <"$POSTGRES_PASSWORD_FILE") || echo "cannot read POSTGRES_PASSWORD_FILE" >&2
  fi
fi
if [ -n "$PGPASSWORD" ]; then export PGPASSWORD; else unset PGPASSWORD; fi
unset PGHOST PGHOSTADDR PGSERVICE PGSERVICEFILE PGDATABASE PGSSLMODE PGREQUIRESSL PGTARGETSESSIONATTRS
if [ -n "$host" ]; then PGHOST=$host; export PGHOST; fi
LC_ALL=C; PGAPPNAME=ripplebak; PGCONNECT_TIMEOUT=30; PGCLIENTENCODING=UTF8
PGOPTIONS='-c standard_conforming_strings=on -c search_path=pg_catalog -c statement_timeout=0 -c lock_timeout=0 -c idle_in_transaction_session_timeout=0 -c default_transaction_read_only=off'
export PGUSER LC_ALL PGAPPNAME PGCONNECT_TIMEOUT PGCLIENTENCODING PGOPTIONS
`

// pgRun runs the command as it is.
const pgRun = pgEnvironment + `exec "$@"
`

// pgRunArchive runs pg_dump, which knows the encoding of its database better
// than we do.
const pgRunArchive = pgEnvironment + `unset PGCLIENTENCODING
exec "$@"
`

// pgRunLoad runs pg_restore, which knows the encoding too. It sets a search path
// of its own for what it does, but scripts of extensions look at the one that is
// the session's default, and go on with it: where that was pg_catalog alone,
// PostGIS's topology did not find PostGIS.
const pgRunLoad = pgEnvironment + `unset PGCLIENTENCODING
PGOPTIONS=$PGOPTIONS' -c search_path="$user",public'
exec "$@"
`

// pgDone is what a script of SQL prints last. psql takes the end of its input
// for the end of the script, so that without this mark a script that was cut
// on its way would count as a success.
const pgDone = "ripplebak-done"

// pgRunSQL runs psql on a script that comes on standard input and must have
// arrived whole.
const pgRunSQL = pgEnvironment + `out=$("$@") || exit $?
case $out in *` + pgDone + `) exit 0 ;; esac
echo "the SQL script was cut on its way to psql; nothing of an open transaction was kept" >&2
exit 1
`

// psqlFlags keep psql from reading its own configuration and from asking.
var psqlFlags = [...]string{"--no-psqlrc", "--no-password", "--quiet", "--no-align", "--tuples-only", "--set=ON_ERROR_STOP=1"}

// shell is the complete argument list of a script and its arguments.
func shell(script string, args ...string) []string {
	return append([]string{"sh", "-c", script, "sh"}, args...)
}

// psql is a psql command line for one database.
func psql(database string, more ...string) []string {
	return append(append([]string{"psql"}, psqlFlags[:]...), append([]string{dbname(database)}, more...)...)
}

// dbname is the option that chooses a database. libpq would read a bare name
// with "=" or "://" in it as a whole connection string, which could lead to
// another server; so the name is always quoted inside one.
func dbname(database string) string {
	return "--dbname=dbname='" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(database) + "'"
}

// target is the shell arguments that say who connects where.
func (f Facts) target(command ...string) []string {
	return append([]string{f.User, f.Host}, command...)
}

// scriptOnStdin is a command that runs the SQL script on its standard input.
func scriptOnStdin(f Facts, database, show string) Command {
	return Command{
		// Terse, because the usual messages quote the failing line, and lines may
		// hold password hashes.
		Argv:  shell(pgRunSQL, f.target(psql(database, "--set=VERBOSITY=terse", "--file=-")...)...),
		Stdin: true,
		Show:  show,
	}
}

// shown is an argument as a plan prints it.
func shown(s string) string {
	plain := s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("_-.,:/@%+", r) || r > 0x7f)
	})
	if plain && s[0] != '-' {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// quoteIdent is an SQL identifier. It is always quoted, so that no list of
// keywords is needed.
func quoteIdent(s string) string { return `"` + strings.ReplaceAll(s, `"`, `""`) + `"` }

// quoteLiteral is an SQL string constant, right whatever
// standard_conforming_strings says.
func quoteLiteral(s string) string {
	q := strings.ReplaceAll(s, "'", "''")
	if !strings.Contains(q, `\`) {
		return "'" + q + "'"
	}
	return "E'" + strings.ReplaceAll(q, `\`, `\\`) + "'"
}
