package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ripplebak/ripplebak/sidecar"
	"github.com/ripplebak/ripplebak/sidecar/state"
)

// bare runs a command line over the real application, on a machine on which no
// Docker Engine answers.
func bare(t *testing.T, dir string, environ []string, args ...string) ran {
	t.Helper()
	p, out, stderr := newProgram(nil)
	p.now, p.readFile = time.Now, os.ReadFile
	p.open = func(a *sidecar.App) application { return a }
	p.environ = append([]string{
		"RIPPLEBAK_REPOSITORY=" + filepath.Join(dir, "repository"), "RIPPLEBAK_STATE_DIR=" + filepath.Join(dir, "state"),
		"RIPPLEBAK_RUN_DIR=" + filepath.Join(dir, "run"),
	}, environ...)
	code := p.main(t.Context(), args)
	return ran{code, out.String(), stderr.String()}
}

func TestCommandsWithoutDocker(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("DOCKER_HOST", "unix://"+filepath.Join(dir, "no-engine"))
	password := []string{"RIPPLEBAK_PASSWORD=one-of-these"}
	wrong := []string{"RIPPLEBAK_PASSWORD=none-of-these"}
	for _, c := range []struct {
		environ []string
		args    []string
		code    int
		out     string // in standard output
		stderr  string // in standard error
	}{
		{password, []string{"snapshots"}, exitNoRepository, "", "no repository here"},
		{password, []string{"check"}, exitNoRepository, "", "no repository here"},
		{password, []string{"ls", "latest"}, exitNoRepository, "", "no repository here"},
		{password, []string{"init"}, exitDone, "created repository", ""},
		{password, []string{"init"}, exitFailed, "", "already exists"},
		{password, []string{"snapshots"}, exitDone, "no snapshots", ""},
		{password, []string{"snapshots", "--json"}, exitDone, "[]\n", ""},
		{password, []string{"check", "--read-data"}, exitDone, "no damage found", ""},
		{password, []string{"check", "--json"}, exitDone, `"ok": true`, ""},
		{password, []string{"ls", "latest"}, exitFailed, "", "no such snapshot"},
		{wrong, []string{"check"}, exitWrongPassword, "", "wrong password"},
		{nil, []string{"check"}, exitFailed, "", "RIPPLEBAK_PASSWORD"},
		{password, []string{"health"}, exitFailed, "", "serve has not come up"},
		{password, []string{"backup"}, exitFailed, "", "no-engine"},
		{nil, []string{"version"}, exitDone, "ripplebak 1.2.3", ""},
	} {
		r := bare(t, dir, c.environ, c.args...)
		if r.code != c.code || !strings.Contains(r.out, c.out) || !strings.Contains(r.stderr, c.stderr) || c.out == "" && r.out != "" {
			t.Errorf("%q: code %d, want %d; output %q, want %q; error %q, want %q", c.args, r.code, c.code, r.out, c.out, r.stderr, c.stderr)
		}
	}
}

func TestHealthReadsTheState(t *testing.T) {
	dir := t.TempDir()
	d, err := state.Open(filepath.Join(dir, "state"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		age  time.Duration
		want int
	}{{time.Hour, exitDone}, {47 * time.Hour, exitDone}, {49 * time.Hour, exitFailed}} {
		err := d.UpdateHistory(func(h *state.History) {
			h.Interval, h.LastGood = 24*time.Hour, time.Now().Add(-c.age)
		})
		if err != nil {
			t.Fatal(err)
		}
		r := bare(t, dir, nil, "health")
		if r.code != c.want || r.out != "" || (r.stderr == "") != (c.want == exitDone) {
			t.Errorf("a backup of %s ago: code %d, output %q, error %q", c.age, r.code, r.out, r.stderr)
		}
	}
}

func TestPlanOfAFileAsksNobody(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("DOCKER_HOST", "unix://"+filepath.Join(dir, "no-engine"))
	file := filepath.Join(dir, "compose.yaml")
	text := "name: shop\nservices:\n  app:\n    image: x\n    labels: {ripplebak.enable: \"true\"}\n    volumes: [\"data:/data\"]\nvolumes: {data: }\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	r := bare(t, dir, nil, "plan", "--json", "--file", file)
	var made struct{ Project string }
	if err := json.Unmarshal([]byte(r.out), &made); err != nil || r.code != 0 || made.Project != "shop" || !strings.Contains(r.out, `"volume data"`) {
		t.Errorf("code %d, %v, output %s, error %s", r.code, err, r.out, r.stderr)
	}
	if err := os.WriteFile(file, []byte(strings.Replace(text, "ripplebak.enable", "ripplebak.enabel", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if r = bare(t, dir, nil, "plan", "--file", file); r.code != exitFailed || !strings.Contains(r.out, "ripplebak.enable") {
		t.Errorf("code %d, output %s, error %s", r.code, r.out, r.stderr)
	}
}
