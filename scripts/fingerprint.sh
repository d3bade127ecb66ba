# Sourced by demo.sh: writes down everything about the shop's rows and files
# that a backup must bring back, so that diff can compare two states. Uses the
# demo's compose, psql_shop and $project.
# shellcheck shell=bash

# fingerprint DIR
fingerprint() {
	rm -rf "$1"
	mkdir -p "$1"
	fingerprint_rows >"$1/rows"
	fingerprint_schema >"$1/schema.sql"
	fingerprint_files "$1"
}

# A line per table: name, rows, MD5 of its rows in the order of their keys.
fingerprint_rows() {
	local table there rows digest
	for table in customers products orders order_lines; do
		there=$(psql_shop -Atc "SELECT to_regclass('$table') IS NOT NULL")
		if [ "$there" != t ]; then
			echo "$table 0 gone"
			continue
		fi
		rows=$(psql_shop -Atc "SELECT count(*) FROM $table")
		digest=$(psql_shop -c "COPY (SELECT * FROM $table ORDER BY 1, 2) TO STDOUT" | md5sum | cut -d' ' -f1)
		echo "$table $rows $digest"
	done
}

# Definitions, grants, comments, settings of the database, roles, sequences.
# Newer clients put a random token into each dump, against hostile servers.
fingerprint_schema() {
	{
		compose exec -T db pg_dump -U shop --schema-only --create shop
		compose exec -T db pg_dumpall -U shop --roles-only
		psql_shop -Atc "SELECT * FROM pg_sequences ORDER BY sequencename"
	} | sed -E '/^\\(un)?restrict /d'
}

# Every name with type, mode, owner, links, size, time to the nanosecond, link
# target and SHA-256; extended attributes; and the whole as one tar's digest.
# The size of a folder is its filesystem's own affair.
fingerprint_files() {
	docker run --rm --network none -v "${project}_uploads:/uploads:ro" -v "$1:/out" -w /uploads "$STANDIN_FILES" bash -euo pipefail -c '
		find . -mindepth 0 \( -type d -printf "%y %m %U:%G - %T@ %p\n" -o -printf "%y %m %U:%G %n:%s %T@ %p %l\n" \) | LC_ALL=C sort -k 6 >/out/files
		find . -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum >/out/sha256
		getfattr -Rdhm- . >/out/attributes
		tar --sort=name --format=posix --pax-option=exthdr.name=%d/%f,delete=atime,delete=ctime --numeric-owner --xattrs --acls -c . |
			tee >(wc -c >/out/tar.size) | sha256sum | cut -d" " -f1 >/out/tar.sha256
		chmod 644 /out/*
	'
}
