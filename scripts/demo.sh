#!/usr/bin/env bash
# demo.sh [down]: the main job on examples/shop, end to end: back up, destroy,
# restore, and compare rows and files byte for byte. Any difference fails it.
# Cleans up behind itself, unless KEEP=1; `demo.sh down` does so later.
set -euo pipefail
# shellcheck source=env.sh
. "$(dirname "$0")/env.sh"
# shellcheck source=fingerprint.sh
. "$ROOT/scripts/fingerprint.sh"

project=ripplebak-demo
work=$ROOT/.cache/demo
shop=$ROOT/examples/shop
backups=$work/backups
services=(db app)

compose() {
	COMPOSE_PROGRESS=${COMPOSE_PROGRESS-quiet} docker compose --env-file "$work/env" -p "$project" --project-directory "$shop" -f "$shop/compose.yaml" "$@"
}

# Runs a command of the sidecar, as a user would.
ripplebak() {
	echo "\$ docker compose run --rm backup $*"
	compose run --rm backup "$@" </dev/null
}

step() { printf '\n\033[1m%s\033[0m\n' "$*"; }

# timed NAME COMMAND...: runs it and keeps its seconds for the summary.
times=()
timed() {
	local name=$1 start=$EPOCHREALTIME
	shift
	"$@"
	times+=("$(awk -v a="$start" -v b="$EPOCHREALTIME" -v name="$name" 'BEGIN { printf "%-34s %6.2f s", name, b - a }')")
}

remove_everything() {
	[ -e "$work/env" ] || return 0
	compose --profile backup down --volumes --remove-orphans --timeout 20
	# The sidecar wrote as root.
	docker run --rm --network none -v "$work:/work" "$STANDIN_FILES" rm -rf /work/backups
	rm -rf "$work"
}

finish() {
	local status=$?
	trap - EXIT
	if [ "$status" != 0 ]; then
		step "The demo FAILED. The last lines of the containers:"
		compose logs --tail 10 db app 2>&1 || true
		compose logs --tail 40 backup 2>&1 || true
	fi
	if [ "${KEEP-}" = 1 ]; then
		step "Everything is left as it is. To look around:"
		echo "  cd $shop"
		echo "  docker compose --env-file $work/env -p $project run --rm backup snapshots"
		echo "and to remove it: make demo-down"
	elif ! remove_everything; then
		say "could not clean up: try make demo-down"
		[ "$status" != 0 ] || status=1
	fi
	exit "$status"
}

prepare() {
	"$ROOT/scripts/setup.sh"
	remove_everything
	mkdir -p "$backups"
	local postgres
	postgres=$("$ROOT/scripts/ensure-image.sh" postgres)
	(umask 077 && : >"$work/env")
	# A schedule that does not fire while we look.
	cat >>"$work/env" <<-END
		RIPPLEBAK_IMAGE=${RIPPLEBAK_IMAGE:-ripplebak:latest}
		RIPPLEBAK_PASSWORD=$(head -c 24 /dev/urandom | sha256sum | cut -c1-32)
		RIPPLEBAK_DIR=$backups
		RIPPLEBAK_SCHEDULE=0 0 1 1 *
		SHOP_DB_PASSWORD=$(head -c 24 /dev/urandom | sha256sum | cut -c1-32)
		POSTGRES_IMAGE=$postgres
		SHOP_IMAGE=$STANDIN_FILES
	END
}

psql_shop() { compose exec -T db psql -q -v ON_ERROR_STOP=1 -U shop -d shop "$@"; }

destroy() {
	psql_shop <<-'END'
		DROP TABLE order_lines CASCADE;
		UPDATE customers SET name = 'nobody', note = NULL WHERE id % 2 = 0;
		DELETE FROM orders WHERE id > 3000;
		CREATE TABLE intruder (i integer);
		ALTER DATABASE shop RESET default_statistics_target;
	END
	compose exec -T app sh -euc '
		cd /uploads
		rm -r invoices/2020-03 photos/front-page.jpg "photos/photo 7.jpg"
		echo scribble >"photos/photo 8.jpg"
		printf X | dd of=photos/catalogue.pdf bs=1 seek=4000000 conv=notrunc 2>/dev/null
		chmod 666 shared/.token
		chown 0:0 shared
		echo "not from here" >invoices/ransom-note.txt
	'
}

# The restore starts what it has stopped; here nothing is helped along.
services_run() {
	local service state
	for service in "${services[@]}"; do
		state=$(docker inspect -f '{{.State.Status}}' "$(compose ps -aq "$service")")
		[ "$state" = running ] || die "$service is $state after the restore"
	done
	# They run: this only waits for their health checks.
	compose up --no-recreate --detach --wait "${services[@]}"
}

# differences DIR: writes down how DIR differs from the state before; fails only
# when the two cannot be compared.
differences() {
	local status=0
	diff -r "$work/before" "$1" >"$work/differences" || status=$?
	[ "$status" -le 1 ]
}

compare() {
	differences "$work/after"
	if [ -s "$work/differences" ]; then
		head -40 "$work/differences"
		die "what came back differs from what was saved"
	fi
	echo "rows    $(grep -c . "$work/before/rows") tables, $(awk '{ n += $2 } END { print n }' "$work/before/rows") rows: identical"
	echo "schema  $(grep -c . "$work/before/schema.sql") lines of definitions, grants and settings: identical"
	echo "files   $(grep -c . "$work/before/files") files and folders, with content, mode, owner and time: identical"
	echo "        $(cat "$work/after/tar.sha256")  the volume as tar"
}

repository_size() {
	docker run --rm --network none -v "$backups:/backups:ro" "$STANDIN_FILES" du -sb /backups | cut -f1
}

main() {
	step "Setting up"
	prepare
	trap finish EXIT

	step "Starting the shop: PostgreSQL, and an app with files in a volume"
	timed "start of the shop" compose up --detach --wait "${services[@]}"
	compose --profile backup up --detach backup
	compose --profile backup ps --format 'table {{.Service}}\t{{.Image}}\t{{.Status}}'

	step "What would be saved, and how"
	ripplebak plan

	step "Backing up"
	fingerprint "$work/before"
	! grep -q gone "$work/before/rows" || die "the shop has not all of its tables"
	timed "first backup" ripplebak backup
	local first second
	first=$(repository_size)

	step "Backing up again: nothing has changed"
	timed "second backup" ripplebak backup
	second=$(repository_size)
	ripplebak snapshots

	step "Destroying: a table dropped, rows changed and deleted, files removed and changed"
	destroy
	fingerprint "$work/destroyed"
	differences "$work/destroyed"
	local destroyed
	destroyed=$(grep -c '^[<>]' "$work/differences") || die "the destruction destroyed nothing"
	echo "$destroyed lines of the comparison differ now"

	step "Restoring"
	timed "restore" ripplebak restore latest --yes
	services_run

	step "Comparing with what was there before"
	fingerprint "$work/after"
	compare

	step "Checking the repository"
	timed "check" ripplebak check

	step "Done"
	printf '%s\n' "${times[@]}"
	printf '%-34s %6d kB\n' "files in the volume" $(($(awk '{ print $1 }' "$work/before/tar.size") / 1000)) \
		"repository after the first backup" $((first / 1000)) \
		"what the second backup added" $(((second - first) / 1000))
}

case ${1-} in
'') main ;;
down) remove_everything ;;
*) die "usage: demo.sh [down]" ;;
esac
