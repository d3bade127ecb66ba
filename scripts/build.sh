#!/bin/sh
# build.sh OUTPUT: builds the static binary. VERSION names it; without one it
# is git's description of the checkout. Plain sh, and nothing but go is needed,
# because the image's builder runs it too.
set -eu
cd "$(dirname "$0")/.."
version=${VERSION:-$(git describe --tags --always --dirty 2>/dev/null || echo unknown)}
# Time zones come with the binary: the image has no other file.
CGO_ENABLED=0 exec go build -trimpath -buildvcs=false -tags timetzdata \
	-ldflags "-s -w -X main.version=$version" -o "$1" ./cmd/ripplebak
