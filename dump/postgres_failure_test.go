package dump

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

const onlyPasswords = "local all all peer\nhost all all 127.0.0.1/32 scram-sha-256\n"

func TestF12_WrongPassword(t *testing.T) {
	s := startPostgres(t, onlyPasswords)
	base := s.env[:len(s.env)-1]
	// The socket refuses us, TCP takes the password, whatever bytes it has.
	if f := s.facts(Request{}); f.Host != "127.0.0.1" || !f.Superuser || f.User != "admin" {
		t.Errorf("%+v", f)
	}
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte(testPassword+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, good := range [][]string{{"POSTGRES_PASSWORD_FILE=" + secret}, {"POSTGRES_PASSWORD=wrong", "PGPASSWORD=" + testPassword}} {
		s.env = append(base[:len(base):len(base)], good...)
		s.backup(Request{Databases: []string{"postgres"}})
	}
	for _, c := range []struct {
		name string
		env  string
		req  Request
		want string
	}{
		{"wrong password", "POSTGRES_PASSWORD=s3cr3t-wrong", Request{}, "POSTGRES_PASSWORD"},
		{"no password", "X=", Request{}, "POSTGRES_PASSWORD"},
		{"unreadable file", "POSTGRES_PASSWORD_FILE=/nonexistent/file", Request{}, "POSTGRES_PASSWORD_FILE"},
		{"no such user", "POSTGRES_PASSWORD=" + testPassword, Request{User: "nobody"}, "dump.user"},
	} {
		s.env = append(base[:len(base):len(base)], c.env)
		_, err := s.run(Postgres{}.Probe(c.req), nil)
		if err == nil {
			t.Errorf("%s: no error", c.name)
			continue
		}
		stderr, exit := stderrOf(t, err)
		if got := (Postgres{}).Explain(stderr, exit); !strings.Contains(got, c.want) {
			t.Errorf("%s: %q of %q does not name %s", c.name, got, stderr, c.want)
		}
		if strings.Contains(stderr, "s3cr3t") {
			t.Errorf("%s: the password is in %q", c.name, stderr)
		}
	}
}

func TestPostgresServerDown(t *testing.T) {
	s := &pgServer{t: t, bin: pgBin(t), port: freePort(t)}
	_, err := s.run(Postgres{}.Probe(Request{}), nil)
	if err == nil {
		t.Fatal("a server that is not there answers")
	}
	if stderr, exit := stderrOf(t, err); !strings.Contains((Postgres{}).Explain(stderr, exit), "is it running") {
		t.Errorf("probe: %q", stderr)
	}
	_, err = s.run(Postgres{}.Ready(), nil)
	if err == nil {
		t.Fatal("a server that is not there is ready")
	}
	const noResponse = 2 // what pg_isready says of a server that does not answer
	if stderr, exit := stderrOf(t, err); exit != noResponse {
		t.Errorf("ready: exit %d, %q", exit, stderr)
	}
}

func TestPostgresClientMissing(t *testing.T) {
	c := Postgres{}.Probe(Request{})
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(sh, c.Argv[1:]...)
	cmd.Env = []string{"PATH=/nonexistent"}
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 127 || !strings.Contains(string(out), "psql is not in the container") {
		t.Errorf("%v: %s", err, out)
	}
}

// TestPostgresInABusyboxImage runs everything with nothing but busybox's
// applets and PostgreSQL's programs, as in Alpine's images.
func TestPostgresInABusyboxImage(t *testing.T) {
	box, err := exec.LookPath("busybox")
	if err != nil {
		if os.Getenv("RIPPLEBAK_REQUIRE_TOOLS") == "1" {
			t.Fatal("busybox is not installed: apt-get install busybox-static")
		}
		t.Skip("busybox is not installed: apt-get install busybox-static")
	}
	s := startPostgres(t, onlyPasswords)
	applets := t.TempDir()
	for _, name := range []string{"sh", "cat", "sed", "df"} {
		if err := os.Symlink(box, filepath.Join(applets, name)); err != nil {
			t.Fatal(err)
		}
	}
	s.path = s.bin + ":" + applets
	s.sql("postgres", `CREATE DATABASE "a'b\c"`)
	s.sql(`a'b\c`, "CREATE TABLE t (x int)")
	req := Request{Databases: []string{`a'b\c`}}
	b := s.backup(req)
	if b.facts.FreeBytes <= 0 || len(b.facts.DataDirs) < 2 || b.facts.DataDirs[0] != s.data {
		t.Errorf("%+v", b.facts)
	}
	s.sql("postgres", `DROP DATABASE "a'b\c"`)
	s.restoreGlobals(b, false)
	if err := s.restore(b, `a'b\c`, ""); err != nil {
		t.Fatal(err)
	}
	s.sql(`a'b\c`, "SELECT x FROM t")
	if _, err := s.run(Postgres{}.Ready(), nil); err != nil {
		t.Errorf("ready: %v", err)
	}
	// The only database that this user may talk to has an odd name.
	s.sql("postgres", `REVOKE CONNECT ON DATABASE postgres, template1 FROM PUBLIC; CREATE ROLE limited LOGIN PASSWORD `+quoteLiteral(testPassword))
	req.User = "limited"
	if f := s.facts(req); f.Connect != `a'b\c` {
		t.Errorf("connected to %q", f.Connect)
	}
}

func TestPostgresUnprivilegedUser(t *testing.T) {
	s := startPostgres(t, "")
	s.sql("postgres", "CREATE ROLE plain LOGIN CREATEDB; CREATE DATABASE mine OWNER plain; CREATE ROLE other PASSWORD 'x'; CREATE DATABASE closed; REVOKE CONNECT ON DATABASE closed FROM PUBLIC")
	s.sql("mine", "SET ROLE plain; CREATE TABLE t AS SELECT generate_series(1, 10) AS i; COMMENT ON DATABASE mine IS 'c'; ALTER DATABASE mine SET work_mem = '3MB'")
	want := s.fingerprint("mine")
	req := Request{User: "plain", Databases: []string{"mine"}}
	b := s.backup(req)
	if b.facts.Superuser || b.facts.User != "plain" || bytes.Contains(b.files["globals.sql"], []byte("PASSWORD")) {
		t.Errorf("%+v\n%s", b.facts, b.files["globals.sql"])
	}
	if len(b.facts.DataDirs) == 0 || b.facts.DataDirs[0] != s.data {
		t.Errorf("data directory by the environment: %q", b.facts.DataDirs)
	}
	if d, ok := b.facts.Database("closed"); !ok || d.Size != -1 {
		t.Errorf("closed: %+v", d)
	}
	s.sql("mine", "DELETE FROM t")
	steps, err := Postgres{}.Restore(RestoreRequest{ID: "a1", Dumped: b.facts, Target: s.facts(req), Database: "mine", Properties: b.files["mine.properties.sql"]})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.steps(steps, b.files["mine.dump"]); err != nil {
		t.Fatal(err)
	}
	if got := s.fingerprint("mine"); got != want {
		t.Errorf("differs: %s", firstDifference(got, want))
	}
	s.sql("postgres", "ALTER ROLE plain NOCREATEDB")
	if _, err := (Postgres{}).Restore(RestoreRequest{ID: "a1", Dumped: b.facts, Target: s.facts(req), Database: "mine"}); !errors.Is(err, ErrBadRequest) || !strings.Contains(err.Error(), "CREATEDB") {
		t.Errorf("without CREATEDB: %v", err)
	}
	if _, err := s.run(databaseCommand(s.facts(req), "closed", nil), nil); err == nil {
		t.Error("a database that the user may not connect to was dumped")
	} else if stderr, exit := stderrOf(t, err); !strings.Contains((Postgres{}).Explain(stderr, exit), "dump.user") {
		t.Errorf("%q", stderr)
	}
}

// TestPostgresFailedRestoreKeepsTheOld lets each step fail.
func TestPostgresFailedRestoreKeepsTheOld(t *testing.T) {
	s := startPostgres(t, "")
	s.sql("postgres", rolesSQL+"CREATE DATABASE shop OWNER writer")
	s.sql("shop", shopSQL)
	s.sql("postgres", strings.ReplaceAll(propertiesSQL, "DB", "shop"))
	b := s.backup(Request{})
	s.sql("shop", "SET default_transaction_read_only = off; CREATE TABLE newer (x int)")
	was, names := s.fingerprint("shop"), s.databases()
	request := func(alter func(r *RestoreRequest)) []Step {
		r := RestoreRequest{ID: "f00", Dumped: b.facts, Target: s.facts(Request{}), Database: "shop", Properties: b.files["shop.properties.sql"]}
		alter(&r)
		steps, err := Postgres{}.Restore(r)
		if err != nil {
			t.Fatal(err)
		}
		return steps
	}
	same := func(what string, err error) {
		t.Helper()
		if err == nil {
			t.Fatalf("%s: no error", what)
		}
		if got := s.fingerprint("shop"); got != was {
			t.Fatalf("%s: the old data changed: %s", what, firstDifference(got, was))
		}
		if got := s.databases(); got != names {
			t.Fatalf("%s: databases %s, were %s", what, got, names)
		}
	}
	dumped := b.files["shop.dump"]
	steps := request(func(r *RestoreRequest) {})
	same("a dump cut short", s.steps(steps, dumped[:len(dumped)*2/3]))
	same("text instead of a dump", s.steps(steps, []byte("oops")))
	same("a role that is missing", s.steps(request(func(r *RestoreRequest) {
		r.Properties = []byte(pgPropertiesHead + "\nGRANT CONNECT ON DATABASE shop TO nobody_there;\n")
	}), dumped))
	same("a locale that is missing", s.steps(request(func(r *RestoreRequest) {
		r.Dumped.Databases = []Database{{Name: "shop", Owner: "admin", Encoding: "UTF8", Collate: "xx_XX.utf8", CType: "xx_XX.utf8"}}
	}), dumped))
	// The end of psql's input is a claim: a script that is cut on its way.
	for _, i := range []int{0, 2} {
		whole := steps[i].Literal
		for _, n := range []int{0, 5, len(whole) / 3, len(whole) * 2 / 3, len(whole) - len(doneSQL) - len("COMMIT;\n") - 1} {
			cut := steps[i]
			cut.Literal = whole[:n]
			if i == 0 && n > len(whole)/2 {
				continue // CREATE DATABASE is no transaction: the undo is for that
			}
			from := append([]Step{}, steps[:i]...)
			same("a script cut", s.steps(append(from, cut), dumped))
		}
	}
	s.sql("shop", "SET default_transaction_read_only = off; BEGIN; CREATE TABLE p (x int); PREPARE TRANSACTION 'held'")
	err := s.steps(steps, dumped)
	same("a prepared transaction", err)
	stderr, exit := stderrOf(t, err)
	if (Postgres{}).Explain(stderr, exit) == "" {
		t.Errorf("unexplained: %q", stderr)
	}
	s.sql("shop", "ROLLBACK PREPARED 'held'")
	if err := s.steps(steps, dumped); err != nil {
		t.Errorf("after all that: %v", err)
	}
}

// TestPostgresSwapEndsConnections: a client that holds a connection, and one
// that comes back at once, do not keep a restore from its end.
func TestPostgresSwapEndsConnections(t *testing.T) {
	s := startPostgres(t, "")
	s.sql("postgres", "CREATE DATABASE shop")
	s.sql("shop", "CREATE TABLE t (x int)")
	b := s.backup(Request{})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan int, 1)
	connected := make(chan struct{})
	var once sync.Once
	go func() {
		ended := 0
		for ctx.Err() == nil {
			said := s.holdConnection(ctx, "shop", func() { once.Do(func() { close(connected) }) })
			if strings.Contains(said, "terminating connection") {
				ended++
			}
		}
		done <- ended
	}()
	<-connected
	err := s.restore(b, "shop", "")
	cancel()
	if ended := <-done; ended == 0 {
		t.Error("no connection was ended")
	}
	if err != nil {
		t.Error(err)
	}
}

// TestF26_RecoverAfterKill stops a restore before and after each step.
func TestF26_RecoverAfterKill(t *testing.T) {
	s := startPostgres(t, "")
	s.sql("postgres", "CREATE DATABASE shop")
	s.sql("shop", "CREATE TABLE dumped (x int)")
	b := s.backup(Request{})
	steps := func() []Step {
		all, err := Postgres{}.Restore(RestoreRequest{ID: "f00", Dumped: b.facts, Target: s.facts(Request{}), Database: "shop", Properties: b.files["shop.properties.sql"]})
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	back := false
	recovered := func() Outcome {
		r, err := Postgres{}.Recover(RecoverRequest{ID: "f00", Database: "shop", Target: s.facts(Request{}), Back: back})
		if err != nil {
			t.Fatal(err)
		}
		for range 2 { // twice does no harm
			for _, step := range r.Steps {
				if step.Name == "rename back" && !strings.Contains(s.databases(), pgOldPrefix) {
					continue
				}
				if err := s.steps([]Step{step}, nil); err != nil {
					t.Fatal(err)
				}
			}
		}
		if left := (Postgres{}).Leftovers(s.facts(Request{})); left != nil {
			t.Errorf("left behind: %q", left)
		}
		return r.Outcome
	}
	for n, want := range []Outcome{OutcomeNothing, OutcomeOld, OutcomeOld, OutcomeNew, OutcomeNothing, OutcomeOld} {
		if back = n == 5; back { // the old data is wanted, and was not dropped yet
			n = 3
		}
		s.sql("postgres", "DROP DATABASE shop")
		s.sql("postgres", "CREATE DATABASE shop")
		s.sql("shop", "CREATE TABLE old (x int)")
		if err := s.steps(steps()[:n], b.files["shop.dump"]); err != nil {
			t.Fatal(err)
		}
		if got := recovered(); got != want {
			t.Errorf("killed after %d steps: %s, want %s", n, got, want)
		}
		table := "old"
		if n >= 3 && !back {
			table = "dumped"
		}
		if got := s.sql("shop", "SELECT string_agg(relname, ',') FROM pg_class WHERE relnamespace = 'public'::regnamespace"); got != table {
			t.Errorf("killed after %d steps: tables %s, want %s", n, got, table)
		}
	}
	back = false
	fresh, old, err := workNames("f00", "shop")
	if err != nil {
		t.Fatal(err)
	}
	s.sql("postgres", "ALTER DATABASE shop RENAME TO "+old)
	s.sql("postgres", "CREATE DATABASE "+fresh)
	if got := recovered(); got != OutcomeOld {
		t.Errorf("the name is missing: %s", got)
	}
	if got := s.databases(); got != "postgres,shop,template0,template1" {
		t.Errorf("databases %s", got)
	}
}
