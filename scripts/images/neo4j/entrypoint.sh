#!/bin/bash
# Writes the configuration that the environment asks for, gives the files to the
# server's user, and starts it in the place of this shell.
set -eu
[ "$1" = neo4j ] || exec "$@"
env | sed -n 's/^NEO4J_\(server_[a-z_]*\|dbms_[a-z_]*\)=/\1=/p' | while IFS='=' read -r key value; do
	echo "${key//_/.}=$value"
done >"$NEO4J_HOME/conf/neo4j.conf"
data=${NEO4J_server_directories_data:-${NEO4J_dbms_directories_data:-/data}}
mkdir -p "$data"
chown -R neo4j:neo4j "$data"
exec setpriv --reuid=neo4j --regid=neo4j --clear-groups neo4j console
