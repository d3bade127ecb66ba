package dump

// etcdReach is the beginning of every script: it finds the client, what the
// server was started with, and a way in. It runs in any POSIX shell.
//
// What the server was started with is asked of its process, because images
// compute a part of it; only where that cannot be seen, of the container's own
// environment. The client is told by its environment alone: an argument would
// show the password, and one beside a variable is refused by it.
//
// The certificate of the server is not verified: we speak to an address that
// the server itself listens on, inside its container.
const etcdReach = `PATH=$PATH:/opt/bitnami/etcd/bin:/usr/local/bin
cli=$(command -v etcdctl) || { echo "etcdctl is not in the container" >&2; exit 127; }
exec </dev/null
LC_ALL=C; ETCDCTL_API=3; ETCDCTL_DIAL_TIMEOUT=5s; export LC_ALL ETCDCTL_API ETCDCTL_DIAL_TIMEOUT
unset ETCDCTL_ENDPOINTS ETCDCTL_COMMAND_TIMEOUT ETCDCTL_WRITE_OUT ETCDCTL_HEX ETCDCTL_DEBUG ETCDCTL_DISCOVERY_SRV ETCDCTL_DISCOVERY_SRV_NAME
pid=
for f in /proc/[0-9]*/comm; do
  { read -r name <"$f"; } 2>/dev/null || continue
  if [ "$name" = etcd ]; then pid=${f#/proc/}; pid=${pid%/comm}; break; fi
done
words= vars=
if [ -n "$pid" ]; then
  words=$(cat "/proc/$pid/cmdline" 2>/dev/null | tr '\000' '\n')
  vars=$(cat "/proc/$pid/environ" 2>/dev/null | tr '\000' '\n')
fi
[ -n "$vars" ] || vars=$(env)
given() {
  value=$(printf '%s\n' "$words" | sed -n -e "s/^--*$1=//p" -e "/^--*$1\$/{n;p;}" | tail -n 1)
  if [ -z "$value" ]; then
    value=$(printf '%s\n' "$vars" | sed -n "s/^ETCD_$(printf %s "$1" | tr 'a-z-' 'A-Z_')=//p" | tail -n 1)
  fi
  printf %s "$value"
}
conf=$(given config-file)
setting() {
  if [ -z "$conf" ]; then given "$1"; return; fi
  value=$(sed -n "s/^$1:[[:space:]]*\(.*[^[:space:]]\)[[:space:]]*\$/\1/p" "$conf" 2>/dev/null | tail -n 1)
  case $value in
  \"*\") value=${value#\"}; value=${value%\"} ;;
  \'*\') value=${value#\'}; value=${value%\'} ;;
  esac
  printf %s "$value"
}
member=$(setting name); member=${member:-default}
data=$(setting data-dir); data=${data:-$member.etcd}
case $data in /*) ;; *) data=$(readlink "/proc/${pid:-self}/cwd")/$data ;; esac
secret() {
  eval "value=\${$1:-} file=\${$1_FILE:-}"
  if [ -n "$value" ]; then printf %s "$value"
  elif [ -n "$file" ]; then cat <"$file" || echo "cannot read $1_FILE" >&2; fi
}
user=${ETCDCTL_USER:-root} password=${ETCDCTL_PASSWORD:-}
unset ETCDCTL_USER ETCDCTL_PASSWORD
if [ "$user" = root ] && [ -z "$password" ]; then password=$(secret ETCD_ROOT_PASSWORD); fi
case $user in
*:*) ;;
*) if [ -n "$password" ]; then user=$user:$password; else user=; fi ;;
esac
if [ -n "$user" ]; then ETCDCTL_USER=$user; export ETCDCTL_USER; fi
tls() {
  ETCDCTL_INSECURE_SKIP_TLS_VERIFY=true; export ETCDCTL_INSECURE_SKIP_TLS_VERIFY
  if [ -z "${ETCDCTL_CERT:-}" ] && [ -n "$(setting cert-file)" ]; then
    ETCDCTL_CERT=$(setting cert-file); ETCDCTL_KEY=$(setting key-file); export ETCDCTL_CERT ETCDCTL_KEY
  fi
  if [ -z "${ETCDCTL_CACERT:-}" ] && [ -n "$(setting trusted-ca-file)" ]; then
    ETCDCTL_CACERT=$(setting trusted-ca-file); export ETCDCTL_CACERT
  fi
}
endpoints() {
  urls=$(setting listen-client-urls)
  printf '%s\n' "${urls:-http://127.0.0.1:2379}" | tr ',' '\n' | sed -e 's/[[:space:]]//g' -e 's#//0\.0\.0\.0:#//127.0.0.1:#' -e 's#//\[::\]:#//127.0.0.1:#' -e 's#//localhost:#//127.0.0.1:#' -e '/^$/d'
}
reach() {
  said="the server listens nowhere" code=2
  for ETCDCTL_ENDPOINTS in $(endpoints); do
    export ETCDCTL_ENDPOINTS
    case $ETCDCTL_ENDPOINTS in https:*|unixs:*) tls ;; esac
    said=$("$cli" endpoint status --write-out=json 2>&1) && return 0
    code=$?
    case $said in *"authentication failed"*|*"user name is empty"*|*"permission denied"*) return 1 ;; esac
  done
  return 1
}
enter() { reach || { printf '%s\n' "$said" >&2; exit "$code"; }; }
`

// etcdProbe writes NUL-terminated fields, of which the first of each record is
// its kind. To list roles takes what a snapshot takes: to be root.
const etcdProbe = etcdReach + `enter
said=$("$cli" role list 2>&1) || { printf '%s\n' "$said" >&2; exit 2; }
status=$("$cli" endpoint status --write-out=json) || exit 2
members=$("$cli" member list --write-out=json) || exit 2
printf 'client\000%s\000status\000%s\000members\000%s\000' "$("$cli" version)" "$status" "$members"
printf 'place\000%s\000%s\000%s\000%s\000' "$member" "$data" "$(setting wal-dir)" "$(setting initial-cluster-token)"
real=$(cd "$data" 2>/dev/null && pwd -P) && printf 'dir\000%s\000' "$real"
free=$(df -Pk "$data" 2>/dev/null) && printf 'df\000%s\000' "$free"
printf 'end\000'
`

// etcdReady asks without a password, and takes any answer of a server that
// knows a leader.
const etcdReady = etcdReach + `unset ETCDCTL_USER
reach && case $said in *'"leader":0,'*) echo "there is no leader" >&2; exit 1 ;; *'"leader":'*) exit 0 ;; esac
case $said in *"user name is empty"*|*"permission denied"*) exit 0 ;; esac
printf '%s\n' "$said" >&2
exit 1
`

// etcdRoom chooses a directory with room for so many bytes, among those that
// may be written: where the data lies is the last of them.
const etcdRoom = `work= child=
clean() { [ -z "$work" ] || rm -rf "$work"; }
stop() { [ -z "$child" ] || kill "$child" 2>/dev/null; exit 143; }
trap clean EXIT
trap stop HUP INT TERM
umask 077
room() {
  for dir in "${TMPDIR:-/tmp}" /var/tmp "$data"; do
    rm -rf "$dir"/.ripplebak-etcd.* 2>/dev/null
    free=$(df -Pk "$dir" 2>/dev/null | tail -n 1 | { read -r _ _ _ free _; printf %s "$free"; })
    case $free in ''|*[!0-9]*) continue ;; esac
    [ "$free" -gt $(($1 / 1024 + 16384)) ] || continue
    if work=$(mktemp -d "$dir/.ripplebak-etcd.XXXXXX" 2>/dev/null); then return 0; fi
    work=
  done
  echo "no space left for a snapshot of $1 bytes in /tmp, /var/tmp and $data" >&2
  exit 28
}
`

// etcdDump saves a snapshot into a file, because etcdctl can save it nowhere
// else, and writes that. Whatever ends it, the file goes; what a kill leaves,
// the next one takes away.
const etcdDump = etcdReach + etcdRoom + `enter
size=$(printf %s "$said" | sed -n 's/.*"dbSize":\([0-9][0-9]*\).*/\1/p')
room "${size:-0}"
"$cli" snapshot save "$work/snapshot.db" >"$work/said" 2>&1 &
child=$!
wait "$child"; code=$?; child=
if [ "$code" != 0 ]; then cat "$work/said" >&2; exit "$code"; fi
cat "$work/snapshot.db" &
child=$!
wait "$child"; code=$?; child=
exit "$code"
`

// etcdLoad makes a new data directory of the snapshot on standard input, in the
// place of the old one, which is empty. The tool makes no directory that is
// there, so it works beside, and what it has made goes where it belongs: the log
// last, for it may lie in what comes before it.
const etcdLoad = `PATH=$PATH:/opt/bitnami/etcd/bin:/usr/local/bin
dir=$1 wal=$2; shift 2
tool=$(command -v etcdutl) || tool=$(command -v etcdctl) || { echo "etcdctl is not in the container" >&2; exit 127; }
for name in $(env | sed -n 's/^\(ETCDCTL_[A-Z_]*\)=.*/\1/p'); do unset "$name"; done
ETCDCTL_API=3; export ETCDCTL_API
umask 077
work=$dir/.ripplebak-load
clean() { rm -rf "$work"; }
trap clean EXIT
trap 'exit 143' HUP INT TERM
mkdir -p "$work" && cat >"$work/snapshot.db" || exit
set -- "$@" --data-dir="$work/new"
if [ -n "$wal" ]; then set -- "$@" --wal-dir="$work/wal"; fi
"$tool" snapshot restore "$work/snapshot.db" "$@" >&2 || exit
rm -rf "$dir/member" && mv "$work/new/member" "$dir/member" || exit
[ -z "$wal" ] || { mkdir -p "$wal" && mv "$work"/wal/* "$wal/"; }
`
