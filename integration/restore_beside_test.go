package integration

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestDatabaseComesBackBesideTheOldOne: under a new name, as a file, and by what
// the recovery document says, while everything runs.
func TestDatabaseComesBackBesideTheOldOne(t *testing.T) {
	t.Parallel()
	f := newDatabase(t)
	dress(f)
	rows := f.sql("shop", content)
	f.backup()
	f.sql("shop", "DELETE FROM app.things WHERE id > 10")
	damaged := f.sql("shop", content)

	events := f.events()
	report := f.mustRestore("latest", "--database", "db/shop", "--to-database", `shop 'old'`)
	assertEvents(t, events())
	f.want(`shop 'old'`, content, rows)
	f.want("shop", content, damaged)
	f.want("postgres", `SELECT pg_get_userbyid(datdba), shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = 'shop ''old'''`, "boss|it's the shop")
	if report.Safety != "" {
		t.Error("a safety snapshot was made of what is not overwritten")
	}
	if _, r := f.restoreJSON("latest", "--database", "db/shop", "--to-database", `shop 'old'`); r.code == 0 || !strings.Contains(r.stderr, "exists") {
		t.Errorf("over a database that is there: %s", r)
	}
	f.noLeftovers()

	lost := f.run("restore", "--to-dir", "/tmp/back", "latest")
	if lost.code == 0 || !strings.Contains(lost.stderr, "inside this container") {
		t.Errorf("into the container itself: %s", lost)
	}
	f.mustRun("restore", "--to-dir", "/backups/back", "latest")
	if found, err := filepath.Glob(filepath.Join(f.dir, "backups", "back", "dumps", "db", "shop.dump")); err != nil || len(found) != 1 {
		t.Errorf("the dump is not there: %q, %v", found, err)
	}
	if book := f.mustRun("runbook"); !strings.Contains(book, "restore --database db/shop latest") || !strings.Contains(book, "`RIPPLEBAK_PASSWORD`") {
		t.Errorf("runbook:\n%s", book)
	}
	f.assertCalm(allServices()...)
}
