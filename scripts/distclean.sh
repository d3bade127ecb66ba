#!/usr/bin/env bash
# distclean.sh: removes the cached tools and the images that stand in for
# others. The next `make test` makes them again.
set -euo pipefail
# shellcheck source=env.sh
. "$(dirname "$0")/env.sh"

# Those that tests build have repositories of their own: none that people use.
docker image ls --format '{{.Repository}}:{{.Tag}}' |
	{ grep -E '^ripplebak-(standin|test|it)/' || true; } |
	while read -r image; do
		docker image rm "$image" >/dev/null
		say "removed $image"
	done
rm -rf "$CACHE"
