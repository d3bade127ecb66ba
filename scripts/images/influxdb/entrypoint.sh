#!/bin/bash
# Sets the server up on its first start, and starts it in the place of this
# shell, as its own user.
set -e
[ "$1" = influxd ] || exec "$@"
chown influxdb:influxdb /var/lib/influxdb
become=(setpriv --reuid=influxdb --regid=influxdb --clear-groups)
[ -d /var/lib/influxdb/meta ] || "${become[@]}" /init-influxdb.sh
exec "${become[@]}" "$@"
