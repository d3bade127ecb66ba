package integration

import (
	"strings"
	"testing"
)

// TestSQLiteRoundTrips copies databases under write load, and brings them back
// where they were changed, damaged, and lost with their volume.
func TestSQLiteRoundTrips(t *testing.T) {
	t.Parallel()
	s := newSQLite(t, "")
	s.load()
	before := map[string]int{}
	for _, f := range sqliteFiles {
		before[f] = s.moves(f)
	}
	report := s.backup()
	after := map[string]int{}
	for _, f := range sqliteFiles {
		if state, text := report.item("dump", "app", "data/"+f); state != "good" {
			t.Fatalf("%s: %s %s", f, state, text)
		}
		if after[f] = s.moves(f); after[f]-before[f] < 5 {
			t.Errorf("%s: only %d moves were made during the backup", f, after[f]-before[f])
		}
	}
	if state, text := report.item("volume", "", "data"); state != "good" {
		t.Fatalf("volume: %s %s", state, text)
	}
	out := s.mustRestic("ls", "latest")
	if strings.Contains(out, "volumes/data/wal.db") || !strings.Contains(out, "volumes/data/notes") || !strings.Contains(out, "wal.db.sqlite") {
		t.Errorf("the snapshot holds\n%s", out)
	}
	restored := func(t testing.TB, s *sqliteProjectOf) {
		t.Helper()
		for _, f := range sqliteFiles {
			if n := s.moves(f); n < before[f] || n > after[f] {
				t.Errorf("%s: %d moves, want %d to %d", f, n, before[f], after[f])
			}
		}
		s.assertCalm("app", "aside")
		if l := s.listing(); strings.Contains(l, ".ripplebak") {
			t.Errorf("the volume holds\n%s", l)
		}
	}
	want := "wal.db 1234:5678 644"

	t.Run("under writers", func(t *testing.T) {
		s := s.inTest(t)
		events := s.events()
		s.mustRestore("latest")
		assertEvents(t, events(), "stop app", "start app")
		restored(t, s)
		if l := s.listing(); !strings.Contains(l, want) {
			t.Errorf("the volume holds\n%s", l)
		}
	})
	t.Run("one of them damaged", func(t *testing.T) {
		s := s.inTest(t)
		s.inVolume("data", "head -c 50000 /dev/urandom >/v/wal.db; echo of another >/v/wal.db-wal; echo changed >/v/notes")
		got := s.mustRestore("latest", "--database", "app/data/wal.db")
		if got.Safety == "" {
			t.Error("there is no safety snapshot")
		}
		restored(t, s)
		if s.inVolume("data", "cat /v/notes") != "changed\n" {
			t.Error("the restore of a database touched another file")
		}
	})
	t.Run("with the volume", func(t *testing.T) {
		s := s.inTest(t)
		s.mustCompose("down", "-t", "2")
		must(t, "docker", "volume", "rm", s.name+"_data")
		s.mustCompose("up", "--no-start")
		s.mustRestore("latest", "--no-safety-snapshot")
		s.up("app", "aside")
		restored(t, s)
		l := s.listing()
		if !strings.Contains(l, want) || !strings.Contains(l, "notes 0:0 640") {
			t.Errorf("the volume holds\n%s", l)
		}
		if report := s.backup(); report.data() != 3 {
			t.Errorf("the items are %+v", report.Items)
		}
	})
}

// TestSQLiteLeavesNothingBehind: neither beside a database whose app is down,
// nor beside one that a crash has left with its log or its journal.
func TestSQLiteLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	s := newSQLite(t, "")
	s.mustCompose("stop", "-t", "1", "app")
	before := s.listing()
	s.backup()
	if after := s.listing(); after != before {
		t.Errorf("before\n%s\nafter\n%s", before, after)
	}
	s.up("app")
	s.load()
	s.mustCompose("kill", "app")
	s.backup()
	s.up("app")
	for _, f := range sqliteFiles {
		s.moves(f)
	}
	s.mustRestore("latest")
	for _, f := range sqliteFiles {
		if s.moves(f) == 0 {
			t.Errorf("%s: the moves before the crash are gone", f)
		}
	}
}

// TestSQLiteRefusesAndFails: what is no database fails alone, and is saved with
// its volume; paths outside of volumes are refused.
func TestSQLiteRefusesAndFails(t *testing.T) {
	t.Parallel()
	s := newSQLite(t, "")
	s.inVolume("data", "(printf 'SQLite format 3\\0'; head -c 8176 /dev/urandom) >/v/garbage.db; chown 1234:5678 /v/garbage.db")
	res := s.run("backup", "--json")
	if res.code != 3 {
		t.Fatalf("a damaged database: %s", res)
	}
	var report backupReport
	s.decode(res.stdout, &report)
	if state, text := report.item("dump", "app", "data/garbage.db"); state != "failed" || !strings.Contains(text, "garbage.db") {
		t.Errorf("garbage: %s %s", state, text)
	}
	for _, f := range sqliteFiles {
		if state, text := report.item("dump", "app", "data/"+f); state != "good" {
			t.Errorf("%s: %s %s", f, state, text)
		}
	}
	out := s.mustRestic("ls", "latest")
	if !strings.Contains(out, "volumes/data/garbage.db") || strings.Contains(out, "volumes/data/wal.db") {
		t.Errorf("the snapshot holds\n%s", out)
	}
	for path, want := range map[string]string{
		"/etc/app.db":                 "in the container itself",
		"/data/none.db":               "no SQLite database at /data/none.db",
		"/data/*.db, /tmp/{a\\,b}.db": "in the container itself",
	} {
		p := newProject(t, strings.Replace(sqliteProject, "%labels", "      ripplebak.dump.path: '"+path+"'\n", 1)).withRepository()
		p.up("app")
		if res := p.run("backup"); res.code == 0 || !strings.Contains(res.String(), want) {
			t.Errorf("%s: %s", path, res)
		}
	}
}

// TestF22_SQLiteRestoreIsOldOrNewWhole kills a restore at each point.
func TestF22_SQLiteRestoreIsOldOrNewWhole(t *testing.T) {
	s := newSQLite(t, "")
	snapshot := s.backup().Snapshot
	s.python(`import sqlite3
db = sqlite3.connect("/data/wal.db"); db.execute("INSERT INTO moves VALUES (77)"); db.commit()`)
	for _, point := range []string{"mid-restore", "after-place", "before-confirm"} {
		t.Run(point, func(t *testing.T) {
			s := s.inTest(t)
			s.crashed(point, "restore", snapshot, "--yes", "--no-safety-snapshot", "--database", "app/data/wal.db")
			eventually(t, "the next backup finds all as it was", func() bool { return s.run("backup").code == 0 })
			if n := s.moves("wal.db"); n != 1 {
				t.Errorf("%d moves, want the one made since", n)
			}
			s.assertCalm("app", "aside")
			if l := s.listing(); strings.Contains(l, ".ripplebak") {
				t.Errorf("the volume holds\n%s", l)
			}
		})
	}
	s.mustRestore(snapshot)
	if n := s.moves("wal.db"); n != 0 {
		t.Errorf("%d moves, want none", n)
	}
}
