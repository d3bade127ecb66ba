package integration

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// influxProject is an InfluxDB that asks for passwords, and an app that depends
// on it. What differs between tests is the service's own.
const influxProject = `
services:
  metrics:
    image: ${INFLUXDB_IMAGE}
    environment:
      INFLUXDB_HTTP_AUTH_ENABLED: "true"
      INFLUXDB_ADMIN_USER: admin
      INFLUXDB_ADMIN_PASSWORD: planted-secret
      INFLUXDB_DB: shop
      PATH: /shim:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
%environment
    labels:
      ripplebak.dump: influxdb
    volumes:
      - metrics:/var/lib/influxdb
      - ./shim:/shim
      - ./init:/docker-entrypoint-initdb.d
  app:
    image: ${FILES_IMAGE}
    command: ["sleep", "infinity"]
    init: true
    depends_on: [metrics]
volumes:
  metrics:
`

type influxProjectOf struct{ *project }

func newInflux(t testing.TB, environment string) *influxProjectOf {
	t.Helper()
	image, err := crashImage()
	if err != nil {
		t.Fatal(err)
	}
	p := newProject(t, strings.Replace(influxProject, "%environment", environment, 1)).withRepository()
	p.env["RIPPLEBAK_IMAGE"] = image
	p.write("shim/.keep", "")
	// As long as this runs, the temporary server answers, and nobody is ready.
	p.write("init/slow.sh", "sleep 2\n")
	if err := os.Chmod(filepath.Join(p.dir, "shim"), 0o777); err != nil {
		t.Fatal(err)
	}
	i := &influxProjectOf{p}
	i.up("metrics", "app")
	i.ready()
	return i
}

func (i *influxProjectOf) inTest(t testing.TB) *influxProjectOf {
	return &influxProjectOf{i.project.inTest(t)}
}

func (i *influxProjectOf) try(script string) result {
	return command(i.t, "", nil, "", "docker", "exec", "-e", "INFLUX_USERNAME=admin", "-e", "INFLUX_PASSWORD=planted-secret", i.containerID("metrics"), "bash", "-c",
		`q() { /usr/bin/influx -execute "$1" -format csv; }; `+script)
}

func (i *influxProjectOf) sh(script string) string {
	i.t.Helper()
	out := i.try(script)
	if out.code != 0 {
		i.t.Fatalf("%s", out)
	}
	return strings.TrimSpace(out.stdout)
}

func (i *influxProjectOf) query(q string) string {
	i.t.Helper()
	return i.sh("q '" + strings.ReplaceAll(q, "'", `'\''`) + "'")
}

func (i *influxProjectOf) ready() {
	i.t.Helper()
	eventually(i.t, "InfluxDB answers", func() bool {
		return i.try(`[ "$(cat /proc/1/comm)" = influxd ] && q 'SHOW DATABASES'`).code == 0
	})
}

// fill makes points in several shards, policies, users, rights and a query.
func (i *influxProjectOf) fill() {
	i.t.Helper()
	i.query(`CREATE RETENTION POLICY "two weeks" ON shop DURATION 104w REPLICATION 1`)
	i.query(`CREATE DATABASE "Ünïcode db"`)
	i.query(`CREATE USER reader WITH PASSWORD 'its-password'`)
	i.query(`GRANT READ ON shop TO reader`)
	i.query(`CREATE CONTINUOUS QUERY means ON shop BEGIN SELECT mean(v) AS "a b" INTO shop.autogen.means FROM shop.autogen.old GROUP BY time(5m) END`)
	// Points of a year, one a day, so in more than fifty shards.
	i.sh(`{ printf '# DML\n# CONTEXT-DATABASE: shop\n# CONTEXT-RETENTION-POLICY: autogen\n'
		for d in $(seq 365); do printf 'old,host=h%d v=%d,text="some text" %d\n' $((d % 7)) $d $((1600000000 + d * 86400)); done; } >/tmp/points
		for h in a b; do echo "gone,host=$h v=1 1600000000"; done >>/tmp/points
		/usr/bin/influx -import -path=/tmp/points -precision=s >/tmp/said 2>&1 || { cat /tmp/said >&2; exit 1; }; rm /tmp/points /tmp/said`)
	i.sh(`/usr/bin/influx -database shop -execute 'INSERT INTO "two weeks" kept v=7'; /usr/bin/influx -database 'Ünïcode db' -execute 'INSERT other v=8'`)
}

// load writes two values of a point together, for as long as the server can be
// reached.
func (i *influxProjectOf) load() {
	i.t.Helper()
	must(i.t, "docker", "exec", "-d", "-e", "INFLUX_USERNAME=admin", "-e", "INFLUX_PASSWORD=planted-secret", i.containerID("metrics"), "bash", "-c",
		`n=0; while :; do n=$((n+1)); /usr/bin/influx -database shop -execute "INSERT load left=$n,right=$n" || exit; done`)
	eventually(i.t, "points are written", func() bool { n, _ := i.loaded(); return n > 10 })
}

// loaded is the last point that was written by load, and how many there are.
func (i *influxProjectOf) loaded() (last, count int) {
	i.t.Helper()
	number := func(q string) int {
		lines := strings.Split(i.query(q), "\n")
		fields := strings.Split(strings.TrimSpace(lines[len(lines)-1]), ",")
		n, _ := strconv.Atoi(fields[len(fields)-1]) // 0 where there is none
		return n
	}
	return number(`SELECT max("left") FROM shop.autogen.load`), number(`SELECT count("right") FROM shop.autogen.load`)
}

// wantFilled asserts that what fill and load have made is there, at one point
// in time between two of load.
func (i *influxProjectOf) wantFilled(from, to int) {
	i.t.Helper()
	last, count := i.loaded()
	if last != count || last < from || last > to {
		i.t.Errorf("the last point is %d of %d, want %d to %d and no hole", last, count, from, to)
	}
	for q, want := range map[string]string{
		`SELECT count(v), sum(v) FROM shop.autogen.old`:              "old,0,365,66795",
		`SELECT sum(v) FROM shop.autogen.old WHERE host = 'h3'`:      "old,0,9438",
		`SELECT host, v FROM shop.autogen.gone`:                      ",b,1",
		`SELECT v FROM shop."two weeks".kept`:                        ",7",
		`SELECT v FROM "Ünïcode db".autogen.other`:                   ",8",
		`SHOW RETENTION POLICIES ON shop`:                            "two weeks,17472h0m0s,168h0m0s,1,false",
		`SHOW USERS`:                                                 "reader,false",
		`SHOW GRANTS FOR reader`:                                     "shop,READ",
		`SHOW CONTINUOUS QUERIES`:                                    `CREATE CONTINUOUS QUERY means ON shop BEGIN SELECT mean(v) AS`,
		`SHOW TAG VALUES ON shop FROM old WITH KEY = host LIMIT 100`: "old,host,h6",
	} {
		if got := i.query(q); !strings.Contains(got, want) {
			i.t.Errorf("%s: want %q\n%s", q, want, got)
		}
	}
	if out := i.try(`INFLUX_USERNAME=reader INFLUX_PASSWORD=its-password q 'SELECT count(v) FROM shop.autogen.old'`); out.code != 0 {
		i.t.Errorf("a user is not let in with the password of then: %s", out)
	}
}

// wantCalm asserts that nothing is left, and everything is the server's own.
func (i *influxProjectOf) wantCalm() {
	i.t.Helper()
	i.assertCalm("metrics", "app")
	if odd := i.sh(`find /var/lib/influxdb /tmp /var/tmp -name '.ripplebak*'; find /var/lib/influxdb ! -user influxdb`); odd != "" {
		i.t.Errorf("left behind, or not the server's: %s", odd)
	}
}

// shim replaces a program in the server's container.
func (i *influxProjectOf) shim(name, script string) {
	i.t.Helper()
	i.write("shim/"+name, "#!/bin/bash\nhit() { echo hit >>/shim/hits; chmod 666 /shim/hits; }\n"+script+"\n")
	if err := os.Chmod(filepath.Join(i.dir, "shim", name), 0o755); err != nil {
		i.t.Fatal(err)
	}
}

func (i *influxProjectOf) unshim(name string) (hit bool) {
	i.t.Helper()
	_, err := os.Stat(filepath.Join(i.dir, "shim", "hits"))
	for _, n := range []string{name, "hits"} {
		if err := os.RemoveAll(filepath.Join(i.dir, "shim", n)); err != nil {
			i.t.Fatal(err)
		}
	}
	return err == nil
}

// TestInfluxRoundTrips dumps under write load, and restores onto data that was
// changed, and lost with its volume.
func TestInfluxRoundTrips(t *testing.T) {
	for name, environment := range map[string]string{"inmem": "", "tsi1": "      INFLUXDB_DATA_INDEX_VERSION: tsi1"} {
		t.Run(name, func(t *testing.T) {
			i := newInflux(t, environment)
			i.fill()
			i.backup() // so that the points are in files, and what is deleted is noted beside
			i.sh(`/usr/bin/influx -database shop -execute "DELETE FROM gone WHERE host = 'a'"`)
			i.load()
			before, _ := i.loaded()
			events := i.events()
			report := i.backup()
			assertEvents(t, events())
			after, _ := i.loaded()
			if state, text := report.item("dump", "metrics", "all"); state != "good" || report.data() != 1 {
				t.Fatalf("%s %s: %+v", state, text, report.Items)
			}
			if after == before {
				t.Fatal("nothing was written during the dump")
			}
			i.wantCalm()

			// Changed; the writer goes on until the server is stopped.
			i.query(`DROP DATABASE "Ünïcode db"`)
			i.query(`DROP USER reader`)
			i.query(`DROP CONTINUOUS QUERY means ON shop`)
			i.query(`CREATE DATABASE later`)
			i.sh(`/usr/bin/influx -database shop -execute 'DELETE FROM old'`)
			events = i.events()
			i.mustRestore(report.Snapshot)
			assertEvents(t, events(), "stop app", "stop metrics", "start metrics", "start app")
			i.ready()
			i.wantFilled(before, after)
			if got := i.query(`SHOW DATABASES`); strings.Contains(got, "later") {
				t.Errorf("a database that is not in the dump is there: %s", got)
			}
			if got := i.query(`SELECT host, v FROM shop.autogen.gone`); strings.Contains(got, ",a,1") {
				t.Errorf("what was deleted before the dump is there: %s", got)
			}
			i.wantCalm()
			i.mustCompose("restart", "-t", "10", "metrics")
			i.ready()
			i.wantFilled(before, after)
			i.sh(`/usr/bin/influx -database shop -execute 'INSERT afterwards v=1'`)

			i.mustCompose("down", "-t", "5")
			must(t, "docker", "volume", "rm", i.name+"_metrics")
			i.up("metrics", "app") // its init script is still at it
			i.mustRestore(report.Snapshot, "--no-safety-snapshot")
			i.ready()
			i.wantFilled(before, after)
			i.wantCalm()
		})
	}
}

// TestInfluxFails: what cannot be proven is not stored, nothing is left in the
// container, no password is printed, and a restore that fails leaves the old.
func TestInfluxFails(t *testing.T) {
	i := newInflux(t, "")
	i.fill()
	i.load()
	i.mustCompose("restart", "-t", "10", "metrics") // which ends the load
	i.ready()
	last, _ := i.loaded()
	good := i.backup().Snapshot
	i.query(`CREATE DATABASE later`)
	failed := func(t *testing.T, i *influxProjectOf, program, want string, args ...string) {
		t.Helper()
		out := i.run(args...)
		if !i.unshim(program) || out.code == 0 || !strings.Contains(out.String(), want) {
			t.Errorf("want %q: %s", want, out)
		}
		if strings.Contains(out.String(), "planted-secret") {
			t.Errorf("a password is printed: %s", out)
		}
		for _, s := range i.snapshots() {
			for _, it := range s.Items {
				if s.ID != good && it.Key == "dump metrics/all" && it.State == "good" {
					t.Errorf("snapshot %.8s counts it as good", s.ID)
				}
			}
		}
		i.ready()
		i.wantFilled(last, last)
		if !strings.Contains(i.query(`SHOW DATABASES`), "later") {
			t.Error("it is not the old data")
		}
		i.wantCalm()
	}
	restore := []string{"restore", good, "--yes", "--no-safety-snapshot"}
	backup := `case $1 in backup) hit; %s ;; *) exec /usr/bin/influxd "$@" ;; esac`
	t.Run("a backup that fails half-way", func(t *testing.T) {
		i := i.inTest(t)
		i.shim("influxd", strings.Replace(backup, "%s", `/usr/bin/influxd "$@"; echo "write: no space left on device" >&2; exit 1`, 1))
		failed(t, i, "influxd", "no space is left in /tmp", "backup")
	})
	t.Run("a backup that lacks a shard", func(t *testing.T) {
		i := i.inTest(t)
		i.shim("influxd", strings.Replace(backup, "%s", `/usr/bin/influxd "$@"; for d; do :; done; set -- "$d"/*.s*.gz; rm "$1"`, 1))
		failed(t, i, "influxd", "is missing", "backup")
	})
	t.Run("a shard that is damaged", func(t *testing.T) {
		i := i.inTest(t)
		i.shim("influxd", strings.Replace(backup, "%s", `/usr/bin/influxd "$@"; for d; do :; done; set -- "$d"/*.s*.gz; printf xx | dd of="$1" bs=1 seek=80 conv=notrunc 2>/dev/null`, 1))
		failed(t, i, "influxd", "gzip", "backup")
	})
	t.Run("a backup that is cut without an error", func(t *testing.T) {
		i := i.inTest(t)
		i.shim("tar", `hit; /usr/bin/tar "$@" | head -c 30000`)
		failed(t, i, "tar", "cut short", "backup")
	})
	t.Run("a server that does not listen for backups", func(t *testing.T) {
		i := i.inTest(t)
		i.shim("influxd", `case $1 in config) hit; /usr/bin/influxd "$@" | sed 's/:8088/:8099/' ;; *) exec /usr/bin/influxd "$@" ;; esac`)
		failed(t, i, "influxd", "influxd does not listen on 127.0.0.1:8099", "backup")
	})
	t.Run("another InfluxDB", func(t *testing.T) {
		i := i.inTest(t)
		i.shim("influxd", `case $1 in version) hit; echo "InfluxDB v2.7.1 (git: 407fa622e9) build_date: 2023-04-28" ;; *) exec /usr/bin/influxd "$@" ;; esac`)
		failed(t, i, "influxd", "for InfluxDB 1", "backup")
	})
	t.Run("a restore whose disk is full", func(t *testing.T) {
		i := i.inTest(t)
		i.shim("tar", `case $1 in -x*) hit; head -c 40000 | /usr/bin/tar "$@"; echo "No space left on device" >&2; exit 2 ;; *) exec /usr/bin/tar "$@" ;; esac`)
		failed(t, i, "tar", "no space is left", restore...)
	})
	t.Run("a server that does not open the data", func(t *testing.T) {
		i := i.inTest(t)
		i.shim("tar", `case $1 in -x*) hit; /usr/bin/tar "$@"; cd "$4" && rm -rf shop && echo "no database" >.ripplebak-meta.db ;; *) exec /usr/bin/tar "$@" ;; esac`)
		failed(t, i, "tar", `service "metrics"`, restore...)
	})
	t.Run("killed half-way", func(t *testing.T) {
		i := i.inTest(t)
		i.shim("influxd", strings.Replace(backup, "%s", `/usr/bin/influxd "$@"; kill 1; sleep 30`, 1))
		out := i.run("backup")
		if !i.unshim("influxd") || out.code == 0 {
			t.Errorf("the dump of a server that was killed: %s", out)
		}
		i.up("metrics", "app")
		i.ready()
		i.mustRun("backup") // and takes away what the kill has left
		i.wantCalm()
	})
}

// TestF22_InfluxRestoreIsOldOrNewWhole: whenever it is killed.
func TestF22_InfluxRestoreIsOldOrNewWhole(t *testing.T) {
	i := newInflux(t, "")
	i.fill()
	i.load()
	i.mustCompose("restart", "-t", "10", "metrics")
	i.ready()
	last, _ := i.loaded()
	snapshot := i.backup().Snapshot
	for point, old := range map[string]bool{"after-place": true, "mid-restore": true, "before-confirm": true, "mid-keep": false} {
		t.Run(point, func(t *testing.T) {
			i := i.inTest(t)
			i.query(`CREATE DATABASE later`)
			i.crashed(point, "restore", snapshot, "--yes", "--no-safety-snapshot")
			eventually(t, "the next backup succeeds", func() bool { return i.run("backup").code == 0 })
			i.ready()
			if there := strings.Contains(i.query(`SHOW DATABASES`), "later"); there != old {
				t.Errorf("what was made after the dump is there: %t, want %t", there, old)
			}
			i.wantFilled(last, last)
			i.wantCalm()
		})
	}
}
