#!/usr/bin/env bash
# setup.sh: everything that tests and the demo need beyond Go, Docker and make.
# Minutes on a new machine, a second when all is there.
set -euo pipefail
# shellcheck source=env.sh
. "$(dirname "$0")/env.sh"
cd "$ROOT/scripts"

docker info >/dev/null 2>&1 || die "no answer from the Docker Engine: is it running, and may $(id -un) use it?"

# gcc is for the race detector; debootstrap and busybox make images.
./ensure-packages.sh acl age attr busybox-static debootstrap e2fsprogs gcc git libc6-dev libcap2-bin rclone restic rsync zstd

# A server on this machine, for the tests of package dump: only where the
# machine is there for tests.
[ "${CI:-}" != true ] || ./ensure-packages.sh postgresql postgresql-contrib

# Compiling takes the processor, images take the network.
(./ensure-image.sh postgres && ./ensure-image.sh files && ./ensure-image.sh redis && ./ensure-image.sh etcd) >/dev/null &
images=$!
trap 'kill "$images" 2>/dev/null || true' EXIT
./ensure-compose.sh
./ensure-tool.sh versitygw >/dev/null
./ensure-tool.sh staticcheck >/dev/null
wait "$images" || die "the images could not be made"
trap - EXIT
