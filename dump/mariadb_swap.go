package dump

import "strings"

// myPieces are the parts of the scripts that follow. A restore keeps in the
// database act what is to be done, and how far it is: "objects" are the makings
// of triggers, routines, views and events, "tables" the names of the old
// tables; "ready" says that everything new has been proven and that from now
// on the restore goes forward, "moved" that the new tables are in place, and
// "standin" that before the restore there was no database of its name.
//
// What the server says of names is compared by "same": without it "Shop", and
// on some servers "shöp", would be "shop" too, and lose what belongs to it.
const myPieces = `act=$1 fresh=$2 old=$3 final=$4 ident=$5 literal=$6
table() { sql --execute="SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = '$act' AND TABLE_NAME = '$1'"; }
replay() {
  kinds=$1; shift
  { printf 'DELIMITER ;;;;\n'
    sql --raw --execute="SELECT CONCAT(body, 0x0a3b3b3b3b) FROM $act.objects WHERE kind IN ($kinds) ORDER BY n" &&
      printf '%s' "SELECT '` + myDone + `' ;;;;
"; } | whole "$@"
}
made() {
  list=$(sql --raw --execute="$1") || exit $?
  [ -z "$list" ] || printf '%s\n' "$list" | sql --binary-mode $2 || exit $?
}
tick=$(printf '\140')
quoted() { printf "CONCAT('$tick', REPLACE(%s, '$tick', '$tick$tick'), '$tick')" "$1"; }
same() { printf '%s = %s AND (@@lower_case_table_names <> 0 OR CAST(%s AS BINARY) = CAST(%s AS BINARY))' "$1" "$2" "$1" "$2"; }
untrigger() {
  made "SELECT CONCAT('DROP TRIGGER IF EXISTS ', $(quoted TRIGGER_SCHEMA), '.', $(quoted TRIGGER_NAME), ';') FROM information_schema.TRIGGERS WHERE $(same TRIGGER_SCHEMA "$1")"
}
`

// myProve makes triggers and routines in the new database, where they must
// succeed, and views, which may fail by what is not there: they can name other
// databases, or this one by its name. The triggers go again, because a table
// that has one cannot be renamed to another database.
const myProve = myEnvironment + myWhole + myPieces + `(replay "'session', 'trigger', 'routine'" --database="$fresh") || exit $?
text=$(replay "'session', 'view'" --force --database="$fresh" 2>&1) || { printf '%s\n' "$text" >&2; exit 1; }
bad=$(printf '%s\n' "$text" | grep '^ERROR ' | grep -Ev '^ERROR (1049|1146|1305|1356|1449) ')
if [ -n "$bad" ]; then printf '%s\n' "$bad" >&2; exit 1; fi
untrigger "'$fresh'"
`

// mySwap puts the new tables in the place of the old ones by one RENAME, and
// then makes triggers and routines. It may be run again from any point: what
// tables there are in which database says what is left to be done, also where
// a server that was killed left a RENAME half done.
//
// Sessions in the database end. One that holds a lock from elsewhere is waited
// for; if it does not give the lock up, the mark is not set, and nothing was
// touched. One that comes later is waited for three times; then everything is
// as before.
const mySwap = myEnvironment + myWhole + myPieces + `moving="SET SESSION foreign_key_checks=0, group_concat_max_len=1073741824;
SELECT COALESCE(CONCAT('RENAME TABLE ', GROUP_CONCAT(m ORDER BY o, m SEPARATOR ', ')), 'DO 0') INTO @moves FROM (
  SELECT 1 AS o, CONCAT($(quoted "$literal"), '.', $(quoted name), ' TO $old.', $(quoted name)) AS m FROM $act.tables
    WHERE NOT EXISTS (SELECT 1 FROM information_schema.TABLES i WHERE i.TABLE_SCHEMA = '$old' AND i.TABLE_NAME = name)
  UNION ALL
  SELECT 2, CONCAT('$fresh.', $(quoted TABLE_NAME), ' TO ', $(quoted "$literal"), '.', $(quoted TABLE_NAME)) FROM information_schema.TABLES
    WHERE TABLE_SCHEMA = '$fresh' AND TABLE_TYPE IN ('BASE TABLE', 'SEQUENCE', 'SYSTEM VERSIONED')) AS x;
PREPARE moves FROM @moves; EXECUTE moves; CREATE TABLE IF NOT EXISTS $act.moved (x INT);"
hangup() {
  (made "SELECT CONCAT('KILL ', ID, ';') FROM information_schema.PROCESSLIST WHERE $(same DB "$literal") AND ID <> CONNECTION_ID()" --force) >/dev/null 2>&1
}
keep() {
  hangup
  made "SET SESSION group_concat_max_len=1073741824;
    SELECT COALESCE(CONCAT('LOCK TABLES ', GROUP_CONCAT($(quoted "$literal"), '.', $(quoted TABLE_NAME), ' WRITE'), ';'), 'DO 0;') FROM information_schema.TABLES
      WHERE $(same TABLE_SCHEMA "$literal") AND TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED')"
  there=$(sql --execute="SELECT COUNT(*) FROM information_schema.SCHEMATA WHERE $(same SCHEMA_NAME "$literal")") || exit $?
  sql --execute="CREATE DATABASE IF NOT EXISTS $old" || exit $?
  if [ "$there" = 0 ]; then sql --execute="CREATE DATABASE $ident" || exit $?; fi
  gtid=
  case $("$dumper" --version) in *MariaDB*) ;; *) gtid=--set-gtid-purged=OFF ;; esac
  text=$(dump $gtid --single-transaction --skip-lock-tables --no-create-info --no-data --triggers --skip-comments -- "$final") || exit $?
  { printf "INSERT INTO $act.objects (kind, body) VALUES ('old', 0x"; printf %s "$text" | od -An -v -tx1 | tr -d ' \n'; printf ");\n"; } | sql || exit $?
  sql --execute="INSERT INTO $act.tables SELECT TABLE_NAME FROM information_schema.TABLES WHERE $(same TABLE_SCHEMA "$literal") AND TABLE_TYPE IN ('BASE TABLE', 'SEQUENCE', 'SYSTEM VERSIONED');
    CREATE TABLE $act.ready (x INT)" || exit $?
}
settled() {
  left=$(sql --execute="SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = '$old'") || exit $?
  [ "$left" = 0 ] || return 1
  untrigger "$literal"
  { sql --raw --execute="SELECT body FROM $act.objects WHERE kind = 'old' ORDER BY n" && printf "SELECT '` + myDone + `';\n"; } | whole --database="$final" || exit $?
  sql --execute="DROP TABLE $act.ready" || exit $?
  printf '%s\n' "$why" >&2
  exit 1
}
move() {
  untrigger "'$fresh'"
  for try in 1 2 3; do
    hangup
    if why=$(untrigger "$literal" 2>&1) && why=$(sql --execute="$moving" 2>&1); then return; fi
  done
  settled
  printf '%s\n' "$why" >&2
  exit 1
}
moved=$(table moved) && ready=$(table ready) || exit $?
if [ "$moved" = 0 ]; then
  [ "$ready" != 0 ] || keep
  move
fi
made "SELECT CONCAT('ALTER DATABASE ', $(quoted "$literal"), ' CHARACTER SET ', DEFAULT_CHARACTER_SET_NAME, ' COLLATE ', DEFAULT_COLLATION_NAME, ';') FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = '$fresh'"
untrigger "$literal"
made "SELECT CONCAT('DROP ', ROUTINE_TYPE, ' IF EXISTS ', $(quoted ROUTINE_SCHEMA), '.', $(quoted ROUTINE_NAME), ';') FROM information_schema.ROUTINES WHERE $(same ROUTINE_SCHEMA "$literal") ORDER BY ROUTINE_TYPE DESC"
made "SELECT CONCAT('DROP VIEW IF EXISTS ', $(quoted TABLE_SCHEMA), '.', $(quoted TABLE_NAME), ';') FROM information_schema.VIEWS WHERE $(same TABLE_SCHEMA "$literal")"
made "SELECT CONCAT('DROP EVENT IF EXISTS ', $(quoted EVENT_SCHEMA), '.', $(quoted EVENT_NAME), ';') FROM information_schema.EVENTS WHERE $(same EVENT_SCHEMA "$literal")"
replay "'session', 'schema', 'trigger', 'qualified', 'routine'" --database="$final"
`

// myFinish makes views, events and grants when the new data is in place. One
// that cannot be made keeps no other from it: they can name what is not there,
// such as a database that is restored later. It is said, and with the argument
// "go on" it is no failure.
const myFinish = myEnvironment + myWhole + myPieces + `bad=
for kinds in "'session', 'view'" "'session', 'event'" "'grant'"; do
  text=$(replay "$kinds" --force --database="$final" 2>&1) || { printf '%s\n' "$text" >&2; exit 1; }
  bad="$bad$(printf '%s\n' "$text" | grep -A 2 '^ERROR ')"
done
[ -z "$bad" ] || { printf 'not all views, events and grants could be made; restore the database again when what they name is there: %s\n' "$bad" >&2; [ "$7" = "go on" ] || exit 1; }
`

// myDrop ends a restore. What says how far it came goes last.
const myDrop = myEnvironment + myPieces + `for name in "$old" "$fresh" "$act"; do sql --execute="DROP DATABASE IF EXISTS $name" || exit $?; done
`

// myDiscard drops what is new, unless the restore is past the point from which
// it goes forward: then what is there is somebody's data. What says how far it
// is goes first, so that a script of the restore that is still under way, from
// before a kill, finds nothing to go forward by; the new database goes last,
// by which whoever comes after a kill sees that there is something to drop.
//
// A database that was not there before goes too, unless by now it holds more
// than the sequences that stood in.
const myDiscard = myEnvironment + myPieces + `held() {
  left=$(sql --execute="SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = '$old'") || exit $?
  if [ "$left" != 0 ]; then echo "database $old holds tables" >&2; exit 1; fi
}
ready=$(table ready) || exit $?
if [ "$ready" != 0 ]; then echo "the restore is past its point of no return" >&2; exit 1; fi
held
standin=$(table standin) || exit $?
if [ "$standin" != 0 ]; then
  used=$(sql --execute="SELECT (SELECT COUNT(*) FROM information_schema.TABLES WHERE $(same TABLE_SCHEMA "$literal") AND TABLE_TYPE <> 'SEQUENCE')
    + (SELECT COUNT(*) FROM information_schema.ROUTINES WHERE $(same ROUTINE_SCHEMA "$literal"))") || exit $?
  [ "$used" != 0 ] || sql --execute="DROP DATABASE IF EXISTS $ident" || exit $?
fi
sql --execute="DROP DATABASE IF EXISTS $act" || exit $?
held
for name in "$old" "$fresh"; do sql --execute="DROP DATABASE IF EXISTS $name" || exit $?; done
`

// myNames are the databases of one restore.
type myNames struct {
	fresh, old, act string
	final           string // the database in the end
}

func myWorkNames(id, final string) (myNames, error) {
	fresh, old, err := workNames(id, final)
	return myNames{fresh: fresh, old: old, act: myActPrefix + strings.TrimPrefix(fresh, myNewPrefix), final: final}, err
}

// command is one of the scripts above for this restore.
func (n myNames) command(target Facts, script, show string, more ...string) Command {
	args := append([]string{n.act, n.fresh, n.old, n.final, myIdent(n.final), myLiteral(n.final)}, more...)
	return Command{Argv: target.my(script, args...), Show: target.shownClient() + " (" + show + ")"}
}
