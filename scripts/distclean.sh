#!/usr/bin/env bash
# distclean.sh: removes the cached tools and the images that stand in for
# others. The next `make test` makes them again.
set -euo pipefail
# shellcheck source=env.sh
. "$(dirname "$0")/env.sh"

for image in "$STANDIN_POSTGRES" "$STANDIN_FILES" "$STANDIN_DEBIAN" ripplebak-test/busybox ripplebak-test/bare; do
	docker image inspect "$image" >/dev/null 2>&1 || continue
	docker image rm "$image" >/dev/null
	say "removed $image"
done
rm -rf "$CACHE"
