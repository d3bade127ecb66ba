package integration

import (
	"slices"
	"strings"
	"testing"
)

// Rows that a label leaves out are neither saved nor missed, and a restore says
// which tables come back empty.
func TestTablesWithoutTheirRowsComeBackEmpty(t *testing.T) {
	t.Parallel()
	p := newProject(t, `
services:
  db:
    extends: {file: postgres.yaml, service: postgres}
    labels:
      ripplebak.dump.exclude-table-data: log.*,sessions
volumes:
  db:
`).withRepository()
	p.up("db")
	p.sql("postgres", "CREATE DATABASE shop")
	p.sql("shop", `CREATE SCHEMA log; CREATE TABLE log.visits (secret text); INSERT INTO log.visits VALUES ('planted-in-a-log');
		CREATE TABLE sessions (x text); INSERT INTO sessions VALUES ('planted-in-a-session'); CREATE TABLE orders (x int); INSERT INTO orders VALUES (1), (2)`)
	if out := p.mustRun("plan"); !strings.Contains(out, "--exclude-table-data='log.*' --exclude-table-data='*.sessions'") {
		t.Errorf("the plan does not show the patterns:\n%s", out)
	}
	id := p.backup().Snapshot
	if dump := p.mustRestic("dump", id, "/"+p.name+"/dumps/db/shop.dump"); strings.Contains(dump, "planted-in") || !strings.Contains(dump, "sessions") {
		t.Error("the rows are in the dump, or the table is not")
	}
	p.sql("shop", "DELETE FROM orders; DROP SCHEMA log CASCADE")
	var plan restorePlan
	p.decode(p.mustRun("restore", "latest", "--dry-run", "--json"), &plan)
	if !slices.ContainsFunc(plan.Plan.Warnings, func(w string) bool {
		return strings.Contains(w, "dump db/shop: tables that fit log.*, sessions come back without rows")
	}) {
		t.Errorf("the plan of the restore does not say what comes back empty: %q", plan.Plan.Warnings)
	}
	safety := p.mustRestore("latest").Safety
	p.want("shop", "SELECT (SELECT count(*) FROM orders), (SELECT count(*) FROM sessions), (SELECT count(*) FROM log.visits)", "2|0|0")
	// What is saved before a restore is all that is overwritten.
	p.mustRestore(safety)
	p.want("shop", "SELECT (SELECT count(*) FROM orders), (SELECT count(*) FROM sessions)", "0|1")

	p.sql("shop", "ALTER TABLE sessions ADD PRIMARY KEY (x); CREATE TABLE carts (s text REFERENCES sessions); INSERT INTO carts VALUES ('planted-in-a-session')")
	var report backupReport
	r := p.run("backup", "--json")
	p.decode(r.stdout, &report)
	if state, text := report.item("dump", "db", "shop"); r.code != 3 || state != "failed" || !strings.Contains(text, "table public.carts has a foreign key into sessions, whose rows are left out") {
		t.Errorf("a dump that could not be restored is %q: %s: %s", state, text, r)
	}
}
