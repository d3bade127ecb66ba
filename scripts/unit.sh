#!/usr/bin/env bash
# unit.sh [GO TEST FLAGS]: the tests beside the code. With -short, those that
# need a Docker Engine are skipped.
set -euo pipefail
# shellcheck source=env.sh
. "$(dirname "$0")/env.sh"
cd "$ROOT"

packages=$(go list ./... | grep -v -e '/integration\(/\|$\)' -e '/bench\(/\|$\)')
# shellcheck disable=SC2086
exec go test -timeout 40m "$@" $packages
