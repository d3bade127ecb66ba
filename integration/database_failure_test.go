package integration

import (
	"slices"
	"strings"
	"testing"
)

// shopOfOne is a database shop with one row, dumped, and then changed to 2.
func shopOfOne(f *dumpFault) {
	f.t.Helper()
	f.sql("postgres", "CREATE DATABASE shop")
	f.sql("shop", "CREATE EXTENSION hstore; CREATE TABLE t AS SELECT 1 AS x; CREATE TABLE filler AS SELECT repeat(md5(i::text), 10) FROM generate_series(1, 20000) i")
	f.good = f.backup().Snapshot
	f.sql("shop", "UPDATE t SET x = 2")
}

// TestFailedRestoreLeavesTheOldDatabase lets the load fail in several ways.
func TestFailedRestoreLeavesTheOldDatabase(t *testing.T) {
	t.Parallel()
	f := newDatabase(t)
	shopOfOne(f)
	failed := func(t *testing.T, f *dumpFault, texts ...string) {
		t.Helper()
		report, r := f.restoreJSON("latest")
		done, text := report.item("dump db/shop")
		if r.code != 1 || done {
			t.Fatalf("the restore was to fail: %s", r)
		}
		for _, want := range texts {
			if !strings.Contains(text, want) {
				t.Errorf("the error does not say %q: %s", want, text)
			}
		}
		if ok, text := report.item("dump db/postgres"); !ok {
			t.Errorf("another database was not restored: %s", text)
		}
	}
	t.Run("an_extension_is_missing", func(t *testing.T) {
		f := f.with(t)
		const control = "/usr/share/postgresql/15/extension/hstore.control"
		must(t, "docker", "exec", f.containerID("db"), "mv", control, control+".away")
		events := f.events()
		failed(t, f, "hstore", "image")
		assertEvents(t, events(), "stop worker", "stop app", "start app", "start worker")
		must(t, "docker", "exec", f.containerID("db"), "mv", control+".away", control)
		f.want("shop", "SELECT x FROM t", "2")
		f.noLeftovers()
		f.assertCalm(allServices()...)
	})
	t.Run("the_server_is_killed", func(t *testing.T) {
		f := f.with(t)
		f.shim("pg_restore", `case "$*" in *) hit; head -c 100000 >/dev/null; sleep 300;; esac`)
		wait := f.background(nil, "restore", "latest", "--yes", "--json", "--database", "db/shop")
		f.awaitHit()
		must(t, "docker", "kill", f.containerID("db"))
		if r := wait(); r.code != 1 || !strings.Contains(r.stdout, "137") {
			t.Errorf("the restore was to fail with 137: %s", r)
		}
		f.heal()
		f.up("db", "app", "worker")
		f.want("shop", "SELECT x FROM t", "2")
		f.cleanRun()
		f.noLeftovers()
		f.assertCalm(allServices()...)
	})
	t.Run("the_clean_way", func(t *testing.T) {
		f := f.with(t)
		f.mustRestore(f.good)
		f.want("shop", "SELECT x FROM t", "1")
	})
}

// TestSafetyOfADatabaseThatCannotBeDumped: it is saved as its files, which can
// be restored.
func TestSafetyOfADatabaseThatCannotBeDumped(t *testing.T) {
	t.Parallel()
	f := newDatabase(t)
	shopOfOne(f)
	f.shimShop(`"$real" "$@" | head -c 5000; echo "invalid page in block 0 of relation t" >&2; exit 1`)
	report := f.mustRestore("latest", "--database", "db/shop")
	if !f.hit() {
		t.Fatal("the damage was not noticed")
	}
	f.heal()
	f.want("shop", "SELECT x FROM t", "1")
	all := f.snapshots()
	i := slices.IndexFunc(all, func(s snapshotInfo) bool { return s.ID == report.Safety })
	if i < 0 || !all[i].Safety || !all[i].Complete || !slices.ContainsFunc(all[i].Items, func(it struct {
		Key   string `json:"key"`
		State string `json:"state"`
	}) bool {
		return it.Key == "volume db" && it.State == "good"
	}) {
		t.Fatalf("the safety snapshot %q does not hold the database's files: %+v", report.Safety, all)
	}
	f.assertCalm(allServices()...)
	f.mustRestore(report.Safety, "--no-safety-snapshot", "--volume", "db")
	f.up("db")
	f.want("shop", "SELECT x FROM t", "2")
	f.assertCalm(allServices()...)
}

// TestDatabaseThatIsStopped: a run that cannot ask it fails its dumps, and a
// restore takes them from before; it starts the database and stops it again.
func TestDatabaseThatIsStopped(t *testing.T) {
	t.Parallel()
	f := newDatabase(t)
	shopOfOne(f)
	f.mustCompose("stop", "-t", "5", "worker", "app", "db")
	r := f.run("backup", "--json")
	if r.code == 0 {
		t.Fatalf("a backup without its database succeeded: %s", r)
	}
	events := f.events()
	report := f.mustRestore("latest")
	assertEvents(t, events(), "start db", "stop db")
	if done, text := report.item("dump db/shop"); !done {
		t.Errorf("shop was not restored: %s", text)
	}
	if got := f.state("db"); got != "exited" {
		t.Errorf("the database, which was stopped, is %q", got)
	}
	safety := f.snapshots()
	if s := safety[len(safety)-1]; !s.Safety || len(s.Items) != 1 || s.Items[0].Key != "volume db" {
		t.Errorf("the safety snapshot does not hold the stopped database's files: %+v", s)
	}
	f.up("db", "app", "worker")
	f.want("shop", "SELECT x FROM t", "1")
	f.cleanRun()
	f.assertCalm(allServices()...)
}
