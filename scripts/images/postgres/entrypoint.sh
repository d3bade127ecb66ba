#!/usr/bin/env bash
# Starts PostgreSQL as the user postgres in the place of this shell, so that
# signals reach it. On the first start it makes the cluster and fills it,
# meanwhile reachable by the Unix socket only: whoever gets an answer by TCP
# knows that the cluster is ready.
set -euo pipefail

# setting NAME DEFAULT: the variable, or the file that NAME_FILE names.
setting() {
	local file_variable=$1_FILE
	local value=${!1-} file=${!file_variable-}
	if [ -n "$value" ] && [ -n "$file" ]; then
		echo "both $1 and $file_variable are set: take one" >&2
		exit 1
	fi
	[ -z "$file" ] || value=$(<"$file")
	printf -v "$1" %s "${value:-$2}"
	unset "$file_variable"
}

# Becomes the user postgres and starts over, with the directories it needs.
become_postgres() {
	mkdir -p "$PGDATA"
	chmod 700 "$PGDATA"
	# Only what has another owner, because a big cluster takes long.
	find "$PGDATA" /var/run/postgresql ! -user postgres -exec chown postgres {} +
	exec setpriv --reuid=postgres --regid=postgres --init-groups -- env HOME=/var/lib/postgresql "$0" "$@"
}

run_sql() {
	psql -v ON_ERROR_STOP=1 --no-psqlrc --no-password --quiet --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" "$@"
}

make_cluster() {
	if [ -z "$POSTGRES_PASSWORD" ] && [ "$POSTGRES_HOST_AUTH_METHOD" != trust ]; then
		echo "the cluster is new and has no password: set POSTGRES_PASSWORD or POSTGRES_PASSWORD_FILE" >&2
		exit 1
	fi
	local arguments=(--username="$POSTGRES_USER")
	[ -z "${POSTGRES_INITDB_WALDIR-}" ] || arguments+=(--waldir "$POSTGRES_INITDB_WALDIR")
	# POSTGRES_INITDB_ARGS is a piece of a command line, quotes included.
	eval "arguments+=($POSTGRES_INITDB_ARGS)"
	if [ -n "$POSTGRES_PASSWORD" ]; then
		initdb "${arguments[@]}" --pwfile=<(printf '%s\n' "$POSTGRES_PASSWORD")
	else
		initdb "${arguments[@]}"
	fi
	printf '\nhost all all all %s\n' "$POSTGRES_HOST_AUTH_METHOD" >>"$PGDATA/pg_hba.conf"
}

make_database() {
	local found
	found=$(run_sql --dbname postgres --tuples-only --no-align -v name="$POSTGRES_DB" <<<"SELECT 1 FROM pg_database WHERE datname = :'name'")
	[ -n "$found" ] || run_sql --dbname postgres -v name="$POSTGRES_DB" <<<'CREATE DATABASE :"name"'
}

run_init_files() {
	local file
	for file in /docker-entrypoint-initdb.d/*; do
		case $file in
		*.sh) echo "running $file"; if [ -x "$file" ]; then "$file"; else source "$file"; fi ;;
		*.sql) echo "running $file"; run_sql -f "$file" ;;
		*.sql.gz) echo "running $file"; gunzip -c "$file" | run_sql ;;
		*/\*) ;;
		*) echo "ignoring $file" ;;
		esac
	done
}

first_start() {
	setting POSTGRES_PASSWORD ''
	setting POSTGRES_USER postgres
	setting POSTGRES_DB "$POSTGRES_USER"
	setting POSTGRES_INITDB_ARGS ''
	: "${POSTGRES_HOST_AUTH_METHOD:=scram-sha-256}"
	export POSTGRES_PASSWORD POSTGRES_USER POSTGRES_DB POSTGRES_INITDB_ARGS POSTGRES_HOST_AUTH_METHOD
	make_cluster
	# As the official image does it: with the options of the real server, but
	# without TCP.
	shift
	set -- "$@" -c listen_addresses='' -p "${PGPORT:-5432}"
	PGUSER=$POSTGRES_USER pg_ctl -D "$PGDATA" -w -o "$(printf '%q ' "$@")" start
	export PGPASSWORD=$POSTGRES_PASSWORD
	make_database
	run_init_files
	unset PGPASSWORD
	PGUSER=$POSTGRES_USER pg_ctl -D "$PGDATA" -m fast -w stop
	echo "PostgreSQL is set up and ready for its start"
}

[ "${1#-}" = "${1-}" ] || set -- postgres "$@"
if [ "${1-}" = postgres ]; then
	[ "$(id -u)" != 0 ] || become_postgres "$@"
	[ -s "$PGDATA/PG_VERSION" ] || first_start "$@"
fi
exec "$@"
