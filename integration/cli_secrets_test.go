package integration

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// planted is in every secret of the test, so that a part of one is found too.
const planted = "s3cret"

const secretsProject = `
secrets:
  dbpw:
    file: ./dbpw
services:
  db:
    image: ${POSTGRES_IMAGE}
    environment:
      POSTGRES_USER: keeper
      POSTGRES_PASSWORD_FILE: /run/secrets/dbpw
    secrets: [dbpw]
    volumes:
      - db:/var/lib/postgresql/data
    healthcheck:
      test: ["CMD", "pg_isready", "-q", "-h", "127.0.0.1", "-U", "keeper"]
      interval: 1s
      retries: 60
    labels:
      ripplebak.dump: pg_dump
  app:
    image: ${FILES_IMAGE}
    # It does not end by TERM, so that the helper waits between its two walks.
    command: ["sh", "-c", "trap '' TERM; sleep infinity & while :; do wait; done"]
    stop_grace_period: 1s
    environment:
      DATABASE_URL: postgres://shop:s3cret-in-url@db/shop
      DB_PASSWORD: s3cret-of-app
      STRIPE_API_KEY: s3cret-api-key
    volumes:
      - data:/data
    labels:
      ripplebak.during: stop
      ripplebak.pre: %s
volumes:
  db:
  data:
`

// hook says secrets of its own in every way, and fails when there is a file.
const hook = `'echo "$$DATABASE_URL $$DB_PASSWORD"; MYSQL_PWD=x PGPASSWORD=s3cret-in-label true || curl -u me:s3cret-curl http://me:s3cret-userinfo@127.0.0.1:9/ ; [ ! -e /data/fail ] || { echo "failed with $$STRIPE_API_KEY and $$DATABASE_URL" >&2; exit 3; }'`

// TestF48_SecretsStayInside plants secrets in every place that has some, runs
// every command, makes each of them fail, and looks for the secrets in all that
// can be seen.
func TestF48_SecretsStayInside(t *testing.T) {
	t.Parallel()
	p := newProject(t, fmt.Sprintf(secretsProject, hook))
	p.write("dbpw", "s3cret-of-database\n")
	p.env["RIPPLEBAK_PASSWORD"] = "s3cret of the repository"
	p.env["RIPPLEBAK_LOG_LEVEL"] = "debug"
	p.env["AWS_ACCESS_KEY_ID"], p.env["AWS_SECRET_ACCESS_KEY"], p.env["AWS_SESSION_TOKEN"] = "AKIAs3cret", "s3cret/key+of=aws", "s3cret-session-token"
	p.up("db", "app")
	p.secretsStayInsideRun(t)

	for n, args := range [][]string{
		{"plan"}, {"plan", "--json"}, {"snapshots"}, {"snapshots", "--json"}, {"ls", "latest"}, {"check", "--json"},
		{"restore", "latest", "--dry-run"}, {"restore", "latest", "--yes"}, {"version"}, {"backup", "--dry-run"},
	} {
		r := p.runEnv([]string{"RIPPLEBAK_LOG_FORMAT=" + [...]string{"console", "json"}[n%2]}, args...)
		if r.code != 0 {
			t.Errorf("%v: %s", args, r)
		}
		assertNoSecret(t, fmt.Sprint(args), r.String())
	}
	p.secretsStayInsideFailures(t)
	p.secretsStayInsideServe(t)
	assertNoSecret(t, "the state volume", p.inVolume("ripplebak", "find . -type f ! -path './cache/*' -exec cat {} +"))
}

// secretsStayInsideRun looks at a run from outside: what processes there are
// in the database's container, and what the helper is made of.
func (p *project) secretsStayInsideRun(t *testing.T) {
	p.sqlAs("keeper", "CREATE TABLE orders AS SELECT generate_series(1, 1000) AS i")
	release := p.holdTable("orders")
	seen := p.lookAround()
	var r result
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		r = p.runEnv([]string{"RIPPLEBAK_LOG_FORMAT=console"}, "backup")
	}()
	patiently(t, 30*time.Second, "pg_dump waits for the table", func() bool { return strings.Contains(seen.text("db"), "pg_dump") })
	release()
	<-ended
	seen.stop()
	if r.code != 0 {
		t.Errorf("backup: %s", r)
	}
	assertNoSecret(t, "backup", r.String())
	assertNoSecret(t, "processes of the database's container", seen.text("db"))
	assertNoSecret(t, "docker inspect of helpers", seen.text("helper"))
	if !strings.Contains(seen.text("helper"), "RIPPLEBAK_HELPER_TOKEN") {
		t.Error("no helper was looked at")
	}
	r = p.runEnv([]string{"RIPPLEBAK_LOG_FORMAT=json"}, "backup", "--json")
	if r.code != 0 {
		t.Errorf("backup --json: %s", r)
	}
	assertNoSecret(t, "backup --json", r.String())
	r = command(t, p.dir, []string{"RESTIC_PASSWORD=" + p.env["RIPPLEBAK_PASSWORD"], "RESTIC_CACHE_DIR=" + t.TempDir()}, "",
		"restic", "-r", "backups", "dump", "latest", "/"+p.name+"/ripplebak.json")
	if r.code != 0 || !json.Valid([]byte(r.stdout)) {
		t.Fatalf("the manifest: %s", r)
	}
	assertNoSecret(t, "the manifest", r.stdout)
}

// secretsStayInsideFailures makes commands fail, each in a way that likes to
// tell.
func (p *project) secretsStayInsideFailures(t *testing.T) {
	p.inVolume("data", "touch fail")
	format := "console"
	fails := func(name string, code int, env []string, args ...string) string {
		r := p.runEnv(append(slices.Clone(env), "RIPPLEBAK_LOG_FORMAT="+format), args...)
		if r.code != code {
			t.Errorf("%s: want exit code %d: %s", name, code, r)
		}
		assertNoSecret(t, name, r.String())
		format = map[string]string{"console": "json", "json": "console"}[format]
		return r.String()
	}
	for range 2 { // in both formats
		if said := fails("a command that tells its secrets", 3, nil, "backup"); !strings.Contains(said, "failed with *** and postgres://shop:***@db/shop") {
			t.Errorf("what the command said is not there, without its secrets:\n%s", said)
		}
	}
	p.inVolume("data", "rm fail")
	fails("wrong password", 12, []string{"RIPPLEBAK_PASSWORD=s3cret and wrong"}, "snapshots")
	fails("nobody listens", 1, []string{"RIPPLEBAK_REPOSITORY=s3:http://127.0.0.1:9/bucket/x"}, "check")
	fails("keys in the address", 1, []string{"RIPPLEBAK_REPOSITORY=s3:http://me:s3cret-in-address@127.0.0.1:9/bucket"}, "init")
	fails("a proxy with a password", 1, []string{"RIPPLEBAK_REPOSITORY=s3:http://s3.invalid/bucket", "HTTP_PROXY=http://me:s3cret-of-proxy@127.0.0.1:9"}, "snapshots")
	fails("a proxy that is none", 1, []string{"RIPPLEBAK_REPOSITORY=s3:http://s3.invalid/bucket", "HTTP_PROXY=http://me:s3cret-of-proxy@[::1"}, "snapshots")
	fails("two passwords", 1, []string{"RIPPLEBAK_PASSWORD_FILE=/s3cret-not-a-path-but-the-password"}, "plan")
	fails("an unknown variable", 1, []string{"RIPPLEBAK_PASWORD=s3cret-misspelt"}, "plan")
	fails("a variable with a bad value", 1, []string{"RIPPLEBAK_LOG_LEVEL=s3cret-level", "RIPPLEBAK_SPOOL_SIZE=s3cret-size", "TZ=s3cret-zone"}, "plan")
	p.sqlAs("keeper", "CREATE ROLE other LOGIN PASSWORD 's3cret-other'; CREATE TABLE locked(x int); ALTER TABLE locked OWNER TO other; REVOKE ALL ON locked FROM PUBLIC")
	p.write("compose.override.yaml", "services:\n  db:\n    labels:\n      ripplebak.dump.user: nobody\n")
	p.up("db")
	fails("a user who is not there", 3, nil, "backup")
	p.write("compose.override.yaml", "services:\n  db:\n    labels:\n      ripplebak.dump.user: shop:s3cret-user\n      ripplebak.dump.databases: postgres://me:s3cret-list@db/x\n      ripplebak.group: s3cret-url://x:s3cret@y\n")
	p.up("db")
	fails("labels with secrets in them", 1, nil, "plan")
}

func (p *project) secretsStayInsideServe(t *testing.T) {
	p.serve()
	patiently(t, 30*time.Second, "it has looked at the project", func() bool { return len(p.logged("would fail")) > 0 })
	r := p.compose("--profile", "backup", "logs")
	assertNoSecret(t, "docker logs", r.String())
	p.mustCompose("--profile", "backup", "rm", "-fs", "backup")
}

func assertNoSecret(t *testing.T, where, text string) {
	t.Helper()
	if strings.Contains(text, planted) {
		t.Errorf("%s tells a secret:\n%s", where, text)
	}
}

// sqlAs asks the database postgres of the service db as a user.
func (p *project) sqlAs(user, query string) {
	p.t.Helper()
	r := command(p.t, p.dir, p.environ(), query, "docker", "compose", "exec", "-T", "db", "psql", "-U", user, "-d", "postgres", "-qAt", "-v", "ON_ERROR_STOP=1")
	if r.code != 0 {
		p.t.Fatalf("psql: %s", r)
	}
}

// holdTable locks a table until the returned function is called.
func (p *project) holdTable(table string) (release func()) {
	p.t.Helper()
	cmd := exec.Command("docker", "exec", "-i", p.container("db"), "psql", "-U", "keeper", "-d", "postgres", "-qAt")
	in, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		p.t.Fatal(err)
	}
	if _, err := fmt.Fprintf(in, "BEGIN; LOCK TABLE %s IN ACCESS EXCLUSIVE MODE;\n", table); err != nil {
		p.t.Fatal(err)
	}
	return func() {
		p.t.Helper()
		_ = in.Close() // psql ends at the end of its input, and the lock with it
		if err := cmd.Wait(); err != nil {
			p.t.Errorf("psql: %v", err)
		}
	}
}

// surroundings is what could be seen from outside while something ran.
type surroundings struct {
	mu    sync.Mutex
	seen  map[string]string
	quit  chan struct{}
	ended chan struct{}
}

// lookAround looks again and again at the processes of the database's container
// and at helpers, until it is stopped.
func (p *project) lookAround() *surroundings {
	s := &surroundings{seen: map[string]string{}, quit: make(chan struct{}), ended: make(chan struct{})}
	db := p.container("db")
	go func() {
		defer close(s.ended)
		for {
			select {
			case <-s.quit:
				return
			case <-time.After(100 * time.Millisecond):
			}
			s.add("db", command(p.t, "", nil, "", "docker", "top", db, "-eo", "pid,args").stdout)
			for _, h := range p.helpers() {
				s.add("helper", command(p.t, "", nil, "", "docker", "inspect", h).stdout)
			}
		}
	}()
	return s
}

func (s *surroundings) add(what, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen[what] += text
}

func (s *surroundings) text(what string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seen[what]
}

func (s *surroundings) stop() {
	close(s.quit)
	<-s.ended
}
