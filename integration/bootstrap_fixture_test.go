package integration

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// lostShop is a project of which everything is gone but the repository.
type lostShop struct {
	*project
	repository string
	outside    string // a file that was outside of the project's directory
	rows       string
	files      string // fingerprint of the volume
	media      string // a copy of the bind
}

// shopToLose has what comes back in different ways: a database by its dump, one
// whose dump is a file, a volume, a bind, files of its own in several places, and
// a service of a profile.
const shopToLose = `
services:
  db:
    extends: {file: postgres.yaml, service: postgres}
  cache:
    image: ${REDIS_IMAGE}
    volumes: ["cache:/data"]
    labels:
      ripplebak.dump: redis
  app:
    image: ${FILES_IMAGE}
    command: ["sh", "-c", "test \"$$COLOUR\" = green && exec sleep infinity"]
    init: true
    depends_on: [db, cache]
    env_file: ["%s"]
    volumes:
      - data:/data
      - ./media:/media
    healthcheck: {test: ["CMD", "test", "-f", "/data/sub/deep/a"], interval: 1s}
    labels:
      ripplebak.binds: /media
  extra:
    profiles: [extra]
    image: ${FILES_IMAGE}
    command: ["sleep", "infinity"]
    init: true
    volumes: ["data:/data:ro"]
volumes:
  db:
  cache:
  data:
`

// loseShop saves a shop, and takes all of it away.
func loseShop(t testing.TB) *lostShop {
	t.Helper()
	l := &lostShop{outside: filepath.Join(t.TempDir(), "etc", "app.env"), repository: filepath.Join(t.TempDir(), "repository")}
	l.project = newProject(t, fmt.Sprintf(shopToLose, l.outside)).withRepository()
	t.Cleanup(l.removeAll)
	var env strings.Builder
	for _, name := range []string{"POSTGRES_IMAGE", "REDIS_IMAGE", "FILES_IMAGE", "RIPPLEBAK_IMAGE", "RIPPLEBAK_PASSWORD"} {
		fmt.Fprintf(&env, "%s='%s'\n", name, l.env[name])
	}
	l.write(".env", env.String())
	l.write("media/sub/b", "uploaded\n")
	must(t, "mkdir", filepath.Dir(l.outside))
	writeFile(t, l.outside, "COLOUR=green\n")
	l.up("db", "cache")
	l.mustCompose("up", "-d", "app", "extra") // the app is healthy once its volume has what it wants
	l.sql("postgres", "CREATE TABLE orders AS SELECT i AS id, md5(i::text) AS note FROM generate_series(1, 20000) i; CREATE ROLE clerk LOGIN PASSWORD 'x'; ALTER TABLE orders OWNER TO clerk")
	l.inVolume("data", "mkdir -p sub/deep; echo hello > sub/deep/a; head -c 3000000 /dev/urandom > big; ln -s big link; ln big hard; chown 1234:99 sub; chmod 4750 big")
	eventually(t, "Redis answers", func() bool { return l.redis("SET", "visits", "42") == "OK" })
	l.rows, l.files = l.rowsNow(), l.inVolume("data", fingerprint)
	l.media = savedCopy(t, filepath.Join(l.dir, "media"))
	l.backup()
	must(t, "mv", filepath.Join(l.dir, "backups"), l.repository)
	l.mustCompose("--profile", "*", "down", "-v", "-t", "1")
	must(t, "rm", "-r", l.dir, filepath.Dir(l.outside))
	for _, kind := range []string{"volume", "network"} {
		if left := must(t, "docker", kind, "ls", "-q", "--filter", "label=com.docker.compose.project="+l.name); left != "" {
			t.Fatalf("of the project there is still %s", left)
		}
	}
	l.dir = filepath.Join(t.TempDir(), "home", l.name)
	return l
}

// removeAll takes away what is there of the project, whatever became of it.
func (l *lostShop) removeAll() {
	if err := os.MkdirAll(l.dir, 0o755); err != nil {
		l.t.Error(err)
	}
	for _, c := range strings.Fields(command(l.t, "", nil, "", "docker", "ps", "-aq", "--filter", "label=com.docker.compose.project="+l.name).stdout) {
		command(l.t, "", nil, "", "docker", "rm", "-fv", c)
	}
	command(l.t, "", nil, "", "docker", "rm", "-f", l.name+"-restore")
	for _, c := range l.helpers() {
		command(l.t, "", nil, "", "docker", "rm", "-f", c)
	}
	command(l.t, "", nil, "", "docker", "network", "rm", l.name+"_default")
	command(l.t, "", nil, "", "docker", "volume", "rm", "-f", l.name+"-run", l.name+"-state")
}

func (l *lostShop) rowsNow() string {
	return l.sql("postgres", "SELECT md5(string_agg(o::text, ',' ORDER BY id)) || tableowner FROM orders o, pg_tables WHERE tablename = 'orders' GROUP BY tableowner")
}

func (l *lostShop) redis(args ...string) string {
	argv := append([]string{"docker", "compose", "exec", "-T", "cache", "/usr/bin/redis-cli"}, args...)
	return strings.TrimSpace(command(l.t, l.dir, l.environ(), "", argv...).stdout)
}

// bootstrap is the command of the README.
func (l *lostShop) bootstrap(image string, env []string, args ...string) []string {
	argv := []string{"docker", "run", "--rm", "--name", l.name + "-restore",
		"-v", "/var/run/docker.sock:/var/run/docker.sock", "-v", l.name + "-run:/run/ripplebak", "-v", l.name + "-state:/var/lib/ripplebak",
		"-v", l.repository + ":/backups", "-e", "RIPPLEBAK_REPOSITORY=/backups", "-e", "RIPPLEBAK_PASSWORD=" + password}
	for _, e := range env {
		argv = append(argv, "-e", e)
	}
	return append(append(argv, image, "restore", "--project", l.name, "--bootstrap", l.dir), append(args, "latest")...)
}

// pasted is what a person was asked to run, and what Compose said.
type pasted struct {
	lines  []string
	stderr string
}

// withPerson runs a bootstrap beside somebody who pastes each line into a shell
// of the host, until stop says of a line that enough is enough.
func (l *lostShop) withPerson(stop func(line string) bool, argv ...string) (result, pasted) {
	l.t.Helper()
	var said pasted
	cmd := exec.Command(argv[0], argv[1:]...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	stdout, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		l.t.Fatal(err)
	}
	timer := time.AfterFunc(commandTime, func() { cmd.Process.Kill() })
	defer timer.Stop()
	var out strings.Builder
	asked := false
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		fmt.Fprintln(&out, lines.Text())
		line, indented := strings.CutPrefix(lines.Text(), "    ")
		switch {
		case strings.HasPrefix(lines.Text(), "Run this on the host"):
			asked = true
		case asked && indented:
			asked = false
			said.lines = append(said.lines, line)
			if stop != nil && stop(line) {
				must(l.t, "docker", "kill", "--signal", "KILL", l.name+"-restore")
				continue
			}
			r := command(l.t, "/", nil, "", "bash", "-c", line)
			if said.stderr += r.stderr; r.code != 0 {
				l.t.Errorf("%s: %s", line, r)
			}
		}
	}
	r := result{stdout: out.String()}
	err = cmd.Wait()
	r.stderr = stderr.String()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		r.code = exit.ExitCode()
	} else if err != nil {
		l.t.Fatal(err)
	}
	return r, said
}

// wantBack asserts that all of the shop is there, as Compose wants it.
func (l *lostShop) wantBack() {
	l.t.Helper()
	if got := l.rowsNow(); got != l.rows {
		l.t.Errorf("rows are %s, want %s", got, l.rows)
	}
	if got := l.redis("GET", "visits"); got != "42" {
		l.t.Errorf("Redis has %q", got)
	}
	if got := l.inVolume("data", fingerprint); got != l.files {
		l.t.Errorf("files after the restore:\n%s\nwant\n%s", got, l.files)
	}
	assertSame(l.t, l.media, filepath.Join(l.dir, "media"))
	if got := readFile(l.t, l.outside); got != "COLOUR=green\n" {
		l.t.Errorf("the file from elsewhere holds %q", got)
	}
	for _, s := range []string{"db", "cache", "app", "extra"} {
		if got := l.state(s); got != "running" {
			l.t.Errorf("service %s is %q", s, got)
		}
	}
	if h := l.helpers(); len(h) > 0 {
		l.t.Errorf("helpers are left: %v", h)
	}
}

// wantNoWarning asserts that Compose has nothing to say against what it found.
func (l *lostShop) wantNoWarning(stderr string) {
	l.t.Helper()
	for _, bad := range []string{"warn", "already exists", "doesn't match", "recreate"} {
		if strings.Contains(strings.ToLower(stderr), bad) {
			l.t.Errorf("Compose says %q:\n%s", bad, stderr)
		}
	}
}

// containersNow are the project's containers, and when each was started.
func (l *lostShop) containersNow() string {
	l.t.Helper()
	ids := strings.Fields(must(l.t, "docker", "ps", "-aq", "--no-trunc", "--filter", "label=com.docker.compose.project="+l.name))
	return must(l.t, append([]string{"docker", "inspect", "--format", "{{.Name}} {{.Id}} {{.State.StartedAt}}"}, ids...)...)
}
