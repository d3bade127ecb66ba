# make          the static binary, bin/ripplebak
# make demo     the main job, on a real Compose project (KEEP=1 leaves it running)
# make test     everything that is tested, Docker included
# make bench    measures us against restic and borg (BENCH_JSON=FILE)
#
# Targets install or build what they need. Tools stay in the user's cache
# folder, images in Docker.

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
FUZZTIME ?= 10s
RUN ?= .
export VERSION

# The targets share two processors, images and one Docker Engine.
.NOTPARALLEL:
.PHONY: build image setup lint check race integration test bench bench-limits demo demo-down fuzz clean distclean

build:
	scripts/build.sh bin/ripplebak

# ripplebak:latest, from bin/ripplebak: pulls nothing.
image: build
	scripts/image.sh

setup:
	scripts/setup.sh

lint:
	scripts/lint.sh

# Less than two minutes, and no Docker.
check: lint
	scripts/unit.sh -short

# The tests beside the code, also those that -short leaves out.
race: setup
	RIPPLEBAK_REQUIRE_DOCKER=1 scripts/unit.sh -race

# RUN=REGEXP takes some of the tests.
integration: image
	scripts/integration.sh -run '$(RUN)'

# In this order, so that what fails soon fails first. The quick tests of check
# are among those of race.
test: setup lint race integration

demo: image
	KEEP='$(KEEP)' scripts/demo.sh

demo-down:
	scripts/demo.sh down

# docs/performance.md says what is measured; bench/main.go has the variables.
bench: image
	scripts/bench.sh

# What the parts of a backup cost by themselves on this machine.
bench-limits:
	go run ./bench limits

fuzz:
	scripts/fuzz.sh $(FUZZTIME)

clean: demo-down
	rm -rf bin/ripplebak .cache

# Also what the user's cache folder and Docker hold for tests.
distclean: clean
	scripts/distclean.sh
