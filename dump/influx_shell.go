package dump

// influxFind is the beginning of the scripts that ask a server: they find the
// programs, the version, and what the server was started with, which its own
// program says of file and environment.
const influxFind = `LC_ALL=C; export LC_ALL
PATH=$PATH:/usr/local/bin:/usr/bin:/opt/bitnami/influxdb/bin
for c in influxd tar gzip; do
  if ! command -v "$c" >/dev/null 2>&1; then echo "$c is not in the container" >&2; exit 127; fi
done
version=$(influxd version 2>&1 | sed -n 's/.*InfluxDB v\([0-9][0-9.]*\).*/\1/p' | head -n 1)
case $version in
1.*) ;;
*) echo "this is InfluxDB ${version:-of an unknown version}, and not InfluxDB 1" >&2; exit 3 ;;
esac
conf=
for f in /proc/[0-9]*/comm; do
  { read -r name <"$f"; } 2>/dev/null || continue
  if [ "$name" != influxd ] || [ -n "$conf" ]; then continue; fi
  f=${f%/comm}/cmdline
  conf=$(tr '\000' '\n' <"$f" 2>/dev/null | sed -n -e 's/^--*config=//p' -e '/^--*config$/{n;p;}' | tail -n 1)
done
if [ -n "$conf" ]; then settings=$(influxd config -config "$conf" 2>&1); else settings=$(influxd config 2>&1); fi
setting() {
  printf '%s\n' "$settings" | sed -n "/^\[$1\]/,/^\[/s/^ *$2 = \"\{0,1\}\([^\"]*\)\"\{0,1\}\$/\1/p" | head -n 1
}
data=$(setting data dir) meta=$(setting meta dir) wal=$(setting data wal-dir)
bind=$(printf '%s\n' "$settings" | sed -n -e '/^\[/q' -e 's/^bind-address = "\(.*\)"$/\1/p')
if [ -z "$data" ] || [ -z "$meta" ] || [ -z "$wal" ] || [ -z "$bind" ]; then
  echo "influxd does not say its settings" >&2; exit 3
fi
near() {
  case $1 in ''|0.0.0.0|'[::]'|localhost) printf 127.0.0.1 ;; *) printf %s "$1" ;; esac
}
listens() {
  case $1 in ''|*[!0-9]*) return 1 ;; esac
  cat /proc/net/tcp /proc/net/tcp6 2>/dev/null | grep -q "^ *[0-9]*: [0-9A-F]*:$(printf %04X "$1") [0-9A-F]*:0000 0A "
}
`

// influxReach insists that the server listens: influxd backup would try for
// minutes where nobody does.
const influxReach = influxFind + `if ! listens "${bind##*:}"; then echo "influxd does not listen on $bind" >&2; exit 2; fi
`

// influxProbe writes NUL-terminated fields, of which the first of each record
// is its kind. It passes on nothing of the settings but directories.
const influxProbe = influxReach + `real() { (cd "$1" 2>/dev/null && pwd -P) || printf '%s\n' "$1"; }
printf 'version\000%s\000dirs\000%s\000%s\000%s\000' "$version" "$(real "$meta")" "$(real "$data")" "$(real "$wal")"
for d in "$data"/*/ "$data"/.[!.]*/; do
  [ -d "$d" ] || continue
  d=${d%/}; printf 'database\000%s\000' "${d##*/}"
done
printf 'size\000%s\000' "$(du -sk "$data" "$wal" 2>/dev/null | { sum=0; while read -r n _; do sum=$((sum + n)); done; printf %s "$sum"; })"
free=$(df -Pk "$data" 2>/dev/null) && printf 'df\000%s\000' "$free"
printf 'end\000'
`

// influxReady looks for the port that is opened last. The temporary server of
// the images' init scripts listens on 127.0.0.1 too, so that as long as these
// run nobody is ready.
const influxReady = influxReach + `for f in /proc/[0-9]*/cmdline; do
  case $(tr '\000' '\n' <"$f" 2>/dev/null | sed -n 2p) in
  */init-influxdb.sh) echo "the container is still being set up" >&2; exit 1 ;;
  esac
done
[ "$(setting http enabled)" != false ] || exit 0
http=$(setting http bind-address)
listens "${http##*:}" || { echo "influxd does not listen on $http yet" >&2; exit 1; }
command -v influx >/dev/null 2>&1 || exit 0
ssl=
if [ "$(setting http https-enabled)" = true ]; then ssl='-ssl -unsafeSsl'; fi
unset INFLUX_USERNAME INFLUX_PASSWORD
said=$(influx -host "$(near "${http%:*}")" -port "${http##*:}" $ssl -execute 'SHOW DATABASES' </dev/null 2>&1) && exit 0
case $said in *authentication*|*authorization*|*"create admin user first"*) exit 0 ;; esac
printf '%s\n' "$said" >&2
exit 1
`

// influxDump writes what influxd backs up as a tar: its list, its metadata, and
// each shard, without the compression that would have unchanged parts of it
// look new. All of it lies in files meanwhile, compressed or not. Whatever ends
// it, they go; what a kill leaves, the next one takes away.
const influxDump = influxReach + `exec </dev/null
work= child=
clean() { [ -z "$work" ] || rm -rf "$work"; }
stop() { [ -z "$child" ] || kill "$child" 2>/dev/null; exit 143; }
trap clean EXIT
trap stop HUP INT TERM
umask 077
size=$(du -sk "$data" "$wal" 2>/dev/null | { sum=0; while read -r n _; do sum=$((sum + n)); done; printf %s "$sum"; })
rm -rf "${TMPDIR:-/tmp}"/.ripplebak-influx.* /var/tmp/.ripplebak-influx.* "${data%/*}"/.ripplebak-influx.* 2>/dev/null
for dir in "${TMPDIR:-/tmp}" /var/tmp "${data%/*}"; do
  free=$(df -Pk "$dir" 2>/dev/null | tail -n 1 | { read -r _ _ _ free _; printf %s "$free"; })
  case $free in ''|*[!0-9]*) continue ;; esac
  [ "$free" -gt "$((2 * size + 16384))" ] || continue
  if work=$(mktemp -d "$dir/.ripplebak-influx.XXXXXX" 2>/dev/null); then break; fi
  work=
done
if [ -z "$work" ]; then
  echo "no space left for a backup of $size KiB in /tmp, /var/tmp and ${data%/*}" >&2; exit 28
fi
influxd backup -portable -host "$(near "${bind%:*}"):${bind##*:}" "$work" >&2 &
child=$!
wait "$child"; code=$?; child=
[ "$code" = 0 ] || exit "$code"
cd "$work" || exit
set --
for f in *.gz; do
  [ -e "$f" ] || continue
  gzip -d "$f" || exit
  set -- "$@" "${f%.gz}"
done
tar -cf - *.manifest *.meta "$@" &
child=$!
wait "$child"; code=$?; child=
exit "$code"
`

// influxLoad puts the files of the tar on standard input, which influxFilter
// has made, into the directories $1 of the metadata, $2 of the data and $3 of
// the log, which are empty. What it makes belongs to the owner of the
// directory: a server that became another user must be able to open it.
const influxLoad = `LC_ALL=C; export LC_ALL
meta=$1 data=$2 wal=$3
command -v tar >/dev/null 2>&1 || { echo "tar is not in the container" >&2; exit 127; }
own=$(stat -c %u:%g "$data" 2>/dev/null || stat -c %u:%g "${data%/*}") || exit
umask 027
mkdir -p "$meta" "$data" "$wal" || exit
tar -xof - -C "$data" || exit
mv "$data/` + influxMeta + `" "$meta/meta.db" || exit
[ "$(id -u)" = 0 ] || exit 0
chown -R "$own" "$meta" "$data" "$wal"
`
