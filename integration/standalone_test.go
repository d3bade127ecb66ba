package integration

import (
	"os"
	"strings"
	"testing"
)

// alone is a container that Compose has not made, with a volume of its name.
func alone(t *testing.T, name, target string, args ...string) {
	t.Helper()
	must(t, append([]string{"docker", "run", "-d", "--name", name, "--network", "none", "-v", name + ":" + target}, args...)...)
}

// Containers without Compose are found by their names, saved with their databases
// and volumes, and come back into containers that were made anew.
func TestStandaloneContainersComeBack(t *testing.T) {
	t.Parallel()
	p := newProject(t, "services: {}\n").withRepository()
	p.env["RIPPLEBAK_PROJECT"] = "_standalone"
	files, db := p.name+"-files", p.name+"-db"
	remove := func() {
		command(t, "", nil, "", "docker", "rm", "-f", "-v", files, db)
		command(t, "", nil, "", "docker", "volume", "rm", "-f", files, db)
	}
	t.Cleanup(remove)
	start := func() {
		t.Helper()
		alone(t, files, "/data", "--init", "--label", "ripplebak.during=stop", os.Getenv("INTEGRATION_FILES_IMAGE"), "sleep", "infinity")
		alone(t, db, "/var/lib/postgresql/data", "-e", "POSTGRES_PASSWORD=the-database-password", "--label", "ripplebak.dump=pg_dump", os.Getenv("INTEGRATION_POSTGRES_IMAGE"))
		eventually(t, "the database is ready", func() bool {
			return command(t, "", nil, "", "docker", "exec", db, "pg_isready", "-q", "-h", "127.0.0.1", "-U", "postgres").code == 0
		})
	}
	sql := func(query string) string {
		t.Helper()
		return strings.TrimSpace(must(t, "docker", "exec", db, "psql", "-U", "postgres", "-qAtc", query))
	}
	inData := func(script string) string {
		t.Helper()
		return strings.TrimSpace(must(t, "docker", "run", "--rm", "--network", "none", "-v", files+":/v", os.Getenv("INTEGRATION_FILES_IMAGE"), "bash", "-euc", "cd /v; "+script))
	}
	start()
	sql("CREATE TABLE orders AS SELECT generate_series(1, 5000) i")
	inData("mkdir d; echo kept > d/f; chown 1234:99 d/f")
	before := inData(fingerprint)

	report := p.backup()
	if state, text := report.item("volume", "", files); state != "good" {
		t.Errorf("the volume is %q %s", state, text)
	}
	if state, text := report.item("dump", db, "postgres"); state != "good" || report.Downtime[files] == 0 {
		t.Errorf("the dump is %q %s, downtime %v", state, text, report.Downtime)
	}

	remove()
	start()
	p.mustRun("restore", "latest", "--yes")
	if got := inData(fingerprint); got != before {
		t.Errorf("files after the restore:\n%s\nwant\n%s", got, before)
	}
	if got := sql("SELECT count(*), sum(i) FROM orders"); got != "5000|12502500" {
		t.Errorf("rows after the restore: %s", got)
	}
	for _, name := range []string{files, db} {
		if got := strings.TrimSpace(must(t, "docker", "inspect", "-f", "{{.State.Status}}", name)); got != "running" {
			t.Errorf("%s is %s", name, got)
		}
	}

	// Without its container, the volume is made by its own name, and is nobody's.
	command(t, "", nil, "", "docker", "rm", "-f", "-v", files)
	must(t, "docker", "volume", "rm", files)
	p.mustRun("restore", "latest", "--volume", files, "--yes")
	if got := inData(fingerprint); got != before {
		t.Errorf("files in the new volume:\n%s\nwant\n%s", got, before)
	}
	if got := strings.TrimSpace(must(t, "docker", "volume", "inspect", "-f", "{{json .Labels}}", files)); strings.Contains(got, "com.docker.compose") {
		t.Errorf("its labels are %s", got)
	}
	if h := strings.Fields(must(t, "docker", "ps", "-aq", "--filter", "label=ripplebak.helper.project=_standalone")); len(h) > 0 {
		t.Errorf("helpers are left: %q", h)
	}
}
