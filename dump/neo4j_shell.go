package dump

// neo4jFind is the beginning of every script: it finds the program, where the
// server lives, and its version, by the name of a library: the program itself
// needs seconds to say it.
const neo4jFind = `LC_ALL=C; export LC_ALL
PATH=$PATH:${NEO4J_HOME:-/var/lib/neo4j}/bin:/opt/bitnami/neo4j/bin
admin=$(command -v neo4j-admin) || { echo "neo4j-admin is not in the container" >&2; exit 127; }
home=${NEO4J_HOME:-$(dirname "$(dirname "$(readlink -f "$admin")")")}
version=
for f in "$home"/lib/neo4j-kernel-[0-9]*.jar; do version=${f##*/neo4j-kernel-}; version=${version%.jar}; done
case $version in
[0-9]*) ;;
*) version=$("$admin" --version 2>/dev/null | sed -n 's/^[^0-9]*\([0-9][0-9.]*\).*/\1/p' | head -n 1) ;;
esac
major=${version%%.*}
case $major in ''|*[!0-9]*) echo "neo4j-admin does not say its version" >&2; exit 3 ;; esac
`

// neo4jProbe writes NUL-terminated fields, of which the first of each record is
// its kind. Where the files lie is what the server would be told when it
// starts: the container's environment counts before the file.
const neo4jProbe = neo4jFind + `setting() {
  for n in server dbms; do
    eval "value=\${NEO4J_${n}_$1:-}"
    if [ -n "$value" ]; then printf %s "$value"; return; fi
  done
  key=$(printf %s "$1" | tr _ .)
  for f in /conf/neo4j.conf "${NEO4J_CONF:-$home/conf}/neo4j.conf"; do
    value=$(sed -n -e "s/^server[.]$key=[[:space:]]*//p" -e "s/^dbms[.]$key=[[:space:]]*//p" "$f" 2>/dev/null | tail -n 1)
    if [ -n "$value" ]; then printf %s "$value"; return; fi
  done
}
data=$(setting directories_data); data=${data:-data}
case $data in /*) ;; *) data=$home/$data ;; esac
real=$(cd "$data/databases" 2>/dev/null && cd .. && pwd -P) || { echo "no directory with databases: $data/databases" >&2; exit 3; }
data=$real
logs=$(setting directories_transaction_logs_root); logs=${logs:-$data/transactions}
case $logs in /*) ;; *) logs=$home/$logs ;; esac
if real=$(cd "$logs" 2>/dev/null && pwd -P); then logs=$real; fi
printf 'version\000%s\000dir\000%s\000%s\000' "$version" "$data" "$logs"
for d in "$data"/databases/*/; do
  [ -d "$d" ] || continue
  d=${d%/}; name=${d##*/}
  size=$(du -sk "$d" "$logs/$name" 2>/dev/null | { sum=0; while read -r n _; do sum=$((sum + n)); done; printf %s "$sum"; })
  printf 'database\000%s\000%s\000' "$name" "$size"
done
free=$(df -Pk "$data" 2>/dev/null) && printf 'df\000%s\000' "$free"
printf 'end\000'
`

// neo4jWork has the program find the files at $1, $2 and work as their owner,
// so that the server can open what it has made; $3 is the database. A
// configuration of its own says where they lie: the service's is made when its
// container starts, and may run commands.
const neo4jWork = neo4jFind + `data=$1 logs=$2 name=$3
own=$(stat -c %u:%g "$data/databases" 2>/dev/null || stat -c %u:%g "$data") || exit
root=; [ "$(id -u)" != 0 ] || root=1
work=
clean() { [ -z "$work" ] || rm -rf "$work"; }
trap clean EXIT
trap 'exit 143' HUP INT TERM
room() {
  rm -rf "$data"/.ripplebak-neo4j.* 2>/dev/null
  for dir in "${TMPDIR:-/tmp}" /var/tmp "$data"; do
    free=$(df -Pk "$dir" 2>/dev/null | tail -n 1 | { read -r _ _ _ free _; printf %s "$free"; })
    case $free in ''|*[!0-9]*) continue ;; esac
    [ "$free" -gt "$(($1 + 16384))" ] || continue
    if work=$(mktemp -d "$dir/.ripplebak-neo4j.XXXXXX" 2>/dev/null); then return 0; fi
    work=
  done
  echo "no space left for a dump of $1 KiB in /tmp, /var/tmp and $data" >&2
  exit 28
}
prepare() {
  mkdir "$work/conf" || exit
  if [ "$major" -lt 5 ]; then prefix=dbms; else prefix=server; fi
  printf '%s.directories.data=%s\n%s.directories.transaction.logs.root=%s\n' "$prefix" "$data" "$prefix" "$logs" >"$work/conf/neo4j.conf" || exit
  if [ -n "$root" ]; then chown -R "$own" "$work" || exit; fi
  NEO4J_CONF=$work/conf; export NEO4J_CONF
}
run() {
  if [ -z "$root" ] || [ "${own%%:*}" = 0 ]; then "$@"; return; fi
  for become in gosu su-exec; do
    if command -v "$become" >/dev/null 2>&1; then "$become" "$own" "$@"; return; fi
  done
  if command -v setpriv >/dev/null 2>&1; then
    setpriv --reuid="${own%%:*}" --regid="${own##*:}" --clear-groups "$@"; return
  fi
  "$@"; code=$?
  find "$data/databases" "$logs" -user 0 -exec chown "$own" {} + || code=1
  return "$code"
}
`

// neo4jDump writes a database. Neo4j 4.x writes a file.
const neo4jDump = neo4jWork + `if [ "$major" -ge 5 ]; then
  room 0; prepare
  run "$admin" database dump --to-stdout "$name" </dev/null
  exit
fi
room "$(du -sk "$data/databases/$name" "$logs/$name" 2>/dev/null | { sum=0; while read -r n _; do sum=$((sum + n)); done; printf %s "$sum"; })"
prepare
run "$admin" dump --database="$name" --to="$work/$name.dump" </dev/null >&2 || exit
cat "$work/$name.dump"
`

// neo4jLoad makes a database of the dump on standard input, in directories that
// are empty.
const neo4jLoad = neo4jWork + `for d in "$data/databases" "$logs"; do
  [ -d "$d" ] && continue
  mkdir -p "$d" || exit
  if [ -n "$root" ]; then chown "$own" "$d" || exit; fi
done
room 0; prepare
if [ "$major" -ge 5 ]; then
  run "$admin" database load --from-stdin --overwrite-destination=true "$name" >&2 || exit
else
  cat >"$work/$name.dump" || exit
  if [ -n "$root" ]; then chown "$own" "$work/$name.dump" || exit; fi
  run "$admin" load --database="$name" --from="$work/$name.dump" --force </dev/null >&2 || exit
fi
for f in "$data/databases/$name"/*; do
  if [ -e "$f" ]; then exit 0; fi
done
echo "neo4j-admin has made no files of database $name" >&2
exit 5
`

// neo4jReady asks which databases are not as they should be. A server that
// refuses the password has answered, too: users are those of the dump.
const neo4jReady = `LC_ALL=C; export LC_ALL
PATH=$PATH:${NEO4J_HOME:-/var/lib/neo4j}/bin:/opt/bitnami/neo4j/bin
auth=${NEO4J_AUTH:-}
if [ -z "$auth" ] && [ -n "${NEO4J_AUTH_FILE:-}" ]; then auth=$(cat <"$NEO4J_AUTH_FILE"); fi
case $auth in
*/*) NEO4J_USERNAME=${auth%%/*}; auth=${auth#*/}; NEO4J_PASSWORD=${auth%/true} ;;
*) NEO4J_USERNAME=neo4j NEO4J_PASSWORD=${NEO4J_PASSWORD:-neo4j} ;;
esac
export NEO4J_USERNAME NEO4J_PASSWORD
unset NEO4J_ADDRESS NEO4J_URI NEO4J_DATABASE
if ! command -v cypher-shell >/dev/null 2>&1; then
  wget -q -O /dev/null http://127.0.0.1:7474/ || curl -fsS -o /dev/null http://127.0.0.1:7474/
  exit
fi
said=$(cypher-shell -a bolt://127.0.0.1:7687 -d system --format plain --non-interactive 'SHOW DATABASES YIELD name, requestedStatus, currentStatus' </dev/null 2>&1)
code=$?
if [ "$code" = 0 ]; then
  late=$(printf '%s\n' "$said" | sed -n '/"online", *"online" *$/d; s/^\("[^"]*"\), *"online", *\(".*"\) *$/\1 is \2/p')
  [ -n "$late" ] || exit 0
  printf '%s\n' "$late" >&2
  exit 1
fi
case $said in
*nauthorized*|*uthentication*|*redentials*|*"Invalid input"*) exit 0 ;;
esac
printf '%s\n' "$said" >&2
exit "$code"
`
