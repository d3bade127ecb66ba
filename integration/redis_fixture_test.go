package integration

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// redisProject is a Redis, an app that depends on it, and one that has nothing
// to do with it. What differs between tests is the service's own.
const redisProject = `
services:
  cache:
    image: ${REDIS_IMAGE}
    labels:
      ripplebak.dump: redis
    volumes:
      - cache:/data
      - ./shim:/usr/local/sbin
%service
  app:
    image: ${FILES_IMAGE}
    command: ["sleep", "infinity"]
    init: true
    depends_on: [cache]
  aside:
    image: ${FILES_IMAGE}
    command: ["sleep", "infinity"]
    init: true
volumes:
  cache:
%top
`

// redisProjectOf is a project whose Redis lets the tests in with a password.
type redisProjectOf struct {
	*project
	password string
}

func newRedis(t testing.TB, password, service string) *redisProjectOf {
	t.Helper()
	return newRedisWith(t, password, service, "")
}

// newRedisWith adds to the top level of the compose file, too.
func newRedisWith(t testing.TB, password, service, top string) *redisProjectOf {
	t.Helper()
	p := newProject(t, strings.NewReplacer("%service", service, "%top", top).Replace(redisProject)).withRepository()
	p.write("shim/.keep", "")
	p.write("secret", password+"\n")
	p.up("cache", "app", "aside")
	r := &redisProjectOf{project: p, password: password}
	r.ready()
	return r
}

func (r *redisProjectOf) inTest(t testing.TB) *redisProjectOf {
	return &redisProjectOf{project: r.project.inTest(t), password: r.password}
}

// ready waits until the server answers.
func (r *redisProjectOf) ready() {
	r.t.Helper()
	eventually(r.t, "Redis answers", func() bool { return strings.TrimSpace(r.try("PING")) == "PONG" })
}

func (r *redisProjectOf) try(args ...string) string {
	return command(r.t, "", nil, "", append([]string{"docker", "exec", "-e", "REDISCLI_AUTH=" + r.password, r.containerID("cache"), "/usr/bin/redis-cli"}, args...)...).stdout
}

// redis runs a command on the server; args may begin with -n DATABASE.
func (r *redisProjectOf) redis(args ...string) string {
	r.t.Helper()
	return strings.TrimSpace(must(r.t, append([]string{"docker", "exec", "-e", "REDISCLI_AUTH=" + r.password, r.containerID("cache"), "/usr/bin/redis-cli"}, args...)...))
}

func (r *redisProjectOf) wantRedis(want string, args ...string) {
	r.t.Helper()
	if got := r.redis(args...); got != want {
		r.t.Errorf("%v: %q, want %q", args, got, want)
	}
}

func (r *redisProjectOf) number(args ...string) int {
	r.t.Helper()
	n, err := strconv.Atoi(r.redis(args...))
	if err != nil {
		r.t.Fatal(err)
	}
	return n
}

// fill makes keys in several databases, some of which expire.
func (r *redisProjectOf) fill() {
	r.t.Helper()
	r.redis("EVAL", `for i=1,100000 do redis.call('SET','key:'..i,'value '..i) end
		for i=1,500 do redis.call('SET','soon:'..i,i,'PX',8000); redis.call('SET','later:'..i,i,'EX',100000) end
		redis.call('SELECT',5); for i=1,700 do redis.call('HSET','hash','f'..i,i); redis.call('ZADD','z',i,'m'..i) end; redis.call('XADD','stream','1-1','f','v')`, "0")
	r.redis("SET", "left", "0")
	r.redis("SET", "right", "0")
}

// load moves two counters together, for ever.
func (r *redisProjectOf) load() {
	r.t.Helper()
	must(r.t, "docker", "exec", "-d", "-e", "REDISCLI_AUTH="+r.password, r.containerID("cache"), "sh", "-c",
		`while :; do echo MULTI; echo INCR left; echo LPUSH moves x; echo DECR right; echo EXEC; done | /usr/bin/redis-cli >/dev/null`)
	eventually(r.t, "the counters move", func() bool { return r.number("GET", "left") > 1000 })
}

// wantFilled asserts that what fill and load have made is there, at one point
// in time between two counts.
func (r *redisProjectOf) wantFilled(from, to int) {
	r.t.Helper()
	left := r.number("GET", "left")
	if right := r.number("GET", "right"); left+right != 0 || r.number("LLEN", "moves") != left {
		r.t.Errorf("the counters are %d and %d, of %s moves", left, right, r.redis("LLEN", "moves"))
	}
	if left < from || left > to {
		r.t.Errorf("%d moves are restored, want %d to %d", left, from, to)
	}
	r.wantRedis("value 77777", "GET", "key:77777")
	r.wantRedis("100000", "EVAL", "return #redis.call('KEYS','key:*')", "0")
	r.wantRedis("500", "EVAL", "return #redis.call('KEYS','later:*')", "0")
	if ttl := r.number("TTL", "later:7"); ttl < 90000 || ttl > 100000 {
		r.t.Errorf("a key that expires has %d seconds left", ttl)
	}
	r.wantRedis("700", "-n", "5", "HGET", "hash", "f700")
	r.wantRedis("1", "-n", "5", "XLEN", "stream")
	r.wantRedis("3", "-n", "5", "DBSIZE")
}

// files are the names in the data directory.
func (r *redisProjectOf) files() string {
	r.t.Helper()
	return strings.Join(namesIn(r.t, r.mountpoint("cache")), " ")
}

// settled asserts that nothing is left of runs.
func (r *redisProjectOf) settled() {
	r.t.Helper()
	r.assertCalm("cache", "app", "aside")
	if strings.Contains(r.files(), ".ripplebak") {
		r.t.Errorf("the volume holds %s", r.files())
	}
}

// shim replaces the client in the server's container.
func (r *redisProjectOf) shim(script string) {
	r.t.Helper()
	r.write("shim/redis-cli", "#!/bin/bash\nhit() { echo hit >>/usr/local/sbin/hits; }\n"+script+"\n")
	if err := os.Chmod(filepath.Join(r.dir, "shim", "redis-cli"), 0o755); err != nil {
		r.t.Fatal(err)
	}
}

func (r *redisProjectOf) unshim() (hit bool) {
	r.t.Helper()
	_, err := os.Stat(filepath.Join(r.dir, "shim", "hits"))
	for _, name := range []string{"redis-cli", "hits"} {
		if err := os.RemoveAll(filepath.Join(r.dir, "shim", name)); err != nil {
			r.t.Fatal(err)
		}
	}
	return err == nil
}
