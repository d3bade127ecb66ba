#!/usr/bin/env bash
# integration.sh [GO TEST FLAGS]: the tests against a real Engine, real
# databases and a real S3 server, e.g. `integration.sh -run TestRestore -v`.
# bin/ripplebak and ripplebak:latest must be built (`make image`).
#
# The tests learn from these variables what they may use. None of them begins
# with RIPPLEBAK_, because the program refuses such a variable that it does not
# know.
set -euo pipefail
# shellcheck source=env.sh
. "$(dirname "$0")/env.sh"
cd "$ROOT"

scripts/setup.sh

export INTEGRATION_BINARY=$ROOT/bin/ripplebak
export INTEGRATION_IMAGE=${RIPPLEBAK_IMAGE:-ripplebak:latest}
INTEGRATION_DEBIAN_IMAGE=$(scripts/ensure-image.sh debian)
INTEGRATION_FILES_IMAGE=$(scripts/ensure-image.sh files)
INTEGRATION_POSTGRES_IMAGE=$(scripts/ensure-image.sh postgres)
INTEGRATION_MARIADB_IMAGE=$(scripts/ensure-image.sh mariadb)
INTEGRATION_REDIS_IMAGE=$(scripts/ensure-image.sh redis)
INTEGRATION_ETCD_IMAGE=$(scripts/ensure-image.sh etcd)
INTEGRATION_SQLITE_IMAGE=$(scripts/ensure-image.sh sqlite)
INTEGRATION_SLAPD_IMAGE=$(scripts/ensure-image.sh slapd)
INTEGRATION_INFLUXDB_IMAGE=$(scripts/ensure-image.sh influxdb)
INTEGRATION_POSTGIS_IMAGE=$(scripts/ensure-image.sh postgis)
INTEGRATION_NEO4J_IMAGE=$(scripts/ensure-image.sh neo4j)
INTEGRATION_VERSITYGW=$(scripts/ensure-tool.sh versitygw)
export INTEGRATION_DEBIAN_IMAGE INTEGRATION_FILES_IMAGE INTEGRATION_POSTGRES_IMAGE INTEGRATION_MARIADB_IMAGE INTEGRATION_REDIS_IMAGE INTEGRATION_ETCD_IMAGE INTEGRATION_SQLITE_IMAGE INTEGRATION_SLAPD_IMAGE INTEGRATION_INFLUXDB_IMAGE INTEGRATION_NEO4J_IMAGE INTEGRATION_POSTGIS_IMAGE INTEGRATION_VERSITYGW

[ -x "$INTEGRATION_BINARY" ] || die "bin/ripplebak is missing: run make image"
[ -d integration ] || die "there are no integration tests"
# Most tests wait for containers most of the time: more of them run at once than
# there are processors. Those that measure time run before, one at a time.
exec go test -count=1 -parallel "${INTEGRATION_PARALLEL:-4}" -timeout 60m "$@" ./integration/...
