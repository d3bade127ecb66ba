package integration

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestBareHostFromNothing: on a machine with the repository, the password and the
// image only, one command and the lines that it prints bring everything back, and
// Compose takes it for its own.
func TestBareHostFromNothing(t *testing.T) {
	t.Parallel()
	l := loseShop(t)
	image := os.Getenv("INTEGRATION_IMAGE")

	var dry struct {
		Plan struct {
			Operations []struct{ Do, Command string }
		}
	}
	argv := l.bootstrap(image, nil, "--dry-run", "--json")
	l.decode(must(t, argv...), &dry)
	if len(dry.Plan.Operations) != 7 {
		t.Errorf("the steps are %+v", dry.Plan.Operations)
	}
	if _, err := os.Stat(filepath.Dir(l.dir)); err == nil {
		t.Error("a dry run has made the directory")
	}

	r, said := l.withPerson(nil, l.bootstrap(image, nil)...)
	if r.code != 0 {
		t.Fatalf("bootstrap: %s", r)
	}
	l.wantBack()
	l.wantNoWarning(said.stderr)
	want := []string{"install --backup=numbered -D -m 0644 " + l.dir + "/ripplebak-elsewhere" + l.outside + " " + l.outside,
		"cd " + l.dir + " && mkdir -p ./media && docker compose up --no-start && docker compose up -d cache db",
		"cd " + l.dir + " && docker compose up -d app cache db extra"}
	if strings.Join(said.lines, "\n") != strings.Join(want, "\n") {
		t.Errorf("it asked for\n%s\nwant\n%s", strings.Join(said.lines, "\n"), strings.Join(want, "\n"))
	}
	for _, text := range []string{"dump db/postgres", "dump cache/all", "volume data", "bind app:/media", "config", "backups are made again"} {
		if !strings.Contains(r.stdout, text) {
			t.Errorf("the report does not say %q:\n%s", text, r)
		}
	}

	before := l.containersNow()
	again := command(t, "/", nil, "", "bash", "-c", said.lines[len(said.lines)-1])
	if after := l.containersNow(); again.code != 0 || after != before {
		t.Errorf("a second up changes the containers: %s\nfrom\n%s\nto\n%s", again, before, after)
	}
	l.wantNoWarning(again.stderr)

	// The project is whole: it is saved from its new place, and restored.
	must(t, "cp", "-a", l.repository, filepath.Join(l.dir, "backups"))
	l.backup()
	l.sql("postgres", "DROP TABLE orders")
	l.mustRun("restore", "latest", "--yes")
	l.wantBack()
	if r := command(t, "", nil, "", l.bootstrap(image, nil)...); r.code != 1 || !strings.Contains(r.stderr, "is on this machine") {
		t.Errorf("a bootstrap of what is there: %s", r)
	}
}

// TestF22_BootstrapKilledAndRunAgain kills it while it fills a volume, while it
// waits for a person, and while it restores a database. Each time the same
// command goes on.
func TestF22_BootstrapKilledAndRunAgain(t *testing.T) {
	t.Parallel()
	crashing, err := crashImage()
	if err != nil {
		t.Fatal(err)
	}
	l := loseShop(t)
	if r, said := l.withPerson(nil, l.bootstrap(crashing, []string{"CRASH_POINT=mid-restore"})...); r.code != 137 || len(said.lines) > 0 {
		t.Fatalf("it was not killed while it filled a volume: %s", r)
	}
	r, said := l.withPerson(func(line string) bool { return strings.Contains(line, "--no-start") }, l.bootstrap(crashing, nil)...)
	if r.code != 137 || len(said.lines) != 2 {
		t.Fatalf("it was not killed while it waited: %q, %s", said.lines, r)
	}
	r, said = l.withPerson(nil, l.bootstrap(crashing, []string{"CRASH_POINT=before-rename"})...)
	if r.code != 137 || len(said.lines) != 2 {
		t.Fatalf("it was not killed in the database: %q, %s", said.lines, r)
	}
	l.wantNoWarning(said.stderr)
	// For a program the commands are in the log.
	silent := command(t, "", nil, "", l.bootstrap(crashing, nil, "--json", "--patience", "3s")...)
	if lines := asked(t, silent.stderr); silent.code != 1 || len(lines) != 2 || !strings.Contains(silent.stderr, "it goes on") {
		t.Fatalf("nobody was there: %q, %s", lines, silent)
	}
	r, said = l.withPerson(nil, l.bootstrap(crashing, nil)...)
	if r.code != 0 || len(said.lines) != 2 || strings.Contains(said.lines[1], "--no-start") {
		t.Fatalf("it did not come to its end: %q, %s", said.lines, r)
	}
	l.wantBack()
	l.wantNoWarning(said.stderr)
	if state := must(t, "docker", "run", "--rm", "-v", l.name+"-state:/s", os.Getenv("INTEGRATION_FILES_IMAGE"), "sh", "-c", "ls /s/journal; grep -c bootstraps /s/history.json || true"); strings.TrimSpace(state) != "0" {
		t.Errorf("the state holds %q", state)
	}
}

// asked are the commands in a log.
func asked(t *testing.T, log string) (out []string) {
	t.Helper()
	for line := range strings.Lines(log) {
		var entry struct {
			Command string `json:"host_command"`
		}
		if json.Unmarshal([]byte(line), &entry) == nil && entry.Command != "" {
			out = append(out, entry.Command)
		}
	}
	return out
}
