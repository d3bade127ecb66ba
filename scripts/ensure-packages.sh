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
export DEBIAN_FRONTEND=noninteractive
as_root apt-get update -q >&2
as_root apt-get install -q -y --no-install-recommends "${missing[@]}" >&2
