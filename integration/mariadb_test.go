package integration

import (
	"strings"
	"testing"
)

// TestMariaDBComesBackWithEverythingThatBelongsToIt: a round trip in place and
// onto an empty server, the dump made while money wanders among accounts.
func TestMariaDBComesBackWithEverythingThatBelongsToIt(t *testing.T) {
	f := newMaria(t)
	before := f.maria("shop", mariaBelongings)
	money := func() string { return f.maria("shop", "SELECT COUNT(*) FROM transfers") }
	for range 2 {
		must(t, "docker", "exec", "-d", "-e", "MYSQL_PWD="+mariaPassword, f.containerID("db"), "/usr/bin/mariadb", "--no-defaults", "-uroot", "shop", "-e", "CALL transfer_for_ever()")
	}
	eventually(t, "money wanders", func() bool { return len(money()) > 3 })
	first := money()
	if out := f.mustRun("plan"); !strings.Contains(out, "old_engine") {
		t.Errorf("the table that is not transactional is not named: %s", out)
	}
	f.backup()
	if last := money(); last == first {
		t.Fatalf("no transfer was made during the dump: %s", last)
	}

	t.Run("in_place", func(t *testing.T) {
		f := f.with(t)
		f.maria("shop", "DROP TRIGGER logs; DROP VIEW richest; DROP FUNCTION twice; DROP EVENT yearly; DELETE FROM blobs; CREATE TABLE extra (x INT); CREATE VIEW stray AS SELECT 1; ALTER DATABASE shop COLLATE utf8mb4_bin; SET PASSWORD FOR clerk@'%' = PASSWORD('new')")
		hash := f.maria("mysql", "SHOW CREATE USER clerk@'%'")
		f.mustRestore("latest") // the writers go on: the restore ends their sessions
		f.wantMaria("shop", mariaBalanced, "5000 500000 0")
		f.wantMaria("mysql", "SHOW CREATE USER clerk@'%'", hash)
		f.wantMaria("shop", "SHOW TABLES LIKE 'extra'; SHOW TABLES LIKE 'stray'", "")
		f.noMariaLeftovers()
		f.maria("mysql", "SET PASSWORD FOR clerk@'%' = PASSWORD('clerk-password')")
		assertBelongings(t, f.maria("shop", mariaBelongings), before)
		f.assertCalm("db", "app")
	})
	t.Run("onto_an_empty_server", func(t *testing.T) {
		f := f.with(t)
		f.mustCompose("down", "-t", "5")
		must(t, "docker", "volume", "rm", f.name+"_db")
		f.write("init/shop.sql", "SELECT 1;")
		f.up("db", "app")
		report := f.mustRestore("latest")
		// Its view names a database that came after it.
		if notes := notesOf(report, "dump db/naïve ☃"); !strings.Contains(notes, "restore the database again") || !strings.Contains(notes, "shop.accounts") {
			t.Errorf("the view that could not be made is not told: %q", notes)
		}
		f.mustRestore("latest", "--database", "db/naïve ☃", "--no-safety-snapshot")
		assertBelongings(t, f.maria("shop", mariaBelongings), before)
		f.wantMaria("shop", mariaBalanced, "5000 500000 0")
		f.wantMaria("shop", "INSERT INTO log (what) VALUES ('x'); SELECT MAX(at) >= 5000000 FROM log", "1")
		f.noMariaLeftovers()
		f.assertCalm("db", "app")
	})
}

// notesOf are the notes on an item of a restore.
func notesOf(r restored, key string) string {
	for _, i := range r.Items {
		if i.Key == key {
			return strings.Join(i.Notes, "\n")
		}
	}
	return ""
}

// assertBelongings compares two answers line by line. The richest account changes
// with the money.
func assertBelongings(t *testing.T, got, want string) {
	t.Helper()
	a, b := strings.Split(got, "\n"), strings.Split(want, "\n")
	if len(a) != len(b) {
		t.Fatalf("%d lines, want %d:\n%s\nwant\n%s", len(a), len(b), got, want)
	}
	for i := range a {
		if a[i] != b[i] && i < len(a)-3 {
			t.Errorf("line %d is %q, want %q", i, a[i], b[i])
		}
	}
}

// TestMariaDBFailures: what goes wrong is named, and leaves the old data.
func TestMariaDBFailures(t *testing.T) {
	t.Parallel()
	f := newMaria(t)
	f.good = f.backup().Snapshot
	f.maria("shop", "UPDATE accounts SET balance = 1 WHERE id = 1")
	const changed = "SELECT balance FROM accounts WHERE id = 1"
	t.Run("F12_wrong_password", func(t *testing.T) {
		f := f.with(t)
		f.maria("mysql", "SET PASSWORD FOR root@localhost = PASSWORD('another'); SET PASSWORD FOR root@'%' = PASSWORD('another')")
		r := f.run("backup", "--json")
		if r.code == 0 || !strings.Contains(r.String(), "MARIADB_ROOT_PASSWORD") || strings.Contains(r.String(), mariaPassword) {
			t.Errorf("want a failure that names the variable: %s", r)
		}
		must(t, "docker", "exec", "-e", "MYSQL_PWD=another", f.containerID("db"), "/usr/bin/mariadb", "--no-defaults", "-uroot", "-e",
			`SET PASSWORD FOR root@'%' = PASSWORD('it\'s "$HOME" \\ #x'); SET PASSWORD FOR root@localhost = PASSWORD('it\'s "$HOME" \\ #x')`)
	})
	t.Run("the_load_fails_half_way", func(t *testing.T) {
		f := f.with(t)
		f.shim("mariadb", `case "$*" in *--database=ripplebak_new_*) hit; head -c 20000 | /usr/bin/mariadb "$@"; cat >/dev/null; echo "ERROR 1114 (HY000): The table is full" >&2; exit 1;; esac; exec /usr/bin/mariadb "$@"`)
		report, r := f.restoreJSON("latest", "--database", "db/shop")
		done, text := report.item("dump db/shop")
		if !f.hit() || r.code != 1 || done || !strings.Contains(text, "no space is left") {
			t.Errorf("the restore was to fail: %s", r)
		}
		f.healMaria()
		f.wantMaria("shop", changed, "1")
		f.noMariaLeftovers()
		f.assertCalm("db", "app")
	})
	t.Run("F04_the_server_is_killed_in_the_dump", func(t *testing.T) {
		f := f.with(t)
		f.shim("mariadb-dump", `case "$*" in *shop) echo "-- MariaDB dump 10.19"; hit; sleep 60;; esac; exec /usr/bin/mariadb-dump "$@"`)
		wait := f.background(nil, "backup", "--json")
		eventually(t, "the dump is under way", f.hit)
		must(t, "docker", "kill", f.containerID("db"))
		if r := wait(); r.code == 0 || !strings.Contains(r.stdout, "137") {
			t.Errorf("want a failure with 137: %s", r)
		}
		f.healMaria()
		f.up("db", "app")
		f.wantMaria("shop", changed, "1")
		f.backup()
		f.assertCalm("db", "app")
	})
}

// TestF26_RestoreOfMariaDBIsKilled kills a restore where it hurts. The mark in
// the server decides: before it the old data stays, after it the new comes.
func TestF26_RestoreOfMariaDBIsKilled(t *testing.T) {
	t.Parallel()
	f := newMaria(t)
	f.good = f.backup().Snapshot
	const look = "SELECT balance FROM accounts WHERE id = 1; SELECT COUNT(*) FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = 'shop'; SELECT shop.twice(4); SELECT COUNT(*) FROM richest; SELECT COUNT(*) FROM information_schema.EVENTS"
	const old, fresh = "1\n2\n8\n1\n1", "100\n2\n8\n1\n1"
	for _, c := range []struct{ point, want string }{{"mid-restore", old}, {"before-rename", old}, {"mid-rename", fresh}} {
		t.Run(c.point, func(t *testing.T) {
			f := f.with(t)
			f.maria("shop", "UPDATE accounts SET balance = 1 WHERE id = 1")
			f.crashed(c.point, "restore", f.good, "--yes", "--database", "db/shop", "--no-safety-snapshot")
			if f.journals() == "" {
				t.Fatal("there is no journal of the restore")
			}
			f.backup()
			f.wantMaria("shop", look, c.want)
			f.noMariaLeftovers()
			f.assertCalm("db", "app")
		})
	}
	for _, c := range []struct{ name, script string }{
		{"the_script_dies_before_the_rename", `kill -9 $(cut -d" " -f4 /proc/$PPID/stat) $PPID; exit 1`},
		{"the_script_dies_after_the_rename", `/usr/bin/mariadb "$@"; kill -9 $(cut -d" " -f4 /proc/$PPID/stat) $PPID; exit 1`},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := f.with(t)
			f.maria("shop", "UPDATE accounts SET balance = 1 WHERE id = 1")
			f.shim("mariadb", `case "$*" in *"EXECUTE moves"*) if [ ! -e /usr/local/sbin/hits ]; then hit; `+c.script+`; fi;; esac; exec /usr/bin/mariadb "$@"`)
			report := f.mustRestore(f.good, "--database", "db/shop", "--no-safety-snapshot")
			if !f.hit() || !strings.Contains(notesOf(report, "dump db/shop"), "was interrupted and then finished") {
				t.Errorf("the interruption is not told: %+v", report)
			}
			f.healMaria()
			f.wantMaria("shop", look, fresh)
			f.noMariaLeftovers()
			f.assertCalm("db", "app")
		})
	}
}
