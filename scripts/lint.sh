#!/usr/bin/env bash
# lint.sh: what must hold before each commit and runs nothing: formatting, vet,
# staticcheck, and the scripts.
set -euo pipefail
# shellcheck source=env.sh
. "$(dirname "$0")/env.sh"
cd "$ROOT"

say "formatting"
unformatted=$(gofmt -l .)
[ -z "$unformatted" ] || die "run gofmt -w on: $unformatted"
cmp docker-compose.backup.yml examples/shop/docker-compose.backup.yml ||
	die "the shop's docker-compose.backup.yml must be a copy of the one at the top"
find scripts .ci examples -type f \( -name '*.sh' -o -path .ci/run \) -print0 | xargs -0 -n 1 bash -n

say "vet"
go vet ./...
say "staticcheck"
"$(scripts/ensure-tool.sh staticcheck)" ./...
