#!/usr/bin/env bash
# ensure-image.sh debian|files|postgres|mariadb|redis|etcd|sqlite|slapd|neo4j|influxdb|postgis: makes the image that tests and
# the demo need, unless it is there, and prints its name.
#
#   debian    a minimal Debian, made by debootstrap: pulls nothing
#   files     that, with what compares files: rsync, tar, getfacl, getfattr
#   postgres  postgres:17 where it can be pulled, else Debian's PostgreSQL
#   mariadb   Debian's MariaDB
#   redis     Debian's Redis
#   etcd      Debian's etcd
#   sqlite    Debian's Python and SQLite
#   slapd     Debian's OpenLDAP
#   influxdb  Debian's InfluxDB
#   postgis   Debian's PostGIS in Debian's PostgreSQL
#   neo4j     no Neo4j, but scripts that behave as its programs do
#
# An image made here carries the digest of its sources, and is made again when
# they change.
set -euo pipefail
# shellcheck source=env.sh
. "$(dirname "$0")/env.sh"

images=$ROOT/scripts/images

have() { docker image inspect "$1" >/dev/null 2>&1; }

digest() { (cd "$1" && find . -type f -print0 | sort -z | xargs -0 sha256sum | sha256sum | cut -c1-16); }

# have_current IMAGE DIGEST
have_current() {
	[ "$(docker image inspect -f '{{index .Config.Labels "standin.sources"}}' "$1" 2>/dev/null)" = "$2" ]
}

ensure_debian() {
	have "$STANDIN_DEBIAN" && return
	one_at_a_time image-debian
	have "$STANDIN_DEBIAN" && return
	"$ROOT/scripts/ensure-packages.sh" debootstrap
	say "making $STANDIN_DEBIAN with debootstrap (once)"
	# /tmp may be mounted nodev or noexec, which debootstrap refuses.
	local work
	work=$(as_root mktemp -d /var/tmp/ripplebak-debian.XXXXXX)
	# shellcheck disable=SC2064
	trap "as_root rm -rf '$work'" EXIT
	# debootstrap is in sbin, which a user's PATH may lack.
	as_root env PATH="$PATH:/usr/sbin:/sbin" debootstrap --variant=minbase bookworm "$work/root" http://deb.debian.org/debian >"$CACHE/debootstrap.log" 2>&1 ||
		{ tail -20 "$CACHE/debootstrap.log" >&2; die "debootstrap failed"; }
	as_root rm -rf "$work"/root/var/cache/apt/archives/*.deb "$work"/root/var/lib/apt/lists/*
	as_root tar -C "$work/root" --numeric-owner -c . | docker import --change 'CMD ["bash"]' - "$STANDIN_DEBIAN" >&2
	as_root rm -rf "$work"
	trap - EXIT
}

# build NAME IMAGE [BASE]: builds images/NAME upon BASE, or the minimal Debian.
build() {
	local sources before
	local base=${3:-$STANDIN_DEBIAN}
	sources=$(digest "$images/$1")
	have_current "$2" "$sources" && return
	ensure_debian
	one_at_a_time "image-$1"
	have_current "$2" "$sources" && return
	say "building $2 (once)"
	mkdir -p "$CACHE"
	before=$(image_id "$2")
	# The host's network: a bridge without a working resolver is common.
	docker build --network host --build-arg "BASE=$base" --label "standin.sources=$sources" \
		-t "$2" "$images/$1" >"$CACHE/image-$1.log" 2>&1 ||
		{ tail -30 "$CACHE/image-$1.log" >&2; die "building $2 failed"; }
	drop_unnamed "$before" "$2"
}

case ${1-} in
debian)
	ensure_debian
	echo "$STANDIN_DEBIAN"
	;;
files)
	build files "$STANDIN_FILES"
	echo "$STANDIN_FILES"
	;;
postgres)
	if have "$OFFICIAL_POSTGRES"; then
		echo "$OFFICIAL_POSTGRES"
	# Whoever has built the stand-in once does not wait for a registry again.
	elif ! have "$STANDIN_POSTGRES" && timeout 15 docker manifest inspect "$OFFICIAL_POSTGRES" >/dev/null 2>&1 &&
		say "pulling $OFFICIAL_POSTGRES" && timeout 300 docker pull -q "$OFFICIAL_POSTGRES" >&2; then
		echo "$OFFICIAL_POSTGRES"
	else
		build postgres "$STANDIN_POSTGRES"
		echo "$STANDIN_POSTGRES"
	fi
	;;
mariadb)
	build mariadb "$STANDIN_MARIADB"
	echo "$STANDIN_MARIADB"
	;;
redis)
	build redis "$STANDIN_REDIS"
	echo "$STANDIN_REDIS"
	;;
etcd)
	build etcd "$STANDIN_ETCD"
	echo "$STANDIN_ETCD"
	;;
sqlite)
	build sqlite "$STANDIN_SQLITE"
	echo "$STANDIN_SQLITE"
	;;
slapd)
	build slapd "$STANDIN_SLAPD"
	echo "$STANDIN_SLAPD"
	;;
influxdb)
	build influxdb "$STANDIN_INFLUXDB"
	echo "$STANDIN_INFLUXDB"
	;;
postgis)
	build postgres "$STANDIN_POSTGRES"
	build postgis "$STANDIN_POSTGIS" "$STANDIN_POSTGRES"
	echo "$STANDIN_POSTGIS"
	;;
neo4j)
	build neo4j "$STANDIN_NEO4J"
	echo "$STANDIN_NEO4J"
	;;
*) die "which image? debian, files, postgres, mariadb, redis, etcd, sqlite, slapd, influxdb, postgis or neo4j" ;;
esac
