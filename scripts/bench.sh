#!/usr/bin/env bash
# bench.sh: measures ripplebak:latest against restic and borg, in one run on
# this machine. bench/main.go says what the variables BENCH_... mean.
# ripplebak:latest must be built (`make image`). It needs root, for it drops the
# page cache and reads Docker's volumes.
set -euo pipefail
# shellcheck source=env.sh
. "$(dirname "$0")/env.sh"
cd "$ROOT"

scripts/ensure-packages.sh restic borgbackup zstd
BENCH_POSTGRES_IMAGE=${BENCH_POSTGRES_IMAGE:-$(scripts/ensure-image.sh postgres)}
BENCH_IMAGE=${BENCH_IMAGE:-${RIPPLEBAK_IMAGE:-ripplebak:latest}}
# On a disk, like the volumes: /tmp may be memory.
BENCH_DIR=${BENCH_DIR:-/var/tmp}
BENCH_VERSITYGW=${BENCH_VERSITYGW:-$(scripts/ensure-tool.sh versitygw)}
export BENCH_VERSITYGW BENCH_POSTGRES_IMAGE BENCH_IMAGE BENCH_DIR

mkdir -p .cache
go build -o .cache/bench ./bench
# as_root may clear the environment: what the program reads is handed on.
mapfile -t settings < <(env | grep '^BENCH_')
as_root env "${settings[@]}" .cache/bench
