#!/usr/bin/env bash
# ensure-tool.sh compose|versitygw|staticcheck: builds the tool at the version
# that tools/go.mod pins, unless the cache holds it, and prints its path.
set -euo pipefail
# shellcheck source=env.sh
. "$(dirname "$0")/env.sh"

flags='-s -w'
case ${1-} in
compose) module=github.com/docker/compose/v2 main=$module/cmd ;;
versitygw) module=github.com/versity/versitygw main=$module/cmd/versitygw ;;
staticcheck) module=honnef.co/go/tools main=$module/cmd/staticcheck ;;
*) die "which tool? compose, versitygw or staticcheck" ;;
esac

# Without the go command's help, because that takes a second each time.
version=$(awk -v module="$module" '$1 == module { print $2 }' "$ROOT/tools/go.mod")
[ -n "$version" ] || die "tools/go.mod does not pin $module"
[ "$1" = compose ] && flags="$flags -X $module/internal.Version=$version"

# A staticcheck that an older Go built refuses newer code.
suffix=$version
[ "$1" = staticcheck ] && suffix=$version-$(go env GOVERSION)
binary=$CACHE/bin/$1-$suffix

if [ ! -x "$binary" ]; then
	one_at_a_time "tool-$1"
	if [ ! -x "$binary" ]; then
		say "building $1 $version (once; it stays in $CACHE/bin)"
		mkdir -p "$CACHE/bin"
		CGO_ENABLED=0 go -C "$ROOT/tools" build -trimpath -ldflags "$flags" -o "$binary.new" "$main" >&2
		mv "$binary.new" "$binary"
	fi
fi
printf '%s\n' "$binary"
