#!/usr/bin/env bash
# test.sh: the tests beside the code and the integration tests, both at once.
# The integration tests wait for containers most of the time; the others do not,
# and give way to them. The image must be built (`make image`).
set -euo pipefail
# shellcheck source=env.sh
. "$(dirname "$0")/env.sh"
cd "$ROOT"

log=$(mktemp)
RIPPLEBAK_REQUIRE_DOCKER=1 nice -n 10 scripts/unit.sh -race >"$log" 2>&1 &
beside=$!
trap 'kill "$beside" 2>/dev/null; rm -f "$log"' EXIT

status=0
scripts/integration.sh || status=$?
say "the tests beside the code:"
wait "$beside" || status=$?
cat "$log"
exit "$status"
