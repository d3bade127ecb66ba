package integration

import (
	"crypto/rand"
	"os"
	"strings"
	"testing"
)

// autoProject has no label of ours but one: a PostgreSQL, a Redis, an image
// whose name is a database's and that has no client, an app, and one that
// refuses.
const autoProject = `
services:
  db:
    image: ${POSTGRES_IMAGE}
    environment: {POSTGRES_PASSWORD: the-database-password}
    volumes: ["db:/var/lib/postgresql/data"]
    healthcheck:
      test: ["CMD", "/usr/bin/pg_isready", "-q", "-h", "127.0.0.1", "-U", "postgres"]
      interval: 1s
      retries: 60
  cache:
    image: ${REDIS_IMAGE}
    volumes: ["cache:/data"]
    healthcheck:
      test: ["CMD-SHELL", "redis-cli -a the-redis-password PING | grep PONG"]
      interval: 1s
      retries: 60
    command: ["redis-server", "--requirepass", "the-redis-password"]
  named:
    image: ${NAMED_IMAGE}
    command: ["sleep", "infinity"]
    init: true
    volumes: ["named:/named"]
  app:
    image: ${FILES_IMAGE}
    command: ["sleep", "infinity"]
    init: true
    volumes: ["data:/data"]
  off:
    image: ${FILES_IMAGE}
    command: ["sleep", "infinity"]
    init: true
    volumes: ["off:/off"]
    labels: {ripplebak.enable: "false"}
volumes:
  db:
  cache:
  named:
  data:
  off:
`

// A project without labels is saved as a whole and comes back, by the image
// names of its databases alone.
func TestAutoSavesAndRestoresAProjectWithoutLabels(t *testing.T) {
	t.Parallel()
	named := "rbit-auto/" + strings.ToLower(rand.Text()) + "/mariadb:10"
	must(t, "docker", "tag", os.Getenv("INTEGRATION_FILES_IMAGE"), named)
	t.Cleanup(func() { must(t, "docker", "rmi", named) })
	p := newProject(t, autoProject).withRepository()
	p.env["NAMED_IMAGE"] = named
	p.up("db", "cache", "named", "app", "off")
	p.sql("postgres", "CREATE DATABASE shop")
	p.sql("shop", "CREATE TABLE t(x int); INSERT INTO t VALUES (42)")
	redis := func(args ...string) string {
		return strings.TrimSpace(must(t, append([]string{"docker", "exec", "-e", "REDISCLI_AUTH=the-redis-password", p.containerID("cache"), "redis-cli"}, args...)...))
	}
	redis("SET", "a", "1")
	p.inVolume("data", "echo one > a")
	p.inVolume("named", "echo one > a")
	p.inVolume("off", "echo one > a")

	if r := p.run("plan"); r.code != 1 || !strings.Contains(r.String(), "not labelled") || !strings.Contains(r.String(), "has nothing to save") {
		t.Errorf("without RIPPLEBAK_AUTO: %s", r)
	}
	auto := []string{"RIPPLEBAK_AUTO=true"}
	r := p.runEnv(auto, "plan")
	for _, want := range []string{
		"dump db/shop  (RIPPLEBAK_AUTO, and image " + p.env["POSTGRES_IMAGE"] + " is PostgreSQL; ripplebak.dump: none refuses the dump)",
		"(RIPPLEBAK_AUTO, and image " + p.env["REDIS_IMAGE"] + " is Redis;",
		"volume data  (RIPPLEBAK_AUTO: mounted by app)", "volume named  (RIPPLEBAK_AUTO: mounted by named)",
		`service "named": not dumped, although its image ` + named + " is known: the client of",
	} {
		if r.code != 0 || !strings.Contains(r.stdout, want) {
			t.Errorf("the plan does not say %q: %s", want, r)
		}
	}
	for _, no := range []string{"volume off", "volume db", "volume cache", "volume ripplebak", "not labelled"} {
		if strings.Contains(r.stdout, no) {
			t.Errorf("the plan says %q: %s", no, r)
		}
	}
	if r := p.runEnv(auto, "backup"); r.code != 0 {
		t.Fatalf("backup: %s", r)
	}
	p.sql("shop", "DROP TABLE t")
	redis("SET", "a", "2")
	for _, v := range []string{"data", "named", "off"} {
		p.inVolume(v, "echo two > a")
	}
	p.mustRestore("latest") // a snapshot needs no setting
	if x, a := p.sql("shop", "SELECT x FROM t"), redis("GET", "a"); x != "42" || a != "1" {
		t.Errorf("restored are %q and %q", x, a)
	}
	for v, want := range map[string]string{"data": "one", "named": "one", "off": "two"} {
		if got := strings.TrimSpace(p.inVolume(v, "cat a")); got != want {
			t.Errorf("volume %s holds %q, want %q", v, got, want)
		}
	}
}
