#!/usr/bin/env bash
# ensure-compose.sh: where Docker has no Compose v2 plugin, builds one and
# installs it for this user. An existing plugin is left alone.
set -euo pipefail
# shellcheck source=env.sh
. "$(dirname "$0")/env.sh"

docker compose version >/dev/null 2>&1 && exit 0

binary=$("$ROOT/scripts/ensure-tool.sh" compose)
plugin=${DOCKER_CONFIG:-$HOME/.docker}/cli-plugins/docker-compose
say "installing Docker Compose as $plugin"
mkdir -p "$(dirname "$plugin")"
# Copied and renamed, so that emptying the cache doesn't break the plugin and
# nobody meets half of it.
cp "$binary" "$plugin.$$"
chmod 755 "$plugin.$$"
mv "$plugin.$$" "$plugin"
docker compose version >&2
