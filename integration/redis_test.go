package integration

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestRedisRoundTrips dumps under write load and restores onto data that was
// changed, emptied, and lost with its volume.
func TestRedisRoundTrips(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ password, service string }{
		"rdb": {"on-the-command-line", `
    command: redis-server --save 3600 1 --requirepass on-the-command-line`},
		"aof": {"from-a-file", `
    command: sh -c 'exec docker-entrypoint.sh redis-server --port 7001 --port 6379 --appendonly yes --requirepass "$$(cat /run/secret)"'
    environment: {REDIS_PASSWORD_FILE: /run/secret}
    configs: [{source: secret, target: /run/secret}]
configs:
  secret: {file: ./secret}`},
	} {
		t.Run(name, func(t *testing.T) {
			service, top, _ := strings.Cut(c.service, "\nconfigs:")
			if top != "" {
				top = "\nconfigs:" + top
			}
			r := newRedisWith(t, c.password, service, top)
			r.fill()
			r.load()
			before := r.number("GET", "left")
			report := r.backup()
			after := r.number("GET", "left")
			if after-before < 10 {
				t.Fatalf("only %d moves were made during the dump", after-before)
			}
			if state, text := report.item("dump", "cache", "all"); state != "good" {
				t.Fatalf("%s %s", state, text)
			}
			if _, text := report.item("volume", "", "cache"); text != "" || report.data() != 1 {
				t.Errorf("the items are %+v, want the dump alone", report.Items)
			}

			// Changed; the writers go on until the server is stopped.
			r.redis("DEL", "key:77777")
			r.redis("SET", "new", "1")
			events := r.events()
			got := r.mustRestore("latest")
			assertEvents(t, events(), "stop app", "stop cache", "start cache", "start app")
			r.wantFilled(before, after)
			r.wantRedis("0", "EXISTS", "new")
			if got.Safety == "" {
				t.Error("there is no safety snapshot")
			}
			r.settled()
			t.Logf("restored within %s, %v, downtime %v", seconds(got.Seconds), got.Items, got.Downtime)

			// What it loads when it starts is what was restored, also later.
			r.mustCompose("restart", "-t", "10", "cache")
			r.ready()
			r.wantFilled(before, after)

			r.redis("FLUSHALL")
			r.mustRestore("latest", "--service", "cache")
			r.wantFilled(before, after)
			r.settled()

			r.mustCompose("down", "-t", "5")
			must(t, "docker", "volume", "rm", r.name+"_cache")
			r.up("cache", "app", "aside")
			r.ready()
			r.mustRestore("latest", "--no-safety-snapshot")
			r.wantFilled(before, after)
			r.settled()
		})
	}
}

// TestRedisRefusesAndFails: what cannot be proven is not stored, what does not
// fit is not restored, and no password is printed.
func TestRedisRefusesAndFails(t *testing.T) {
	t.Parallel()
	r := newRedis(t, "the-right-one", `
    command: ["redis-server", "--save", "3600", "1", "--requirepass", "the-right-one"]
    environment: {REDIS_PASSWORD: the-wrong-one}`)
	r.redis("SET", "a", "saved")
	good := r.backup().Snapshot
	r.redis("SET", "a", "changed")

	t.Run("wrong password", func(t *testing.T) {
		// As if nobody could see the command line.
		r := r.inTest(t)
		r.shim(`hit; [ "$REDISCLI_AUTH" != the-right-one ] || REDISCLI_AUTH=the-wrong-one; exec /usr/bin/redis-cli "$@"`)
		out := r.run("backup", "--json")
		if !r.unshim() || out.code == 0 || !strings.Contains(out.String(), "REDIS_PASSWORD") {
			t.Errorf("want a failure that names the variable: %s", out)
		}
		if strings.Contains(out.String(), "the-right-one") || strings.Contains(out.String(), "the-wrong-one") {
			t.Errorf("a password is printed: %s", out)
		}
	})
	t.Run("killed half-way", func(t *testing.T) {
		r := r.inTest(t)
		r.redis("EVAL", "for i=1,50000 do redis.call('SET','k'..i,string.rep('v'..i,9)) end", "0")
		r.shim(`case "$*" in *--rdb*) hit; /usr/bin/redis-cli "$@" | head -c 300000; /usr/bin/redis-cli SHUTDOWN SAVE ;; *) exec /usr/bin/redis-cli "$@" ;; esac`)
		out := r.run("backup", "--json")
		if !r.unshim() || out.code == 0 {
			t.Errorf("the dump of a server that was killed: %s", out)
		}
		for _, s := range r.snapshots() {
			for _, i := range s.Items {
				if s.ID != good && i.Key == "dump cache/all" && i.State == "good" {
					t.Errorf("snapshot %.8s counts it as good", s.ID)
				}
			}
		}
		r.up("cache", "app", "aside")
		r.ready()
		r.wantRedis("changed", "GET", "a")
	})
	t.Run("cut without an error", func(t *testing.T) {
		r := r.inTest(t)
		r.shim(`case "$*" in *--rdb*) hit; /usr/bin/redis-cli "$@" 2>/dev/null | head -c 200000; exit 0 ;; *) exec /usr/bin/redis-cli "$@" ;; esac`)
		out := r.run("backup", "--json")
		if !r.unshim() || out.code == 0 || !strings.Contains(out.String(), "cut short") {
			t.Errorf("half a dump: %s", out)
		}
	})
	t.Run("from a newer server", func(t *testing.T) {
		r := r.inTest(t)
		r.shim(`hit; set -o pipefail; /usr/bin/redis-cli "$@" | sed 's/redis_version:7.0/redis_version:6.2/'`)
		out := r.run("restore", "latest", "--yes")
		if !r.unshim() || out.code != 1 || !strings.Contains(out.String(), "newer") || !strings.Contains(out.String(), "nothing is touched") && !strings.Contains(out.String(), "does not read") {
			t.Errorf("want a refusal: %s", out)
		}
		r.wantRedis("changed", "GET", "a")
		r.settled()
	})
}

// redisThatBalks does not start upon a dump with the word in it, if it is told.
const redisThatBalks = `
    command:
      - sh
      - -c
      - |
        if [ -e /usr/local/sbin/balk ] && grep -q saved-marker /data/dump.rdb; then echo balking; exit 3; fi
        exec docker-entrypoint.sh redis-server --save 3600 1 --appendonly no`

// TestF22_RedisRestoreIsOldOrNewWhole: a server that does not come up keeps its
// old data, and so does one whose restore was killed.
func TestF22_RedisRestoreIsOldOrNewWhole(t *testing.T) {
	t.Parallel()
	r := newRedis(t, "", redisThatBalks)
	r.redis("EVAL", "for i=1,20000 do redis.call('SET','key'..i,'saved-marker') end", "0")
	snapshot := r.backup().Snapshot
	later := func(t testing.TB) {
		t.Helper()
		r.redis("FLUSHALL")
		r.redis("EVAL", "for i=1,300 do redis.call('SET','later'..i,i) end", "0")
	}
	old := func(r *redisProjectOf) { r.t.Helper(); r.wantRedis("300", "DBSIZE"); r.wantRedis("7", "GET", "later7") }
	later(t)
	t.Run("the server does not come up", func(t *testing.T) {
		r := r.inTest(t)
		r.write("shim/balk", "")
		out, res := r.restoreJSON(snapshot, "--no-safety-snapshot")
		if done, text := out.item("dump cache/all"); done || res.code != 1 || !strings.Contains(text, "exit code 3") {
			t.Errorf("%s", res)
		}
		if err := os.Remove(filepath.Join(r.dir, "shim", "balk")); err != nil {
			t.Fatal(err)
		}
		r.ready()
		old(r)
		r.settled()
	})
	for _, point := range []string{"mid-restore", "after-place", "before-confirm"} {
		t.Run(point, func(t *testing.T) {
			r := r.inTest(t)
			r.crashed(point, "restore", snapshot, "--yes", "--no-safety-snapshot")
			eventually(t, "the next backup finds all as it was", func() bool { return r.run("backup").code == 0 })
			old(r)
			r.settled()
		})
	}
	r.mustRestore(snapshot)
	r.wantRedis("20000", "DBSIZE")
	r.wantRedis("saved-marker", "GET", "key20000")
	r.settled()
	if r.files() != "dump.rdb" {
		t.Errorf("the data directory holds %s", r.files())
	}
}
