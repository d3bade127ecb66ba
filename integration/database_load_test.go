package integration

import (
	"strconv"
	"strings"
	"testing"
)

// bank is 10^6 accounts, and money that wanders among them for ever: each
// transfer is a transaction of its own.
const bank = `
CREATE TABLE accounts AS SELECT i AS id, 100::bigint AS balance FROM generate_series(1, 1000000) i;
ALTER TABLE accounts ADD PRIMARY KEY (id);
CREATE TABLE transfers(src int, dst int, amount bigint);
CREATE PROCEDURE transfer_for_ever() LANGUAGE plpgsql AS $$
DECLARE a int; b int; n int;
BEGIN
	LOOP
		a := 1 + floor(random() * 1000000); b := 1 + floor(random() * 1000000); n := 1 + floor(random() * 50);
		CONTINUE WHEN a = b;
		UPDATE accounts SET balance = balance + CASE id WHEN a THEN -n ELSE n END WHERE id IN (a, b);
		INSERT INTO transfers VALUES (a, b, n);
		COMMIT;
	END LOOP;
END $$;`

// balanced is 1000000|100000000|0 when no transfer is half there.
const balanced = `SELECT count(*), sum(balance), count(*) FILTER (WHERE balance <> 100 + COALESCE(moved, 0)) FROM accounts LEFT JOIN
	(SELECT id, sum(x) AS moved FROM (SELECT src AS id, -amount AS x FROM transfers UNION ALL SELECT dst, amount FROM transfers) m GROUP BY id) t USING (id)`

func (p *project) number(database, query string) int {
	p.t.Helper()
	n, err := strconv.Atoi(p.sql(database, query))
	if err != nil {
		p.t.Fatal(err)
	}
	return n
}

func TestDatabaseUnderWriteLoad(t *testing.T) {
	f := newDatabase(t)
	f.sql("postgres", "CREATE DATABASE bank")
	f.sql("bank", bank)
	writers := func() {
		for range 3 {
			must(t, "docker", "exec", "-d", f.containerID("db"), "psql", "-U", "postgres", "-d", "bank", "-c", "CALL transfer_for_ever()")
		}
		eventually(t, "money wanders", func() bool {
			return f.number("bank", "SELECT count(*) FROM (SELECT FROM transfers LIMIT 1000) t") == 1000
		})
	}
	writers()
	before := f.number("bank", "SELECT count(*) FROM transfers")
	report := f.backup()
	after := f.number("bank", "SELECT count(*) FROM transfers")
	if after-before < 100 {
		t.Fatalf("only %d transfers were made during the dump", after-before)
	}
	t.Logf("%d transfers during a backup of %s", after-before, seconds(report.Seconds))

	// The writers go on: the restore ends their sessions when it swaps.
	got := f.mustRestore("latest", "--database", "db/bank")
	f.want("bank", balanced, "1000000|100000000|0")
	if n := f.number("bank", "SELECT count(*) FROM transfers"); n < before || n > after {
		t.Errorf("%d transfers are restored, want %d to %d", n, before, after)
	}
	f.want("postgres", "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'CALL%'", "0")
	f.noLeftovers()
	f.assertCalm(allServices()...)
	for _, i := range got.Items {
		t.Logf("%s: %s", i.Key, seconds(i.Seconds))
	}
}

// TestDatabaseOfAnotherVersion: a dump of a newer server is refused before
// anything is touched. The server says that it is older than it is.
func TestDatabaseOfAnotherVersion(t *testing.T) {
	t.Parallel()
	f := newDatabase(t)
	f.sql("postgres", "CREATE TABLE t AS SELECT 1 AS x")
	f.backup()
	f.sql("postgres", "UPDATE t SET x = 2")
	f.shim("psql", `hit; set -o pipefail; /usr/bin/psql "$@" | perl -pe 's/\x00(15)(\d{4})\x00/\x{00}14$2\x{00}/'`)
	events := f.events()
	r := f.run("restore", "latest", "--yes")
	if !f.hit() || r.code != 1 || !strings.Contains(r.String(), "newer than the server") || !strings.Contains(r.String(), "PostgreSQL 15 or newer") {
		t.Errorf("want a refusal with exit code 1, got %s", r)
	}
	assertEvents(t, events())
	f.heal()
	f.want("postgres", "SELECT x FROM t", "2")
	if n := len(f.snapshots()); n != 1 {
		t.Errorf("%d snapshots, want 1: nothing was to be touched", n)
	}
	f.assertCalm(allServices()...)
}
