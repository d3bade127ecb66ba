package dump

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// pgServer is a private PostgreSQL server on the loopback interface and on its
// usual socket, under a port of its own.
type pgServer struct {
	t    *testing.T
	bin  string
	data string
	port string
	path string   // where programs are found; empty: PostgreSQL's, then the usual
	env  []string // what the "container" adds to the environment
}

// pgBin finds PostgreSQL's programs, or skips the test.
func pgBin(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("a real server takes a minute or two: not with -short")
	}
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if len(found) == 0 {
		if os.Getenv("RIPPLEBAK_REQUIRE_TOOLS") == "1" {
			t.Fatal("PostgreSQL is not installed: apt-get install postgresql postgresql-contrib")
		}
		t.Skip("PostgreSQL is not installed: apt-get install postgresql postgresql-contrib")
	}
	return filepath.Dir(found[len(found)-1])
}

// asPostgres runs a command as the system user postgres where we are root: the
// server refuses to run as root.
func asPostgres(t *testing.T, cmd *exec.Cmd) *exec.Cmd {
	t.Helper()
	cmd.Dir = "/"
	if os.Getuid() != 0 {
		return cmd
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		t.Fatal(err)
	}
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	return cmd
}

// startPostgres makes and starts a server; hba is its pg_hba.conf, empty for
// trust everywhere. The superuser is "admin", as with POSTGRES_USER.
func startPostgres(t *testing.T, hba string) *pgServer {
	t.Helper()
	bin := pgBin(t)
	dir, err := os.MkdirTemp("/tmp", "ripplebak-pg-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	s := &pgServer{t: t, bin: bin, data: filepath.Join(dir, "data"), port: freePort(t)}
	s.own(dir)
	s.env = []string{"POSTGRES_USER=admin", "PGDATA=" + s.data}
	s.copyCluster()
	conf := fmt.Sprintf("port = %s\nlisten_addresses = '127.0.0.1'\nunix_socket_directories = '/var/run/postgresql'\nfsync = off\nmax_prepared_transactions = 2\nautovacuum = off\nshared_buffers = 16MB\n", s.port)
	if err := os.WriteFile(filepath.Join(s.data, "postgresql.auto.conf"), []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	s.start()
	t.Cleanup(func() { s.stop() })
	if hba != "" {
		s.sql("postgres", "ALTER ROLE admin PASSWORD "+quoteLiteral(testPassword))
		if err := os.WriteFile(filepath.Join(s.data, "pg_hba.conf"), []byte(hba), 0o644); err != nil {
			t.Fatal(err)
		}
		s.tool("pg_ctl", "-D", s.data, "reload")
		s.env = append(s.env, "POSTGRES_PASSWORD="+testPassword)
	}
	return s
}

// cluster is a fresh database cluster, made once: to copy it takes a fraction
// of the time. TestMain removes it.
var cluster struct {
	once sync.Once
	dir  string
}

// copyCluster gives the server a cluster of its own.
func (s *pgServer) copyCluster() {
	s.t.Helper()
	cluster.once.Do(func() {
		dir, err := os.MkdirTemp("/tmp", "ripplebak-pg-cluster-")
		if err != nil {
			s.t.Fatal(err)
		}
		cluster.dir = dir
		s.own(dir)
		s.tool("initdb", "-D", filepath.Join(dir, "data"), "-U", "admin", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "-N")
	})
	cmd := asPostgres(s.t, exec.Command("cp", "-a", filepath.Join(cluster.dir, "data"), s.data))
	if out, err := cmd.CombinedOutput(); err != nil {
		s.t.Fatalf("copy the cluster: %v: %s", err, out)
	}
}

func TestMain(m *testing.M) {
	code := m.Run()
	if cluster.dir != "" {
		os.RemoveAll(cluster.dir)
	}
	os.Exit(code)
}

// own gives a directory to whom the server runs as.
func (s *pgServer) own(dir string) {
	s.t.Helper()
	if os.Getuid() != 0 {
		return
	}
	if out, err := exec.Command("chown", "postgres", dir).CombinedOutput(); err != nil {
		s.t.Fatalf("chown: %v: %s", err, out)
	}
}

// testPassword has all that a shell or a connection string could trip over.
const testPassword = "it's \"$HOME\" \\ `x`\n=y"

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}

func (s *pgServer) tool(name string, args ...string) {
	s.t.Helper()
	cmd := asPostgres(s.t, exec.Command(filepath.Join(s.bin, name), args...))
	if out, err := cmd.CombinedOutput(); err != nil {
		s.t.Fatalf("%s: %v\n%s", name, err, out)
	}
}

func (s *pgServer) start() {
	s.t.Helper()
	s.tool("pg_ctl", "-D", s.data, "-l", filepath.Join(s.data, "log"), "-w", "-s", "start")
}

func (s *pgServer) stop() {
	cmd := asPostgres(s.t, exec.Command(filepath.Join(s.bin, "pg_ctl"), "-D", s.data, "-m", "immediate", "-w", "-s", "stop"))
	if out, err := cmd.CombinedOutput(); err != nil {
		s.t.Logf("stop: %v\n%s", err, out)
	}
}

// run runs a command as the sidecar would inside the container.
func (s *pgServer) run(c Command, stdin []byte) (stdout []byte, err error) {
	s.t.Helper()
	if c.Stdin != (stdin != nil) {
		s.t.Fatalf("%s: input %v, wants %v", c.Show, stdin != nil, c.Stdin)
	}
	path := s.path
	if path == "" {
		path = s.bin + ":" + os.Getenv("PATH")
	}
	cmd := exec.Command(programIn(path, c.Argv[0]), c.Argv[1:]...)
	cmd.Env = append([]string{"PATH=" + path, "PGPORT=" + s.port, "HOME=/nonexistent",
		// What must not lead the client astray.
		"PGHOST=example.invalid", "PGSERVICE=elsewhere", "PGDATABASE=elsewhere", "PGUSER=nobody"}, s.env...)
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(stdin), &out, &errs
	for _, a := range c.Argv {
		if strings.Contains(a, testPassword) {
			s.t.Fatalf("%s: the password is in its arguments", c.Show)
		}
	}
	if err := cmd.Run(); err != nil {
		return out.Bytes(), &commandError{err, errs.String()}
	}
	return out.Bytes(), nil
}

// programIn is the program that a search path leads to.
func programIn(path, name string) string {
	for _, dir := range filepath.SplitList(path) {
		if file := filepath.Join(dir, name); isFile(file) {
			return file
		}
	}
	return name
}

func isFile(name string) bool {
	info, err := os.Stat(name)
	return err == nil && !info.IsDir()
}

type commandError struct {
	err    error
	stderr string
}

func (e *commandError) Error() string { return e.err.Error() + ": " + e.stderr }

// stderrOf is what a failed command said.
func stderrOf(t *testing.T, err error) (string, int) {
	t.Helper()
	var c *commandError
	var exit *exec.ExitError
	if !errors.As(err, &c) || !errors.As(c.err, &exit) {
		t.Fatalf("not a failed command: %v", err)
	}
	return c.stderr, exit.ExitCode()
}

// sql runs SQL as the superuser and returns what it prints.
func (s *pgServer) sql(database, sql string) string {
	s.t.Helper()
	out, err := s.trySQL(database, sql)
	if err != nil {
		s.t.Fatalf("%s: %v", sql, err)
	}
	return out
}

func (s *pgServer) trySQL(database, sql string) (string, error) {
	cmd := exec.Command(filepath.Join(s.bin, "psql"), append(psql(database), "-h", "127.0.0.1", "-p", s.port, "-U", "admin", "-f", "-")[1:]...)
	cmd.Stdin = strings.NewReader(sql)
	cmd.Env = append(os.Environ(), "PGPASSWORD="+testPassword)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, errs.String())
	}
	return strings.TrimSpace(string(out)), nil
}

func (s *pgServer) facts(req Request) Facts {
	s.t.Helper()
	out, err := s.run(Postgres{}.Probe(req), nil)
	if err != nil {
		s.t.Fatalf("probe: %v", err)
	}
	facts, err := Postgres{}.ParseProbe(req, out)
	if err != nil {
		s.t.Fatalf("parse %q: %v", out, err)
	}
	return facts
}

// backup is what a snapshot holds of a server.
type backup struct {
	facts Facts
	files map[string][]byte
}

func (s *pgServer) backup(req Request) backup {
	s.t.Helper()
	b := backup{s.facts(req), map[string][]byte{}}
	files, err := Postgres{}.Files(req, b.facts)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, f := range files {
		out, err := s.run(f.Command, nil)
		if err != nil {
			s.t.Fatalf("%s: %v", f.Command.Show, err)
		}
		proof := f.NewProof()
		if _, err := proof.Write(out); err != nil {
			s.t.Fatal(err)
		}
		if err := proof.Finish(); err != nil {
			s.t.Fatalf("%s: %v", f.Name, err)
		}
		b.files[f.Name] = out
	}
	return b
}

// steps runs the steps of a restore; the first error ends it, after its undo.
func (s *pgServer) steps(steps []Step, dumped []byte) error {
	s.t.Helper()
	for _, step := range steps {
		var in []byte
		switch step.Input {
		case InputDump:
			in = dumped
		case InputLiteral:
			in = step.Literal
		}
		if _, err := s.run(step.Command, in); err != nil {
			if step.Undo != nil {
				if _, undo := s.run(*step.Undo, nil); undo != nil {
					s.t.Fatalf("undo of %s: %v", step.Name, undo)
				}
			}
			return fmt.Errorf("%s: %w", step.Name, err)
		}
	}
	return nil
}

func (s *pgServer) restoreGlobals(b backup, replace bool) []string {
	s.t.Helper()
	steps, notes, err := Postgres{}.RestoreGlobals(GlobalsRequest{Dumped: b.facts, Target: s.facts(Request{}), SQL: b.files["globals.sql"], Replace: replace})
	if err != nil {
		s.t.Fatal(err)
	}
	if err := s.steps(steps, nil); err != nil {
		s.t.Fatal(err)
	}
	return notes
}

func (s *pgServer) restore(b backup, database, newName string) error {
	s.t.Helper()
	steps, err := Postgres{}.Restore(RestoreRequest{
		ID: "0123abcd", Dumped: b.facts, Target: s.facts(Request{}), Database: database, NewName: newName,
		Properties: b.files[EscapeName(database)+".properties.sql"],
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return s.steps(steps, b.files[EscapeName(database)+".dump"])
}

// fingerprint is what must survive of a database, by PostgreSQL's own account.
func (s *pgServer) fingerprint(database string) string {
	s.t.Helper()
	cmd := exec.Command(filepath.Join(s.bin, "pg_dump"), "--create", dbname(database), "-h", "127.0.0.1", "-p", s.port, "-U", "admin")
	cmd.Env = append(os.Environ(), "PGPASSWORD="+testPassword)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		s.t.Fatalf("pg_dump --create %s: %v: %s", database, err, errs.String())
	}
	var kept []string
	for line := range strings.Lines(string(out)) {
		if !isRestrict(strings.TrimSpace(line)) {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, "")
}

// databases is the names of all databases.
func (s *pgServer) databases() string {
	return s.sql("template1", "SELECT string_agg(datname, ',' ORDER BY datname) FROM pg_database")
}

// holdConnection connects to a database, says so, and stays until the server
// ends the connection. It returns what psql says in the end.
func (s *pgServer) holdConnection(ctx context.Context, database string, connected func()) string {
	cmd := exec.CommandContext(ctx, filepath.Join(s.bin, "psql"), append(psql(database), "-h", "127.0.0.1", "-p", s.port, "-U", "admin", "-c", "SELECT 'here'", "-c", "SELECT pg_sleep(600)")[1:]...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err.Error()
	}
	if err := cmd.Start(); err != nil {
		return err.Error()
	}
	if line, _ := bufio.NewReader(out).ReadString('\n'); line == "here\n" {
		connected()
	}
	if err := cmd.Wait(); err != nil {
		return errs.String()
	}
	return ""
}
