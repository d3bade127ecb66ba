#!/usr/bin/env bash
# ensure-packages.sh PACKAGE...: installs the Debian packages that are missing.
# Asks apt for nothing when all are there.
set -euo pipefail
# shellcheck source=env.sh
. "$(dirname "$0")/env.sh"

missing=()
for package in "$@"; do
	dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
done
[ ${#missing[@]} = 0 ] && exit 0

command -v apt-get >/dev/null || die "please install by hand (this machine has no apt-get): ${missing[*]}"
one_at_a_time packages
say "installing ${missing[*]}"
as_root apt-get update -qq >&2
as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends -o Dpkg::Use-Pty=0 "${missing[@]}" >&2
