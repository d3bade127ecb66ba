package integration

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ripplebak/ripplebak/repository"
	"github.com/ripplebak/ripplebak/storage/local"
)

// project is a Compose project of one test.
type project struct {
	t    testing.TB
	name string
	dir  string
	env  map[string]string
}

// newProject makes a project of the services and volumes in yaml, which begins
// at the top level of a compose file. The sidecar is included as users do it.
func newProject(t testing.TB, yaml string) *project {
	t.Helper()
	id := make([]byte, 4)
	rand.Read(id)
	p := &project{t: t, name: "rbit-" + hex.EncodeToString(id), dir: t.TempDir(), env: map[string]string{
		"RIPPLEBAK_PASSWORD": password,
		"RIPPLEBAK_IMAGE":    os.Getenv("INTEGRATION_IMAGE"),
		"POSTGRES_IMAGE":     os.Getenv("INTEGRATION_POSTGRES_IMAGE"),
		"REDIS_IMAGE":        os.Getenv("INTEGRATION_REDIS_IMAGE"),
		"ETCD_IMAGE":         os.Getenv("INTEGRATION_ETCD_IMAGE"),
		"SQLITE_IMAGE":       os.Getenv("INTEGRATION_SQLITE_IMAGE"),
		"SLAPD_IMAGE":        os.Getenv("INTEGRATION_SLAPD_IMAGE"),
		"INFLUXDB_IMAGE":     os.Getenv("INTEGRATION_INFLUXDB_IMAGE"),
		"POSTGIS_IMAGE":      os.Getenv("INTEGRATION_POSTGIS_IMAGE"),
		"NEO4J_IMAGE":        os.Getenv("INTEGRATION_NEO4J_IMAGE"),
		"FILES_IMAGE":        os.Getenv("INTEGRATION_FILES_IMAGE"),
	}}
	backup, err := os.ReadFile(filepath.Join(repositoryRoot(t), "docker-compose.backup.yml"))
	if err != nil {
		t.Fatal(err)
	}
	p.write("docker-compose.backup.yml", string(backup))
	p.write("postgres.yaml", postgres)
	p.write("compose.yaml", "name: "+p.name+"\ninclude:\n  - docker-compose.backup.yml\n"+yaml)
	t.Cleanup(p.down)
	return p
}

// withRepository makes the embedded repository, with a key that costs little:
// hundreds of commands open one. That a first run makes its own is shown by
// other tests.
func (p *project) withRepository() *project {
	p.t.Helper()
	store, err := local.Open(filepath.Join(p.dir, "backups"), local.Options{})
	if err != nil {
		p.t.Fatal(err)
	}
	err = repository.Init(p.t.Context(), store.Reader(), store.Writer(), password, repository.InitOptions{KDF: repository.KDF{N: 1024, R: 8, P: 1}})
	if err = errors.Join(err, store.Close()); err != nil {
		p.t.Fatal(err)
	}
	return p
}

func (p *project) write(name, content string) {
	p.t.Helper()
	path := filepath.Join(p.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		p.t.Fatal(err)
	}
}

func (p *project) environ() []string {
	var out []string
	for _, k := range slices.Sorted(maps.Keys(p.env)) {
		out = append(out, k+"="+p.env[k])
	}
	return out
}

// compose runs docker compose in the project's directory.
func (p *project) compose(args ...string) result {
	p.t.Helper()
	return command(p.t, p.dir, p.environ(), "", append([]string{"docker", "compose", "--progress", "quiet"}, args...)...)
}

func (p *project) mustCompose(args ...string) string {
	p.t.Helper()
	r := p.compose(args...)
	if r.code != 0 {
		p.t.Fatalf("docker compose %s: %s", strings.Join(args, " "), r)
	}
	return r.stdout
}

// up starts services and waits until they are healthy.
func (p *project) up(services ...string) {
	p.t.Helper()
	p.mustCompose(append([]string{"up", "-d", "--wait"}, services...)...)
}

// down takes the project down, helpers of killed runs and volumes included.
func (p *project) down() {
	if p.t.Failed() {
		p.t.Logf("containers at the end:\n%s", command(p.t, "", nil, "", "docker", "ps", "-a", "--filter", "label=com.docker.compose.project="+p.name).stdout)
	}
	p.compose("--profile", "*", "down", "-v", "-t", "2", "--remove-orphans")
	for _, c := range p.helpers() {
		command(p.t, "", nil, "", "docker", "rm", "-f", c)
	}
	for _, v := range strings.Fields(command(p.t, "", nil, "", "docker", "volume", "ls", "-q", "--filter", "label=com.docker.compose.project="+p.name).stdout) {
		command(p.t, "", nil, "", "docker", "volume", "rm", "-f", v)
	}
}

// helpers are the IDs of the project's helper containers.
func (p *project) helpers() []string {
	return strings.Fields(command(p.t, "", nil, "", "docker", "ps", "-aq", "--filter", "label=ripplebak.helper.project="+p.name).stdout)
}

// run runs a command of the sidecar as users do.
func (p *project) run(args ...string) result {
	p.t.Helper()
	return p.compose(append([]string{"run", "--rm", "-T", "backup"}, args...)...)
}

// runEnv is run with further variables, NAME=value.
func (p *project) runEnv(env []string, args ...string) result {
	p.t.Helper()
	argv := []string{"run", "--rm", "-T"}
	for _, e := range env {
		argv = append(argv, "-e", e)
	}
	return p.compose(append(append(argv, "backup"), args...)...)
}

func (p *project) mustRun(args ...string) string {
	p.t.Helper()
	r := p.run(args...)
	if r.code != 0 {
		p.t.Fatalf("ripplebak %s: %s", strings.Join(args, " "), r)
	}
	return r.stdout
}

// backupReport is what the tests read of backup --json.
type backupReport struct {
	Snapshot    string  `json:"snapshot"`
	Complete    bool    `json:"complete"`
	BytesStored int64   `json:"bytes_stored"`
	Seconds     float64 `json:"seconds"`
	Items       []struct {
		Kind     string   `json:"kind"`
		Service  string   `json:"service"`
		Name     string   `json:"name"`
		State    string   `json:"state"`
		Error    string   `json:"error"`
		Warnings []string `json:"warnings"`
	} `json:"items"`
	Warnings []string           `json:"warnings"`
	Downtime map[string]float64 `json:"downtime_seconds"`
}

// item returns the state and the error of an item.
func (r backupReport) item(kind, service, name string) (state, text string) {
	for _, i := range r.Items {
		if i.Kind == kind && i.Service == service && i.Name == name {
			return i.State, i.Error
		}
	}
	return "", ""
}

// data counts the items but for the project's own files, which each backup has.
func (r backupReport) data() (n int) {
	for _, i := range r.Items {
		if i.Kind != "config" {
			n++
		}
	}
	return n
}

// backup runs a backup that has to succeed.
func (p *project) backup() backupReport {
	p.t.Helper()
	var r backupReport
	p.decode(p.mustRun("backup", "--json"), &r)
	if !r.Complete || r.Snapshot == "" {
		p.t.Fatalf("the backup is not complete: %+v", r)
	}
	return r
}

func (p *project) decode(out string, v any) {
	p.t.Helper()
	if err := json.Unmarshal([]byte(out), v); err != nil {
		p.t.Fatalf("decode %q: %v", out, err)
	}
}

// snapshotInfo is what the tests read of snapshots --json.
type snapshotInfo struct {
	ID       string   `json:"id"`
	Tags     []string `json:"tags"`
	Complete bool     `json:"complete"`
	Safety   bool     `json:"safety"`
	Items    []struct {
		Key   string `json:"key"`
		State string `json:"state"`
	} `json:"items"`
}

// snapshots lists what lies in the repository.
func (p *project) snapshots() []snapshotInfo {
	p.t.Helper()
	var out []snapshotInfo
	p.decode(p.mustRun("snapshots", "--json"), &out)
	return out
}

// sql asks a database of the service db.
func (p *project) sql(database, query string) string {
	p.t.Helper()
	r := command(p.t, p.dir, p.environ(), query, "docker", "compose", "exec", "-T", "db",
		"psql", "-U", "postgres", "-d", database, "-qAt", "-v", "ON_ERROR_STOP=1")
	if r.code != 0 {
		p.t.Fatalf("psql %s: %s", query, r)
	}
	return strings.TrimSpace(r.stdout)
}

// inVolume runs a script in a throwaway container with the volume at /v.
func (p *project) inVolume(key, script string) string {
	p.t.Helper()
	return must(p.t, "docker", "run", "--rm", "--network", "none", "--cap-add", "MKNOD", "-v", p.name+"_"+key+":/v", os.Getenv("INTEGRATION_FILES_IMAGE"), "bash", "-euc", "cd /v; "+script)
}

// state is the state of the service's first container.
func (p *project) state(service string) string {
	p.t.Helper()
	out := command(p.t, "", nil, "", "docker", "ps", "-a", "--filter", "label=com.docker.compose.project="+p.name,
		"--filter", "label=com.docker.compose.service="+service, "--filter", "label=com.docker.compose.oneoff=False", "--format", "{{.State}}").stdout
	return strings.TrimSpace(out)
}

// restic runs the real restic on the project's repository.
func (p *project) restic(args ...string) result {
	p.t.Helper()
	env := []string{"RESTIC_PASSWORD=" + password, "RESTIC_REPOSITORY=" + filepath.Join(p.dir, "backups"), "RESTIC_CACHE_DIR=" + filepath.Join(p.dir, "restic-cache")}
	return command(p.t, p.dir, env, "", append([]string{"restic"}, args...)...)
}

func (p *project) mustRestic(args ...string) string {
	p.t.Helper()
	r := p.restic(args...)
	if r.code != 0 {
		p.t.Fatalf("restic %s: %s", strings.Join(args, " "), r)
	}
	return r.stdout
}

// eventually waits until a condition holds, and fails after a minute.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatalf("not within a minute: %s", what)
		}
		time.Sleep(200 * time.Millisecond)
	}
}

// postgres is a database that is dumped, for services to extend by what they
// need besides.
const postgres = `
services:
  postgres:
    image: ${POSTGRES_IMAGE}
    environment:
      POSTGRES_PASSWORD: the-database-password
    volumes:
      - db:/var/lib/postgresql/data
    healthcheck:
      test: ["CMD", "/usr/bin/pg_isready", "-q", "-h", "127.0.0.1", "-U", "postgres"]
      interval: 1s
      timeout: 5s
      retries: 60
    labels:
      ripplebak.dump: pg_dump
`

// postgresAndApp is a project with a database and an app with a volume.
const postgresAndApp = `
services:
  db:
    extends: {file: postgres.yaml, service: postgres}
  app:
    image: ${FILES_IMAGE}
    command: ["sleep", "infinity"]
    init: true
    depends_on:
      - db
    volumes:
      - data:/data
    labels:
      ripplebak.enable: "true"
      %s
volumes:
  db:
  data:
`

func newShop(t testing.TB, appLabels string) *project {
	t.Helper()
	return newProject(t, fmt.Sprintf(postgresAndApp, appLabels))
}
