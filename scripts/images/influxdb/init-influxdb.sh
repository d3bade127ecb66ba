#!/bin/bash
# With a server that listens on 127.0.0.1 only, and lets everybody in: makes the
# administrator and the database that the environment names, and runs what is
# in /docker-entrypoint-initdb.d.
set -e
INFLUXDB_HTTP_BIND_ADDRESS=127.0.0.1:8086 INFLUXDB_HTTP_AUTH_ENABLED=false influxd &
pid=$!
for ((i = 0; i < 100; i++)); do
	! influx -execute 'SHOW DATABASES' >/dev/null 2>&1 || break
	sleep 0.1
done
if [ -n "${INFLUXDB_ADMIN_USER-}" ]; then
	influx -execute "CREATE USER \"$INFLUXDB_ADMIN_USER\" WITH PASSWORD '$INFLUXDB_ADMIN_PASSWORD' WITH ALL PRIVILEGES"
fi
[ -z "${INFLUXDB_DB-}" ] || influx -execute "CREATE DATABASE \"$INFLUXDB_DB\""
for f in /docker-entrypoint-initdb.d/*.sh; do
	[ ! -e "$f" ] || . "$f"
done
kill "$pid"
wait "$pid" || true
