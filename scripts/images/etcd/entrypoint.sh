#!/usr/bin/env bash
# Starts etcd in the place of this shell. On the first start it gives root the
# password of ETCD_ROOT_PASSWORD or its _FILE, meanwhile with a server that
# listens on 127.0.0.1 only.
set -euo pipefail

password=${ETCD_ROOT_PASSWORD-}
[ -n "$password" ] || [ -z "${ETCD_ROOT_PASSWORD_FILE-}" ] || password=$(<"$ETCD_ROOT_PASSWORD_FILE")
if [ "${1-}" = etcd ] && [ ! -d "$ETCD_DATA_DIR/member" ]; then
	if [ -z "$password" ] && [ "${ALLOW_NONE_AUTHENTICATION-}" != yes ]; then
		echo "the server is new and has no password: set ETCD_ROOT_PASSWORD, or ALLOW_NONE_AUTHENTICATION=yes" >&2
		exit 1
	fi
	mkdir -p -m 0700 "$ETCD_DATA_DIR"
	if [ -n "$password" ]; then
		ETCD_LISTEN_CLIENT_URLS=http://127.0.0.1:2379 "$@" &
		pid=$!
		export ETCDCTL_API=3
		for ((i = 0; i < 100; i++)); do
			! etcdctl endpoint health >/dev/null 2>&1 || break
			kill -0 "$pid" || { echo "the temporary server did not start" >&2; exit 1; }
			sleep 0.1
		done
		etcdctl user add root --interactive=false <<<"$password"
		etcdctl user grant-role root root
		etcdctl auth enable
		kill "$pid"
		wait "$pid" || true
		unset ETCDCTL_API
	fi
fi
unset ETCD_ROOT_PASSWORD ETCD_ROOT_PASSWORD_FILE
exec "$@"
