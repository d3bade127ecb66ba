package dump

import "strings"

// myEnvironment is the beginning of every script. Its first two arguments are
// the user ("" for the container's own) and the host ("" for the local socket).
// It runs in any POSIX shell.
//
// The password goes to the client by MYSQL_PWD, in the environment of that one
// process: unlike an argument it is seen neither by "docker top" nor by "docker
// inspect", and whoever may read the environment of a process may read that of
// the container too, where the password comes from. A file would have to be
// written, and removed when we are killed.
//
// No option file is read: what an administrator has set for clients could
// change what a dump holds. Of the environment, what leads to another server
// goes; MYSQL_UNIX_PORT and MYSQL_TCP_PORT stay.
const myEnvironment = `user=$1; host=$2; shift 2
pick() {
  for tool do
    if command -v "$tool" >/dev/null 2>&1; then printf %s "$tool"; return; fi
  done
  echo "$1 is not in the container, nor is $2" >&2
  return 1
}
client=$(pick mariadb mysql) || exit 127
dumper=$(pick mariadb-dump mysqldump) || exit 127
secret() {
  for n in "MARIADB_$1" "MYSQL_$1"; do
    eval "v=\${$n:-} f=\${${n}_FILE:-}"
    if [ -z "$v" ] && [ -n "$f" ]; then v=$(cat <"$f") || echo "cannot read ${n}_FILE" >&2; fi
    if [ -n "$v" ]; then printf %s "$v"; return; fi
  done
}
given=${MYSQL_PWD:-}
owner=$(secret USER)
unset MYSQL_HOST MYSQL_TEST_LOGIN_FILE MYSQL_GROUP_SUFFIX
LC_ALL=C; export LC_ALL
login() {
  user=$1 host=$2 where=--host=localhost MYSQL_PWD=
  if [ "$user" = root ]; then MYSQL_PWD=$(secret ROOT_PASSWORD)
  elif [ "$user" = "$owner" ]; then MYSQL_PWD=$(secret PASSWORD); fi
  MYSQL_PWD=${MYSQL_PWD:-$given}
  if [ -n "$MYSQL_PWD" ]; then export MYSQL_PWD; else unset MYSQL_PWD; fi
  if [ -n "$host" ]; then where="--protocol=tcp --host=$host"; fi
}
login "${user:-root}" "$host"
init="SET SESSION sql_mode=CONCAT_WS(',', 'NO_AUTO_VALUE_ON_ZERO', IF(LOCATE('NO_AUTO_CREATE_USER', @@sql_mode), 'NO_AUTO_CREATE_USER', NULL) /*M! , 'NO_AUTO_CREATE_USER' */), wait_timeout=86400, lock_wait_timeout=20, net_read_timeout=3600, net_write_timeout=3600 /*M!100101 , max_statement_time=0 */ /*!80017 , print_identified_with_as_hex=1 */"
sql() { "$client" --no-defaults --user="$user" $where --connect-timeout=30 --default-character-set=utf8mb4 --max-allowed-packet=1G --batch --skip-column-names --init-command="$init" "$@"; }
dump() { "$dumper" --no-defaults --user="$user" $where --default-character-set=utf8mb4 --max-allowed-packet=1G --skip-dump-date --no-tablespaces "$@"; }
`

// myDone is what a script of SQL prints last. The client takes the end of its
// input for the end of the script, so that without this mark a script that was
// cut on its way would count as a success.
const (
	myDone    = "ripplebak-done"
	myDoneSQL = "SELECT '" + myDone + "';\n"
)

// myWhole runs SQL from standard input that must arrive whole. --binary-mode
// lets the client obey no command but DELIMITER.
const myWhole = `whole() {
  out=$(sql --binary-mode --comments "$@") || exit $?
  case $out in *` + myDone + `) return 0 ;; esac
  echo "the SQL script was cut on its way to the client" >&2
  exit 1
}
`

// myDump writes a dump; its arguments are those of the dump program.
const myDump = myEnvironment + `dump "$@"
`

// myQuery prints what a query answers, as it is.
const myQuery = myEnvironment + `sql --raw --execute="$1"
`

// myScript runs a script of SQL that comes on standard input.
const myScript = myEnvironment + myWhole + `whole "$@"
`

// myLoad runs the SQL of a dump. A row that the server took in small pieces, or
// as bytes, is one statement there, in hexadecimal, and may be larger than the
// server's max_allowed_packet: that is raised meanwhile, for new sessions, where
// the user may. A kill leaves it raised until the server starts again.
const myLoad = myEnvironment + myWhole + `most=1073741824
was=$(sql --execute='SELECT @@GLOBAL.max_allowed_packet' </dev/null) || exit $?
if [ "$was" -lt $most ] && sql --execute="SET GLOBAL max_allowed_packet=$most" </dev/null 2>/dev/null; then
  trap 'sql --execute="SET GLOBAL max_allowed_packet=$was" </dev/null >/dev/null 2>&1' EXIT
fi
whole "$@"
`

// mySecretScript is myScript for SQL that holds password hashes. What the server
// quotes of a statement that it does not understand is left out.
const mySecretScript = myEnvironment + myWhole + `text=$( (whole "$@") 2>&1) && exit 0
code=$?
printf '%s\n' "$text" | sed -e "/ near '/{" -e "s/ near '.*//" -e q -e '}' >&2
exit $code
`

// myReady asks over TCP. A server that refuses the password answers too.
const myReady = myEnvironment + `admin=$(pick mariadb-admin mysqladmin) || exit 127
MYSQL_PWD=; unset MYSQL_PWD
exec "$admin" --no-defaults --protocol=tcp --host=127.0.0.1 --connect-timeout=5 --silent ping
`

// my is the shell arguments of a script for a server that was probed.
func (f Facts) my(script string, args ...string) []string {
	return shell(script, f.target(args...)...)
}

// myIdent is an SQL identifier. It is always quoted, so that no list of
// keywords is needed.
func myIdent(s string) string { return "`" + strings.ReplaceAll(s, "`", "``") + "`" }

// myLiteral is an SQL string. The scripts set a mode in which backslashes
// escape.
func myLiteral(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, "'", "''").Replace(s) + "'"
}
