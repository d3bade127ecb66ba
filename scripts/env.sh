# Sourced by the other scripts: where things are cached, which versions and
# image names they use, and how they speak. It changes nothing.
# shellcheck shell=bash

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# Outlives a checkout, so that a second clean checkout builds no tool again.
CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/ripplebak

# Images that stand in for ones that cannot be pulled everywhere. They exist
# on this machine only, and no name pretends to be an official image.
STANDIN_DEBIAN=ripplebak-standin/debian:bookworm
STANDIN_FILES=ripplebak-standin/files:bookworm
STANDIN_POSTGRES=ripplebak-standin/postgres:15
STANDIN_POSTGIS=ripplebak-standin/postgis:15-3
STANDIN_REDIS=ripplebak-standin/redis:7.0
STANDIN_SQLITE=ripplebak-standin/sqlite:3.40
OFFICIAL_POSTGRES=postgres:17
STANDIN_MARIADB=ripplebak-standin/mariadb:10.11
STANDIN_ETCD=ripplebak-standin/etcd:3.4
STANDIN_SLAPD=ripplebak-standin/slapd:2.5
STANDIN_INFLUXDB=ripplebak-standin/influxdb:1.6
STANDIN_NEO4J=ripplebak-standin/neo4j:none

# Everything that is said goes to stderr: stdout is for a script's answer.
say() { printf '%s\n' "$*" >&2; }
die() { say "$(basename "$0"): $*"; exit 1; }

as_root() {
	if [ "$(id -u)" = 0 ]; then
		"$@"
	elif command -v sudo >/dev/null; then
		sudo -- "$@"
	else
		die "needs root for: $*"
	fi
}

# one_at_a_time NAME: waits for another run of the same step and then holds
# its lock until this script ends.
one_at_a_time() {
	mkdir -p "$CACHE/locks"
	exec 9>"$CACHE/locks/$1"
	flock 9
}

# image_id NAME: prints the image's ID, or nothing where there is none.
image_id() { docker image inspect -f '{{.Id}}' "$1" 2>/dev/null || true; }

# drop_unnamed ID NAME: removes an image that NAME meant until now, so that
# repeated builds don't fill the disk. One that a container uses stays.
drop_unnamed() {
	if [ -n "$1" ] && [ "$1" != "$(image_id "$2")" ]; then
		docker image rm "$1" >/dev/null 2>&1 || true
	fi
}
