package integration

import (
	"strings"
	"testing"
)

// strictProject is a database that asks everybody for the password, and is
// dumped by a role of few rights.
const strictProject = `
services:
  db:
    extends: {file: postgres.yaml, service: postgres}
    environment:
      POSTGRES_INITDB_ARGS: --auth=scram-sha-256
      PGPASSWORD: the-database-password
    labels:
      ripplebak.dump.user: saver
      ripplebak.dump.databases: shop,other
  app:
    image: ${FILES_IMAGE}
    command: ["sleep", "infinity"]
    init: true
    volumes:
      - data:/data
    labels:
      ripplebak.enable: "true"
volumes:
  db:
  data:
`

func TestF12_WrongPasswordOrMissingRights(t *testing.T) {
	t.Parallel()
	p := newProject(t, strictProject).withRepository()
	p.up("db", "app")
	p.inVolume("data", "echo hello > a")
	p.sql("postgres", "CREATE ROLE saver LOGIN PASSWORD 'the-database-password'; CREATE DATABASE shop; CREATE DATABASE other")
	p.sql("shop", "CREATE TABLE open(x int); GRANT SELECT ON open TO saver; CREATE TABLE closed(x int)")
	p.sql("other", "CREATE TABLE t(x int); INSERT INTO t VALUES (42); GRANT SELECT ON t TO saver")

	f := &dumpFault{project: p}
	noSecret := func(t *testing.T, r result) {
		t.Helper()
		for _, secret := range []string{"the-database-password", "another-secret"} {
			if strings.Contains(r.String(), secret) {
				t.Errorf("the value %q is in the output: %s", secret, r)
			}
		}
	}
	t.Run("F12_missing_rights", func(t *testing.T) {
		f := f.with(t)
		r := f.run("backup", "--json")
		if r.code != 3 {
			t.Fatalf("want exit code 3, got %s", r)
		}
		noSecret(t, r)
		var report backupReport
		f.decode(r.stdout, &report)
		state, text := report.item("dump", "db", "shop")
		if state != "failed" || !strings.Contains(text, `"db"`) || !strings.Contains(text, "closed") || !strings.Contains(text, "dump.user") {
			t.Errorf("shop is %q: %s", state, text)
		}
		if state, text := report.item("dump", "db", "other"); state != "good" {
			t.Errorf("other is %q: %s", state, text)
		}
		f.assertIncomplete(report.Snapshot)
		f.sql("shop", "GRANT SELECT ON closed TO saver")
		f.backup()
		f.assertCalm("db", "app")
	})
	t.Run("F12_wrong_password", func(t *testing.T) {
		f := f.with(t)
		f.good = f.backup().Snapshot
		f.sql("postgres", "ALTER ROLE saver PASSWORD 'another-secret'")
		r := f.run("backup", "--json")
		if r.code != 3 {
			t.Fatalf("want exit code 3, got %s", r)
		}
		noSecret(t, r)
		var report backupReport
		f.decode(r.stdout, &report)
		for _, i := range report.Items {
			switch {
			case i.Kind != "dump" && i.State != "good":
				t.Errorf("%s %s is %q: %s", i.Kind, i.Name, i.State, i.Error)
			case i.Kind == "dump" && (i.State != "failed" || !strings.Contains(i.Error, `"db"`) || !strings.Contains(i.Error, "POSTGRES_PASSWORD")):
				t.Errorf("dump %s is %q: %s", i.Name, i.State, i.Error)
			}
		}
		f.sql("postgres", "ALTER ROLE saver PASSWORD 'the-database-password'")
		var plan restorePlan
		f.decode(f.mustRun("restore", "latest", "--dry-run", "--json"), &plan)
		for key, want := range map[string]string{"dump db/shop": f.good, "dump db/other": f.good, "volume data": report.Snapshot} {
			if got := plan.snapshotOf(key); got != want {
				t.Errorf("%s would come from snapshot %.8s, want %.8s", key, got, want)
			}
		}
	})
}

// TestF12_ClientIsMissing: what the label asks for cannot be, which a plan
// says, and nothing is touched.
func TestF12_ClientIsMissing(t *testing.T) {
	t.Parallel()
	p := newProject(t, `
services:
  db:
    image: ${FILES_IMAGE}
    command: ["sleep", "infinity"]
    init: true
    volumes:
      - data:/data
    labels:
      ripplebak.dump: pg_dump
      ripplebak.during: stop
volumes:
  data:
`)
	p.up("db")
	started := must(t, "docker", "inspect", "-f", "{{.State.StartedAt}}", p.containerID("db"))
	for _, args := range [][]string{{"plan"}, {"backup"}} {
		r := p.run(args...)
		if r.code != 1 || !strings.Contains(r.String(), "db") || !strings.Contains(r.String(), "pg_dump") {
			t.Errorf("%s: %s", args[0], r)
		}
	}
	if now := must(t, "docker", "inspect", "-f", "{{.State.StartedAt}}", p.containerID("db")); now != started {
		t.Error("the service was stopped although the plan has problems")
	}
	if got := p.run("snapshots", "--json"); strings.Contains(got.stdout, `"id"`) {
		t.Errorf("a snapshot was made: %s", got)
	}
	if h := p.helpers(); len(h) != 0 {
		t.Errorf("helpers are left: %v", h)
	}
}
