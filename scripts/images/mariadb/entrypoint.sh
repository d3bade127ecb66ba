#!/usr/bin/env bash
# Starts MariaDB as the user mysql in the place of this shell, so that signals
# reach it. On the first start it makes the data directory and fills it,
# meanwhile reachable by the Unix socket only: whoever gets an answer by TCP
# knows that the server is ready.
set -euo pipefail

readonly data=/var/lib/mysql socket=/run/mysqld/mysqld.sock

# setting NAME: sets it from MARIADB_NAME or MYSQL_NAME, or from the file that
# one of these with _FILE names.
setting() {
	local prefix variable file
	for prefix in MARIADB MYSQL; do
		variable=${prefix}_$1 file=${prefix}_$1_FILE
		if [ -n "${!variable-}" ] && [ -n "${!file-}" ]; then
			echo "both $variable and $file are set: take one" >&2
			exit 1
		fi
		if [ -n "${!variable-}" ]; then
			printf -v "$1" %s "${!variable}"
			return
		elif [ -n "${!file-}" ]; then
			printf -v "$1" %s "$(<"${!file}")"
			return
		fi
	done
	printf -v "$1" %s ''
}

# quoted TEXT: an SQL string.
quoted() {
	local text=${1//\\/\\\\}
	printf "'%s'" "${text//\'/\'\'}"
}

named() { printf '`%s`' "${1//\`/\`\`}"; }

# Becomes the user mysql and starts over, with the directories it needs.
become_mysql() {
	mkdir -p "$data"
	# Only what has another owner, because a big data directory takes long.
	find "$data" /run/mysqld ! -user mysql -exec chown mysql: {} +
	exec setpriv --reuid=mysql --regid=mysql --init-groups -- "$0" "$@"
}

# As root, who has no password yet or the one that is to be.
run_sql() { MYSQL_PWD=$ROOT_PASSWORD mariadb --no-defaults --protocol=socket --socket="$socket" --user=root "$@"; }

make_root() {
	local password host
	password=$(quoted "$ROOT_PASSWORD") host=$(quoted "${MARIADB_ROOT_HOST:-${MYSQL_ROOT_HOST:-%}}")
	mariadb --no-defaults --protocol=socket --socket="$socket" --user=root <<-SQL
		DELETE FROM mysql.global_priv WHERE User NOT IN ('root', 'mariadb.sys', 'PUBLIC') OR User = 'root' AND Host <> 'localhost';
		FLUSH PRIVILEGES;
		ALTER USER 'root'@'localhost' IDENTIFIED BY $password;
		CREATE USER 'root'@$host IDENTIFIED BY $password;
		GRANT ALL ON *.* TO 'root'@$host WITH GRANT OPTION;
		DROP DATABASE IF EXISTS test;
	SQL
}

make_database() {
	[ -z "$DATABASE" ] || run_sql <<<"CREATE DATABASE IF NOT EXISTS $(named "$DATABASE");"
	[ -n "$USER" ] || return 0
	run_sql <<<"CREATE USER $(quoted "$USER")@'%' IDENTIFIED BY $(quoted "$PASSWORD");"
	[ -z "$DATABASE" ] || run_sql <<<"GRANT ALL ON $(named "${DATABASE//_/\\_}").* TO $(quoted "$USER")@'%';"
}

run_init_files() {
	local file
	for file in /docker-entrypoint-initdb.d/*; do
		case $file in
		*.sh) echo "running $file"; if [ -x "$file" ]; then "$file"; else source "$file"; fi ;;
		*.sql) echo "running $file"; run_sql ${DATABASE:+--database="$DATABASE"} <"$file" ;;
		*.sql.gz) echo "running $file"; gunzip -c "$file" | run_sql ${DATABASE:+--database="$DATABASE"} ;;
		*/\*) ;;
		*) echo "ignoring $file" ;;
		esac
	done
}

first_start() {
	local pid i
	setting ROOT_PASSWORD
	setting DATABASE
	setting USER
	setting PASSWORD
	if [ -z "$ROOT_PASSWORD" ] && [ -z "${MARIADB_ALLOW_EMPTY_ROOT_PASSWORD-}${MYSQL_ALLOW_EMPTY_PASSWORD-}" ]; then
		echo "the server is new and has no password: set MARIADB_ROOT_PASSWORD or MARIADB_ROOT_PASSWORD_FILE" >&2
		exit 1
	fi
	mariadb-install-db --datadir="$data" --skip-test-db --auth-root-authentication-method=normal --rpm >/dev/null
	# As the official image does it: with the options of the real server, but
	# without TCP.
	"$@" --skip-networking --socket="$socket" &
	pid=$!
	for ((i = 0; i < 300; i++)); do
		! mariadb-admin --no-defaults --protocol=socket --socket="$socket" --user=root ping >/dev/null 2>&1 || break
		kill -0 "$pid" || { echo "the temporary server did not start" >&2; exit 1; }
		sleep 0.1
	done
	make_root
	make_database
	run_init_files
	kill "$pid"
	wait "$pid"
	echo "MariaDB is set up and ready for its start"
}

[ "${1#-}" = "${1-}" ] || set -- mariadbd "$@"
if [ "${1-}" = mariadbd ] || [ "${1-}" = mysqld ]; then
	[ "$(id -u)" != 0 ] || become_mysql "$@"
	[ -d "$data/mysql" ] || first_start "$@"
fi
exec "$@"
