#!/usr/bin/env bash
# image.sh: packs bin/ripplebak as ripplebak:latest, which pulls nothing, and
# fails when the image is larger than we promise.
set -euo pipefail
# shellcheck source=env.sh
. "$(dirname "$0")/env.sh"

image=${RIPPLEBAK_IMAGE:-ripplebak:latest}
limit=$((25 * 1000 * 1000))

before=$(image_id "$image")
log=$(docker build -q --target prebuilt -t "$image" "$ROOT" 2>&1) || die "building $image failed: $log"
drop_unnamed "$before" "$image"
size=$(docker image inspect -f '{{.Size}}' "$image")
[ "$size" -lt "$limit" ] || die "$image has $size bytes; we promise less than $limit"
say "$image: $((size / 1000)) kB"
