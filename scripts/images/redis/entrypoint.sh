#!/bin/sh
# Starts Redis as the user redis in the place of this shell, open to the
# network as the official image has it.
set -eu

if [ "${1#-}" != "$1" ] || [ "${1%.conf}" != "$1" ]; then
	set -- redis-server "$@"
fi
if [ "$1" = redis-server ] && [ "$(id -u)" = 0 ]; then
	find . ! -user redis -exec chown redis {} +
	exec setpriv --reuid=redis --regid=redis --init-groups -- "$0" "$@"
fi
umask 0077
[ "$1" != redis-server ] || set -- "$@" --protected-mode no
exec "$@"
