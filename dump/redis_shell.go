package dump

import (
	"slices"
	"strings"
)

// redisReach is the beginning of every script: it finds a client, and a way in
// to the server. Its first argument is the user, "" for the default one. What
// was on the server's command line comes on standard input, a line each; a
// password goes to the client by its environment.
//
// run runs the client. reach tries ports and sockets with each password until
// one lets us in; said is the last answer.
const redisReach = `user=$1; shift
cli=
for c in redis-cli valkey-cli keydb-cli; do
  if command -v "$c" >/dev/null 2>&1; then cli=$c; break; fi
done
if [ -z "$cli" ]; then echo "redis-cli, valkey-cli or keydb-cli is not in the container" >&2; exit 127; fi
ports= conf= path= given= port=
while IFS= read -r line; do
  case $line in
  "port "*) ports=${line#port } ;;
  "config "*) conf=${line#config } ;;
  "socket "*) path=${line#socket } ;;
  "password "*) given=${line#password } ;;
  "variable "*) given=$(printenv "${line#variable }") ;;
  esac
done
exec </dev/null
LC_ALL=C; export LC_ALL
files="/usr/local/etc/redis/redis.conf /etc/redis/redis.conf /etc/redis.conf /usr/local/etc/valkey/valkey.conf /etc/valkey/valkey.conf
/etc/keydb/keydb.conf /opt/bitnami/redis/etc/redis.conf /opt/bitnami/valkey/etc/valkey.conf"
setting() {
  value=$(sed -n "s/^[[:space:]]*$2[[:space:]][[:space:]]*\(.*[^[:space:]]\)[[:space:]]*\$/\1/p" "$1" 2>/dev/null | tail -n 1)
  case $value in
  \"*\") value=${value#\"}; value=${value%\"} ;;
  \'*\') value=${value#\'}; value=${value%\'} ;;
  esac
  printf %s "$value"
}
settings() {
  if [ -n "$conf" ]; then setting "$conf" "$1"; echo; fi
  for f in $files; do if [ -r "$f" ]; then setting "$f" "$1"; echo; fi; done
}
run() {
  if [ -n "$path" ]; then "$cli" -s "$path" ${user:+--user "$user"} "$@"
  else "$cli" -h 127.0.0.1 -p "$port" ${user:+--user "$user"} "$@"; fi
}
titles() {
  for f in /proc/[0-9]*/cmdline; do
    tr '\000' ' ' <"$f" 2>/dev/null | sed -n 's/^[^ ]*\(redis\|valkey\|keydb\)-server [^ ]*:\([0-9][0-9]*\).*/\2/p'
  done
}
find_port() {
  for port in $ports $(titles) ${REDIS_PORT_NUMBER:-} ${VALKEY_PORT_NUMBER:-} ${REDIS_PORT:-} ${VALKEY_PORT:-} $(settings port) 6379; do
    case $port in 0|*[!0-9]*) continue ;; esac
    said=$(run PING 2>&1)
    case $said in *"Could not connect"*|*"Connection refused"*) ;; *) return 0 ;; esac
  done
  for path in "$path" $(settings unixsocket); do
    [ -S "$path" ] || continue
    said=$(run PING 2>&1)
    case $said in *"Could not connect"*) ;; *) return 0 ;; esac
  done
  path=
  return 1
}
secret() {
  eval "value=\${$1:-} file=\${$1_FILE:-}"
  if [ -n "$value" ]; then printf '%s\n' "$value"
  elif [ -n "$file" ]; then cat <"$file" || echo "cannot read $1_FILE" >&2; echo; fi
}
passwords() {
  printf '%s\n' "$own" "$given"
  for name in REDIS_PASSWORD VALKEY_PASSWORD KEYDB_PASSWORD REDIS_MASTER_PASSWORD REDIS_PASS; do secret "$name"; done
  settings requirepass
}
own=${REDISCLI_AUTH:-}; unset REDISCLI_AUTH; refused=
enter() {
  case $said in *PONG|*LOADING*) [ -n "$user" ] || return 0 ;; esac
  list=$(passwords)
  while IFS= read -r REDISCLI_AUTH; do
    [ -n "$REDISCLI_AUTH" ] || continue
    export REDISCLI_AUTH
    said=$(run PING 2>&1)
    case $said in *NOAUTH*|*WRONGPASS*|*"invalid password"*) refused=$said ;; *PONG|*LOADING*|*NOPERM*) return 0 ;; esac
  done <<END
$list
END
  unset REDISCLI_AUTH
  said=$(run PING 2>&1)
  case $said in *PONG|*LOADING*) return 0 ;; esac
  said=${refused:-$said}
  return 1
}
reach() {
  if ! find_port || ! enter; then printf '%s\n' "$said" >&2; exit 2; fi
}
`

// redisDump writes the RDB. Clients from 6.2.0 to 6.2.4 take it for an error
// that a pipe cannot be synced, when all is done.
const redisDump = redisReach + `reach
exec 3>&1
said=$(run --rdb - 2>&1 >&3 3>&-); code=$?
if [ "$code" != 0 ]; then
  case $said in *"Transfer finished with success"*"Fail to fsync"*"Invalid argument"*) code=0 ;; esac
fi
[ -z "$said" ] || printf '%s\n' "$said" >&2
exit "$code"
`

// redisReady asks without a password: whoever is asked for one has reached a
// server, and what it loads is looked at later.
const redisReady = redisReach + `if ! find_port; then printf '%s\n' "$said" >&2; exit 1; fi
case $said in *PONG|*NOAUTH*|*NOPERM*|*WRONGPASS*|*DENIED*) exit 0 ;; esac
printf '%s\n' "$said" >&2
exit 1
`

// redisProbe writes NUL-terminated fields, of which the first of each record
// is its kind. Commands that the server's configuration has renamed or
// forbidden are done without: where the process works is where its files are.
const redisProbe = redisReach + `reach
printf 'client\000%s\000' "$("$cli" --version)"
info=$(run INFO 2>/dev/null)
case $info in
*redis_version:*) printf 'info\000%s\000' "$info" ;;
*) printf '%s\n' "$info" >&2; exit 3 ;;
esac
ask() {
  value=$(run CONFIG GET "$1" 2>/dev/null)
  case $value in "$1
"*) value=${value#*
} ;; *) value= ;; esac
}
ask dir; dir=$value
if [ -z "$dir" ]; then
  pid=$(printf '%s\n' "$info" | sed -n 's/^process_id:\([0-9][0-9]*\).*/\1/p')
  dir=$(readlink "/proc/$pid/cwd" 2>/dev/null)
fi
ask appendfilename; aof=${value:-appendonly.aof}
ask appenddirname; aofdir=${value:-appendonlydir}
ask dbfilename
printf 'files\000%s\000%s\000%s\000%s\000' "$dir" "${value:-dump.rdb}" "$aof" "$aofdir"
if [ -n "$dir" ]; then
  if [ -e "$dir/$aof" ] || [ -d "$dir/$aofdir" ]; then printf 'aof\000'; fi
  real=$(cd "$dir" 2>/dev/null && pwd -P) && printf 'dir\000%s\000' "$real"
  free=$(df -Pk "$dir" 2>/dev/null) && printf 'df\000%s\000' "$free"
fi
printf 'end\000'
`

// redisArguments are what of a server's command line says how to reach it, as
// the lines that redisReach reads. The server itself cannot be looked at for
// it: it writes over its arguments when it starts. In a shell's command a
// password may be a variable, which the container resolves.
func redisArguments(argv []string) Secrets {
	var words []string
	for i, a := range argv {
		if i > 0 && strings.HasPrefix(argv[i-1], "-") && strings.HasSuffix(argv[i-1], "c") && isShell(argv[0]) {
			for _, w := range strings.Fields(a) {
				words = append(words, strings.Trim(w, `"';&`))
			}
			continue
		}
		words = append(words, a)
	}
	var lines Secrets
	add := func(kind, value string) {
		if value != "" && !strings.ContainsAny(value, "\n\x00") {
			lines = append(lines, kind+" "+value)
		}
	}
	server := slices.IndexFunc(words, func(w string) bool {
		return strings.HasSuffix(w, "redis-server") || strings.HasSuffix(w, "valkey-server") || strings.HasSuffix(w, "keydb-server")
	})
	for i, w := range words {
		next := ""
		if i+1 < len(words) {
			next = words[i+1]
		}
		switch w {
		case "--port":
			add("port", next)
		case "--unixsocket":
			add("socket", next)
		case "--requirepass":
			if name, ok := shellVariable(next); ok {
				add("variable", name)
			} else {
				add("password", next)
			}
		default:
			if i == server+1 && !strings.HasPrefix(w, "-") && strings.Contains(w, ".conf") {
				add("config", w)
			}
		}
	}
	return lines
}

func isShell(program string) bool {
	return strings.HasSuffix(program, "sh")
}

// shellVariable is the name in $NAME or ${NAME}.
func shellVariable(word string) (string, bool) {
	name, ok := strings.CutPrefix(word, "$")
	if !ok {
		return "", false
	}
	if inner, ok := strings.CutPrefix(name, "{"); ok {
		name = strings.TrimSuffix(inner, "}")
	}
	valid := name != "" && !strings.ContainsFunc(name, func(r rune) bool {
		return r != '_' && !(r >= 'A' && r <= 'Z') && !(r >= 'a' && r <= 'z') && !(r >= '0' && r <= '9')
	})
	return name, valid && (name[0] < '0' || name[0] > '9')
}
