package integration

import (
	"strings"
	"testing"
)

// TestF26_RestoreOfADatabaseIsKilled kills a restore where it hurts, and lets
// the next command, or serve, bring the project in order.
func TestF26_RestoreOfADatabaseIsKilled(t *testing.T) {
	t.Parallel()
	f := newDatabase(t)
	shopOfOne(f)
	for _, c := range []struct{ point, want string }{
		{"after-stop", "2"}, {"mid-restore", "2"}, {"before-rename", "2"}, {"mid-rename", "1"},
	} {
		t.Run(c.point, func(t *testing.T) {
			f := f.with(t)
			f.sql("shop", "UPDATE t SET x = 2")
			f.crashed(c.point, "restore", f.good, "--yes", "--database", "db/shop")
			if f.journals() == "" || f.state("worker") == "running" {
				t.Fatalf("the restore was not killed where it should: worker is %q, journal %q", f.state("worker"), f.journals())
			}
			f.want("shop", "SELECT x FROM t", c.want)
			f.cleanRun()
			f.want("shop", "SELECT x FROM t", c.want)
			f.noLeftovers()
			f.assertCalm(allServices()...)
		})
	}
	t.Run("serve_recovers", func(t *testing.T) {
		f := f.with(t)
		f.sql("shop", "UPDATE t SET x = 2")
		f.crashed("before-rename", "restore", f.good, "--yes", "--database", "db/shop")
		f.mustCompose("--profile", "backup", "up", "-d", "backup")
		eventually(t, "serve has brought the services back", func() bool { return f.state("worker") == "running" && f.journals() == "" })
		f.noLeftovers()
		f.want("shop", "SELECT x FROM t", "2")
		f.mustCompose("--profile", "backup", "rm", "-sf", "backup")
		f.mustRestore(f.good, "--database", "db/shop")
		f.want("shop", "SELECT x FROM t", "1")
		f.assertCalm(allServices()...)
	})
}

// TestF33_DiskOfTheDatabaseIsFull lets the server run out of space in the
// middle of a load, log and all, which may end the server itself.
func TestF33_DiskOfTheDatabaseIsFull(t *testing.T) {
	t.Parallel()
	// The keeper has the volume in use, because a tmpfs is gone with its last
	// user.
	p := newProject(t, strings.Replace(databaseProject, "volumes:\n  db:\n", `  keeper:
    image: ${FILES_IMAGE}
    command: ["sleep", "infinity"]
    init: true
    volumes: ["db:/v:ro"]
volumes:
  db:
    driver_opts: {type: tmpfs, device: tmpfs, o: "size=450m"}
`, 1))
	p.write("shim/.keep", "")
	p.up("keeper", "db", "app")
	f := &dumpFault{project: p}
	shopOfOne(f)
	const fill = "/var/lib/postgresql/data/fill"
	t.Run("found_before_anything_is_touched", func(t *testing.T) {
		f := f.with(t)
		must(t, "docker", "exec", f.containerID("db"), "sh", "-c", "head -c 330M /dev/zero >"+fill)
		events := f.events()
		r := f.run("restore", "latest", "--yes")
		if r.code != 1 || !strings.Contains(r.String(), "bytes free") {
			t.Errorf("the lack of space is not found: %s", r)
		}
		assertEvents(t, events())
		must(t, "docker", "exec", f.containerID("db"), "rm", fill)
	})
	t.Run("in_the_middle_of_the_load", func(t *testing.T) {
		f := f.with(t)
		f.shim("pg_restore", `hit; cat /dev/zero >`+fill+` 2>/dev/null; exec /usr/lib/postgresql/15/bin/pg_restore "$@"`)
		report, r := f.restoreJSON("latest", "--database", "db/shop")
		done, text := report.item("dump db/shop")
		if !f.hit() || r.code != 1 || done {
			t.Fatalf("the restore was to fail: %s", r)
		}
		t.Log(text)
		f.heal()
		if strings.Contains(text, "cleared up by the next command") {
			// The server is down, and does not come up as long as the disk is
			// full. That must not be in the way of anything else.
			r := f.runEnv([]string{"RIPPLEBAK_READY_TIMEOUT=3s"}, "backup", "--json")
			if !strings.Contains(r.stderr, "it is tried again by the next command") || !strings.Contains(r.stdout, `"items"`) {
				t.Errorf("the database is in the way of the next command: %s", r)
			}
			if f.journals() == "" {
				t.Error("it is forgotten that the database has to be put right")
			}
		}
		must(t, "docker", "run", "--rm", "-v", f.name+"_db:/v", f.env["POSTGRES_IMAGE"], "rm", "/v/fill")
		f.up("db", "app")
		f.want("shop", "SELECT x FROM t", "2")
		f.cleanRun()
		f.noLeftovers()
		f.mustRestore(f.good, "--database", "db/shop")
		f.want("shop", "SELECT x FROM t", "1")
		f.assertCalm("db", "app")
	})
}
