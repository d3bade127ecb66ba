#!/usr/bin/env bash
# fuzz.sh TIME: runs each fuzz target for TIME (e.g. 10s). What it finds is
# left below the package's testdata, as a seed for its tests.
set -euo pipefail
# shellcheck source=env.sh
. "$(dirname "$0")/env.sh"
cd "$ROOT"

go list ./... | while read -r package; do
	go test -list '^Fuzz' "$package" | { grep '^Fuzz' || true; } | while read -r target; do
		say "$package $target"
		go test -run '^$' -fuzz "^$target\$" -fuzztime "$1" "$package" </dev/null
	done
done
