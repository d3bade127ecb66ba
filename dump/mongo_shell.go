package dump

// mongoReach is the beginning of every script. Its first argument is the user,
// "" for the container's own. It runs in any POSIX shell.
//
// The tools take the password from a configuration file, which is a descriptor
// of their own here and lies nowhere: an argument would be seen by "docker top".
// The shell of MongoDB gets it in the script on its standard input.
const mongoReach = `user=$1; shift
secret() {
  for n do
    eval "v=\${$n:-} f=\${${n}_FILE:-}"
    if [ -z "$v" ] && [ -n "$f" ]; then v=$(cat <"$f") || echo "cannot read ${n}_FILE" >&2; fi
    if [ -n "$v" ]; then printf %s "$v"; return; fi
  done
}
root=$(secret MONGO_INITDB_ROOT_USERNAME MONGODB_ROOT_USER)
pass=$(secret MONGO_INITDB_ROOT_PASSWORD MONGODB_ROOT_PASSWORD)
if [ -z "$root" ] && [ -n "$pass" ]; then root=root; fi
if [ -n "$user" ] && [ "$user" != "$root" ]; then
  own=$(secret MONGODB_PASSWORD MONGO_PASSWORD)
  pass=${own:-$pass}
fi
user=${user:-$root}
if [ -z "$user" ]; then pass=; fi
port=
for f in /proc/[0-9]*; do
  read -r name <"$f/comm" || continue
  case $name in mongod|mongos) ;; *) continue ;; esac
  found=$(tr '\000' ' ' <"$f/cmdline" | sed -n 's/^.* --port[ =]\([0-9][0-9]*\).*/\1/p')
  port=${found:-$port}
done 2>/dev/null
port=${port:-27017}
js=mongosh
command -v mongosh >/dev/null 2>&1 || js=mongo
LC_ALL=C; export LC_ALL
hex() { printf %s "$1" | od -An -v -tx1 | tr -d ' \n'; }
tool() {
  tool=$1; shift
  if [ -z "$pass" ]; then "$tool" --host=127.0.0.1 --port="$port" "$@"; return; fi
  quoted=$(printf '%s\n' "$pass" | sed "s/'/''/g")
  "$tool" --host=127.0.0.1 --port="$port" --username="$user" --authenticationDatabase=admin --config=/dev/fd/3 "$@" 3<<END
password: '$quoted'
END
}
ask() { "$js" --quiet --norc "127.0.0.1:$port/admin" 2>&1; }
`

// mongoReady asks without a password, which a ping never takes. The temporary
// server of the images' init scripts listens on 127.0.0.1 too, so that as long
// as the entrypoint runs, nobody is ready.
const mongoReady = mongoReach + `setup=
for f in /proc/[0-9]*; do
  read -r name <"$f/comm" || continue
  case $name in docker-entrypoi*|bash|sh) ;; *) continue ;; esac
  case $(tr '\000' ' ' <"$f/cmdline") in */docker-entrypoint.sh\ *) setup=1 ;; esac
done 2>/dev/null
if [ -n "$setup" ]; then echo "the container is still being set up" >&2; exit 1; fi
out=$(printf '%s\n' 'print("ripplebak<"+Number(db.adminCommand({ping:1}).ok)+">end")' | ask)
case $out in *"ripplebak<1>end"*) exit 0 ;; esac
printf '%s\n' "$out" >&2
exit 1
`

// mongoProbe prints the version of the tools and what the server says, as JSON.
const mongoProbe = mongoReach + `for t in mongodump mongorestore; do
  command -v "$t" >/dev/null 2>&1 || { echo "$t is not in the container" >&2; exit 127; }
done
command -v "$js" >/dev/null 2>&1 || { echo "neither mongosh nor mongo is in the container" >&2; exit 127; }
printf 'tools %s\n' "$(mongodump --version 2>/dev/null | sed -n 's/^mongodump version: *//p')"
if [ -n "$pass" ]; then echo secret; fi
script='try{var t=function(h){return decodeURIComponent(h.replace(/(..)/g,"%$1"))};var a=db.getSiblingDB("admin");if(u)a.auth(t(u),t(p));var c=function(x){var r=a.runCommand(x);if(r.ok!=1)throw new Error(r.errmsg);return r};var h=c({isMaster:1}),b=c({buildInfo:1}),l=c({listDatabases:1});print("ripplebak<"+JSON.stringify({version:b.version,set:h.setName||"",mongos:h.msg=="isdbgrid",primary:!!h.ismaster,databases:l.databases.map(function(x){return{name:x.name,size:Number(x.sizeOnDisk)}})})+">end")}catch(e){print("ripplebak!"+(e.message||e))}'
u=; p=
if [ -n "$pass" ]; then u=$(hex "$user"); p=$(hex "$pass"); fi
out=$(printf 'var u="%s",p="%s";%s\n' "$u" "$p" "$script" | ask | sed '/var u=/d')
case $out in
*"ripplebak<"*">end"*) printf 'server %s\nend\n' "$(printf '%s\n' "$out" | sed -n 's/.*ripplebak<\(.*\)>end.*/\1/p')" ;;
*) printf '%s\n' "$out" | sed 's/.*ripplebak!//' >&2; exit 2 ;;
esac
`

const (
	mongoDump    = mongoReach + "tool mongodump \"$@\"\n"
	mongoRestore = mongoReach + "tool mongorestore \"$@\"\n"
)
