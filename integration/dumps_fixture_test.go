package integration

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// shimDirectory comes first in the PATH of the database's container, and lies
// beside the compose file, so that a test can put a client of its own there.
const shimDirectory = "/usr/local/sbin"

// realPgDump is what the shims stand in for.
const realPgDump = "/usr/lib/postgresql/15/bin/pg_dump"

// shimmedProject is a project whose database client can be replaced.
const shimmedProject = `
services:
  db:
    extends: {file: postgres.yaml, service: postgres}
    init: true
    volumes:
      - ./shim:/usr/local/sbin
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
volumes:
  db:
  data:
`

// dumpFault is a project in which the dump of the database shop can be made to
// fail, beside a database and a volume that must not suffer from it.
type dumpFault struct {
	*project
	good string // the last snapshot in which shop is good
}

func newDumpFault(t testing.TB) *dumpFault {
	t.Helper()
	p := newProject(t, shimmedProject).withRepository()
	p.write("shim/.keep", "")
	p.up("db", "app")
	p.sql("postgres", "CREATE DATABASE shop; CREATE DATABASE other")
	p.sql("shop", `CREATE TABLE customers AS SELECT i AS id, repeat(md5(i::text), 4) AS note FROM generate_series(1, 4000) i;
		CREATE TABLE orders AS SELECT i AS id, repeat(md5(i::text), 4) AS note FROM generate_series(1, 4000) i;`)
	p.sql("other", "CREATE TABLE t(x int); INSERT INTO t VALUES (42)")
	p.inVolume("data", "echo hello > a")
	f := &dumpFault{project: p}
	f.good = p.backup().Snapshot
	return f
}

// with makes the rest of the test a subtest of the project.
func (f *dumpFault) with(t *testing.T) *dumpFault {
	p := *f.project
	p.t = t
	g := *f
	g.project = &p
	return &g
}

// shim replaces a program in the database's container. The script notes by hit
// that the fault was reached, and calls the real pg_dump by $real.
func (f *dumpFault) shim(name, script string) {
	f.t.Helper()
	f.write("shim/"+name, "#!/bin/bash\nreal="+realPgDump+"\nhit() { echo hit >>"+shimDirectory+"/hits; }\n"+script+"\n")
	if err := os.Chmod(filepath.Join(f.dir, "shim", name), 0o755); err != nil {
		f.t.Fatal(err)
	}
}

// shimShop replaces pg_dump for the database shop; others are dumped as ever.
func (f *dumpFault) shimShop(script string) {
	f.t.Helper()
	f.shim("pg_dump", `case "$*" in *"dbname='shop'"*) hit ;; *) exec "$real" "$@" ;; esac`+"\n"+script)
}

// hit reports whether a shim was reached since the last time.
func (f *dumpFault) hit() bool {
	_, err := os.Stat(filepath.Join(f.dir, "shim", "hits"))
	return err == nil
}

// heal removes the shims.
func (f *dumpFault) heal() {
	f.t.Helper()
	for _, name := range []string{"pg_dump", "pg_restore", "psql", "hits", "go"} {
		if err := os.RemoveAll(filepath.Join(f.dir, "shim", name)); err != nil {
			f.t.Fatal(err)
		}
	}
}

// restorePlan is what the tests read of restore --dry-run --json.
type restorePlan struct {
	Plan struct {
		Items []struct {
			Key      string `json:"key"`
			Snapshot string `json:"snapshot"`
		} `json:"items"`
		Warnings []string `json:"warnings"`
		Problems []string `json:"problems"`
	} `json:"plan"`
}

func (r restorePlan) snapshotOf(key string) string {
	for _, i := range r.Plan.Items {
		if i.Key == key {
			return i.Snapshot
		}
	}
	return ""
}

// assertShopFailed runs a backup in which the dump of shop must fail, with
// each of the texts in its error, and asserts everything that has to be so
// then: the other items are stored, and the snapshot says that it is
// incomplete. It returns the report.
func (f *dumpFault) assertShopFailed(r result, texts ...string) backupReport {
	f.t.Helper()
	if !f.hit() {
		f.t.Fatal("the injected fault was not hit")
	}
	if r.code != 3 {
		f.t.Fatalf("backup: want exit code 3, got %s", r)
	}
	var report backupReport
	f.decode(r.stdout, &report)
	state, text := report.item("dump", "db", "shop")
	if state != "failed" {
		f.t.Fatalf("shop is %q, want failed", state)
	}
	for _, want := range texts {
		if !strings.Contains(text, want) {
			f.t.Errorf("the error does not say %q:\n%s", want, text)
		}
	}
	for _, i := range report.Items {
		if i.Name != "shop" && i.State != "good" {
			f.t.Errorf("%s %s/%s is %q because of another item: %s", i.Kind, i.Service, i.Name, i.State, i.Error)
		}
	}
	f.assertIncomplete(report.Snapshot)
	return report
}

// assertIncomplete asserts what the snapshot of a run with failures says, and
// that nothing of the failed item is in it.
func (f *dumpFault) assertIncomplete(id string) {
	f.t.Helper()
	all := f.snapshots()
	i := slices.IndexFunc(all, func(s snapshotInfo) bool { return s.ID == id })
	if i < 0 {
		f.t.Fatalf("snapshot %s is not listed", id)
	}
	if s := all[i]; s.Complete || !slices.Contains(s.Tags, "incomplete") {
		f.t.Errorf("snapshot %s is not marked incomplete: %+v", id, s)
	}
	if out := f.mustRestic("ls", id); strings.Contains(out, "shop.") {
		f.t.Errorf("something of the failed dump is in the snapshot:\n%s", out)
	}
}

// assertOlderShopIsTaken asserts that a restore of latest takes shop from the
// last snapshot in which it is good and the rest from the newest one, and says
// so.
func (f *dumpFault) assertOlderShopIsTaken(newest string) {
	f.t.Helper()
	r := f.run("restore", "latest", "--dry-run", "--json")
	if r.code != 0 {
		f.t.Fatalf("restore --dry-run: %s", r)
	}
	var p restorePlan
	f.decode(r.stdout, &p)
	for key, want := range map[string]string{"dump db/shop": f.good, "dump db/other": newest, "volume data": newest} {
		if got := p.snapshotOf(key); got != want {
			f.t.Errorf("%s would come from snapshot %.8s, want %.8s", key, got, want)
		}
	}
	if !slices.ContainsFunc(p.Plan.Warnings, func(w string) bool { return strings.Contains(w, "dump db/shop") && strings.Contains(w, "older") }) {
		f.t.Errorf("the plan does not warn that shop is older: %q", p.Plan.Warnings)
	}
}

// assertCalm asserts that nothing is left of runs and that services run.
func (p *project) assertCalm(running ...string) {
	p.t.Helper()
	for _, s := range running {
		if got := p.state(s); got != "running" {
			p.t.Errorf("service %s is %q", s, got)
		}
	}
	if h := p.helpers(); len(h) != 0 {
		p.t.Errorf("helpers are left: %v", h)
	}
	if locks, err := os.ReadDir(filepath.Join(p.dir, "backups", "locks")); err != nil || len(locks) != 0 {
		p.t.Errorf("locks are left: %v, %v", locks, err)
	}
	if j := p.journals(); j != "" {
		p.t.Errorf("journals are left:\n%s", j)
	}
}

// journals is the content of the state volume's journal folder.
func (p *project) journals() string {
	p.t.Helper()
	dir := strings.TrimSpace(must(p.t, "docker", "volume", "inspect", "-f", "{{.Mountpoint}}", p.name+"_ripplebak"))
	files, err := filepath.Glob(filepath.Join(dir, "journal", "*"))
	if err != nil {
		p.t.Fatal(err)
	}
	var all strings.Builder
	for _, name := range files {
		content, err := os.ReadFile(name)
		if err != nil {
			p.t.Fatal(err)
		}
		all.Write(content)
	}
	return all.String()
}

// cleanRun heals the project and asserts that the next run succeeds.
func (f *dumpFault) cleanRun() string {
	f.t.Helper()
	f.heal()
	id := f.backup().Snapshot
	f.assertCalm("db", "app")
	return id
}

// restored is what the tests read of restore --json.
type restored struct {
	Safety string `json:"safety_snapshot"`
	Items  []struct {
		Key      string   `json:"key"`
		Restored bool     `json:"restored"`
		Error    string   `json:"error"`
		Notes    []string `json:"notes"`
		Seconds  float64  `json:"seconds"`
	} `json:"items"`
	Seconds  float64            `json:"seconds"`
	Notes    []string           `json:"notes"`
	Downtime map[string]float64 `json:"downtime_seconds"`
}

func (r restored) item(key string) (done bool, text string) {
	for _, i := range r.Items {
		if i.Key == key {
			return i.Restored, i.Error
		}
	}
	return false, "it is not in the report"
}

// restoreJSON restores and returns the report, whatever the exit code.
func (p *project) restoreJSON(args ...string) (restored, result) {
	p.t.Helper()
	r := p.run(append([]string{"restore", "--yes", "--json"}, args...)...)
	var out restored
	if strings.TrimSpace(r.stdout) != "" {
		if err := json.Unmarshal([]byte(r.stdout), &out); err != nil {
			p.t.Fatalf("restore: %v: %s", err, r)
		}
	}
	return out, r
}

// mustRestore restores; every item must succeed.
func (p *project) mustRestore(args ...string) restored {
	p.t.Helper()
	out, r := p.restoreJSON(args...)
	if r.code != 0 {
		p.t.Fatalf("restore %v: %s", args, r)
	}
	return out
}

// background starts a command of the sidecar; the returned function waits for
// its end.
func (p *project) background(env []string, args ...string) (wait func() result) {
	p.t.Helper()
	done := make(chan result, 1)
	go func() {
		r := result{code: -1, stderr: "the command did not end"}
		defer func() { done <- r }() // also when the test is being failed
		r = p.runEnv(env, args...)
	}()
	return func() result { return <-done }
}

// containerID is the service's container.
func (p *project) containerID(service string) string {
	p.t.Helper()
	id := strings.TrimSpace(must(p.t, "docker", "ps", "-aq", "--no-trunc", "--filter", "label=com.docker.compose.project="+p.name,
		"--filter", "label=com.docker.compose.service="+service, "--filter", "label=com.docker.compose.oneoff=False"))
	if id == "" || strings.Contains(id, "\n") {
		p.t.Fatalf("service %s has the containers %q", service, id)
	}
	return id
}

// processes lists the commands that run in a service's container, one a line.
func (p *project) processes(service string) string {
	p.t.Helper()
	return must(p.t, "docker", "top", p.containerID(service), "-eo", "pid,args")
}

// limitMemory bounds the memory of the sidecar.
func (p *project) limitMemory(limit string) {
	p.t.Helper()
	const name, before = "docker-compose.backup.yml", "    restart: unless-stopped\n"
	path := filepath.Join(p.dir, name)
	yaml, err := os.ReadFile(path)
	if err != nil {
		p.t.Fatal(err)
	}
	if !strings.Contains(string(yaml), before) {
		p.t.Fatalf("%s has no line %q", name, before)
	}
	p.write(name, strings.Replace(string(yaml), before, before+"    mem_limit: "+limit+"\n    memswap_limit: "+limit+"\n", 1))
}
