package dump

// slapdFind is the beginning of every script: it finds the programs, which lie
// in sbin or beside the server, and in conf the directory of the configuration.
// $1 is that directory, "" where it is not known yet.
const slapdFind = `conf=$1; shift
LC_ALL=C; export LC_ALL
PATH=$PATH:/usr/sbin:/usr/local/sbin:/sbin:/opt/bitnami/openldap/sbin:/opt/bitnami/openldap/bin:/usr/lib/openldap:/usr/local/libexec; export PATH
for c in slapcat slapadd; do
  if ! command -v "$c" >/dev/null 2>&1; then echo "$c is not in the container" >&2; exit 127; fi
done
given() {
  for f in /proc/[0-9]*/cmdline; do
    tr '\000' '\n' <"$f" 2>/dev/null | sed -n '1{/slapd$/!q};/^-F$/{n;p};s/^-F\(\/.*\)/\1/p'
  done
}
if [ -z "$conf" ]; then
  for d in $(given) /bitnami/openldap/slapd.d /etc/ldap/slapd.d /etc/openldap/slapd.d /opt/bitnami/openldap/etc/slapd.d /usr/local/etc/openldap/slapd.d; do
    if [ -e "$d/cn=config.ldif" ]; then conf=$d; break; fi
  done
fi
`

// slapdProbe writes NUL-terminated fields, of which the first of each record
// is its kind. Of the configuration it passes on what says which databases
// there are and where, and no password; nor does it when slapcat fails half-way,
// for what that has written by then holds those of the databases.
const slapdProbe = slapdFind + `if [ -z "$conf" ]; then
  echo "no directory with a configuration (cn=config) is there" >&2; exit 3
fi
version=$(slapd -VV 2>&1 | sed -n 's/.*slapd \([0-9][0-9.]*\).*/\1/p' | head -n 1)
said=$(slapcat -F "$conf" -n 0 -o ldif-wrap=no -a '(objectClass=olcDatabaseConfig)') || exit 4
printf 'version\000%s\000conf\000%s\000' "$version" "$conf"
printf 'databases\000%s\000' "$(printf '%s\n' "$said" | grep -E '^(dn|olcDatabase|olcSuffix|olcDbDirectory)::? |^$')"
real=$(cd "$conf" 2>/dev/null && pwd -P) && printf 'dir\000%s\000' "$real"
free=$(df -Pk "$conf" 2>/dev/null) && printf 'df\000%s\000' "$free"
printf 'end\000'
`

// slapdDump writes one database, $1, in the order in which it can be added. Of
// one without entries slapcat writes nothing, so that a remark comes first,
// which says that it has been asked.
const slapdDump = slapdFind + `if [ "$1" != 0 ]; then printf '%s%s\n' '` + ldifOpening + `' "$1"; fi
exec slapcat -F "$conf" -n "$1" -g
`

// slapdLoad reads one database, $1, from standard input into directories that
// are empty: $2 and those that follow, of which the first is the database's
// own. What it makes belongs to the owner of the directory: a server that
// became another user must be able to open it.
const slapdLoad = slapdFind + `n=$1; shift
mkdir -p "$@" || exit 1
quick=-q
if [ "$n" = 0 ]; then quick=; fi
slapadd -F "$conf" -n "$n" $quick || exit
[ "$(id -u)" = 0 ] || exit 0
own=$(stat -c %u:%g "$1") || exit
for f in "$1"/*; do
  [ ! -e "$f" ] || chown -R "$own" "$f" || exit
done
`

// slapdCount compares how many entries there are in one database, $1, with
// those of the dump on standard input.
// What a slapcat has written that failed is not to be taken for what there is.
const slapdCount = slapdFind + `want=$(grep -c '^dn:')
set -- $({ slapcat -F "$conf" -n "$1" -g -o ldif-wrap=no && echo whole; } | sed -n -e 's/^dn:.*/dn/p' -e '/^whole$/p' | uniq -c)
case "$*" in
*" dn 1 whole") have=$1 ;;
"1 whole") have=0 ;;
*) exit 4 ;;
esac
[ "$want" = "$have" ] && exit 0
echo "$have of $want entries are in the database" >&2
exit 5
`

// slapdReady asks over TCP. A server that lets nobody in without a password has
// answered, too.
const slapdReady = `PATH=$PATH:/opt/bitnami/openldap/bin:/usr/local/bin
code=255
for port in ${LDAP_PORT_NUMBER:-} ${LDAP_PORT:-} 389 1389 3389; do
  case $port in *[!0-9]*) continue ;; esac
  said=$(ldapsearch -x -H "ldap://127.0.0.1:$port" -s base -b '' -l 5 namingContexts 2>&1); code=$?
  case $code in 0|8|13|48|49|50|53) exit 0 ;; 126|127) break ;; esac
done
printf '%s\n' "$said" >&2
exit "$code"
`
