package main

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ripplebak/ripplebak/sidecar"
)

func TestRestoreOptions(t *testing.T) {
	f := fixed()
	r := run(t, f, "restore", "latest", "--yes", "--volume", "uploads", "--path", "a,b", "--path=/c", "--no-stop")
	if o := f.restored; r.code != 0 || !slices.Equal(o.Paths, []string{"a,b", "/c"}) || !o.NoStop || !slices.Equal(o.Volumes, []string{"uploads"}) {
		t.Errorf("code %d, options %+v, error %q", r.code, o, r.stderr)
	}
}

func TestRestoreOptionsThatContradict(t *testing.T) {
	for want, args := range map[string][]string{
		"one place only":                 {"--to-dir", "/x", "--to-volume", "y", "--volume", "z"},
		"--to-database is for one":       {"--to-database", "x", "--database", "db/a", "--database", "db/b"},
		"--to-volume is for one":         {"--to-volume", "x"},
		"--to-database is empty":         {"--to-database", "", "--database", "db/shop"},
		"--to-volume is empty":           {"--to-volume=", "--volume", "uploads"},
		"--to-dir is empty":              {"--to-dir="},
		"--at is empty":                  {"--at="},
		"touches nothing of the project": {"--to-dir", "/x", "--globals"},
		"name them by --path":            {"--no-stop"},
		"--path is for volumes":          {"--path", "a", "--database", "db/shop"},
		"--path is looked for":           {"--path", "a", "--volume", "x", "--volume", "y"},
	} {
		f := fixed()
		r := run(t, f, append([]string{"restore", "latest", "--yes"}, args...)...)
		if r.code != exitFailed || len(f.called) > 0 || !strings.Contains(r.stderr, want) {
			t.Errorf("%q: code %d, called %q, error %q", args, r.code, f.called, r.stderr)
		}
	}
}

// TestRestoreToADirectoryAsksOnlyForWhatIsThere: there is nothing to confirm of
// a new directory.
func TestRestoreToADirectoryAsksOnlyForWhatIsThere(t *testing.T) {
	f := fixed()
	f.restore.Plan.Dir = "/srv/back"
	f.unasked = true
	r := run(t, f, "restore", "--to-dir", "/srv/back", "latest")
	if r.code != 0 || f.restored.ToDir != "/srv/back" || !strings.Contains(r.out, "the files are in /srv/back") {
		t.Errorf("code %d, options %+v, output %q, error %q", r.code, f.restored, r.out, r.stderr)
	}
	f = fixed()
	if r := run(t, f, "restore", "--to-dir", "/srv/back", "--keep-extra", "latest"); r.code != exitFailed || len(f.called) > 0 || !strings.Contains(r.stderr, "--yes") {
		t.Errorf("code %d, called %q, error %q", r.code, f.called, r.stderr)
	}
}

// TestRestoreBesideAsksNobody: nothing is overwritten.
func TestRestoreBesideAsksNobody(t *testing.T) {
	for _, args := range [][]string{{"--to-database", "shop_old", "--database", "db/shop"}, {"--to-volume", "old", "--volume", "uploads"}} {
		f := fixed()
		r := run(t, f, append([]string{"restore", "latest"}, args...)...)
		if r.code != 0 || f.restored.ToDatabase+f.restored.ToVolume != args[1] {
			t.Errorf("%q: code %d, options %+v, error %q", args, r.code, f.restored, r.stderr)
		}
	}
	// Roles that exist are changed, and what depends on them is stopped.
	f := fixed()
	r := run(t, f, "restore", "latest", "--to-database", "shop_old", "--database", "db/shop", "--globals")
	if r.code != exitFailed || len(f.called) > 0 || !strings.Contains(r.stderr, "--yes") {
		t.Errorf("code %d, called %q, error %q", r.code, f.called, r.stderr)
	}
}

func TestRollbackChoosesByItself(t *testing.T) {
	f := fixed()
	r := run(t, f, "restore", "--rollback", "--yes", "--verify-all", "--no-safety-snapshot")
	if o := f.restored; r.code != 0 || !o.Rollback || !o.VerifyAll || !o.NoSafety || o.Snapshot != "" {
		t.Errorf("code %d, options %+v, error %q", r.code, o, r.stderr)
	}
	for _, want := range []string{"12 tables", "verified: volume uploads:", "left alone: volume uploads: /lost+found", "to undo this: docker compose run"} {
		if !strings.Contains(r.out, want) {
			t.Errorf("the report does not say %q:\n%s", want, r.out)
		}
	}
	for _, args := range [][]string{{"latest"}, {"--at", "2026-01-01"}, {"--service", "x"}, {"--volume", "x"}, {"--database", "x/y"}, {"--path", "x"},
		{"--to-dir", "/x"}, {"--to-volume", "x"}, {"--to-database", "x"}, {"--globals"}, {"--keep-extra"}, {"--no-stop"}, {"--from", "copy"}} {
		f := fixed()
		r := run(t, f, append([]string{"restore", "--rollback", "--yes"}, args...)...)
		if r.code != exitFailed || len(f.called) > 0 || !strings.Contains(r.stderr, "leave out "+args[0]) {
			t.Errorf("%q: code %d, called %q, error %q", args, r.code, f.called, r.stderr)
		}
	}
	f = fixed()
	if r := run(t, f, "restore", "--rollback"); r.code != exitFailed || len(f.called) > 0 || !strings.Contains(r.stderr, "--yes") {
		t.Errorf("nobody was there to be asked: code %d, called %q, error %q", r.code, f.called, r.stderr)
	}
}

// TestBootstrapAsksForCommandsOnly: there is nothing that could be overwritten.
func TestBootstrapAsksForCommandsOnly(t *testing.T) {
	f := fixed()
	f.ask = []sidecar.Asked{{Command: "install a b"}, {Command: "cd /srv/shop && docker compose up -d db", Then: "It goes on when db is ready."}}
	r := run(t, f, "restore", "--project", "shop", "--bootstrap", "/srv/shop", "--patience", "5m", "latest")
	if o := f.restored; r.code != 0 || o.Bootstrap != "/srv/shop" || o.Patience != 5*time.Minute || o.Ask == nil {
		t.Errorf("code %d, options %+v, error %q", r.code, o, r.stderr)
	}
	if want := "\nRun this on the host, in another terminal:\n\n    cd /srv/shop && docker compose up -d db\n\nIt goes on when db is ready.\n"; !strings.Contains(r.out, want) {
		t.Errorf("it printed\n%s", r.out)
	}
	f = fixed()
	f.ask = []sidecar.Asked{{Command: "docker compose up -d"}}
	r = run(t, f, "restore", "--bootstrap", "/srv/shop", "--json", "latest")
	if r.code != 0 || strings.Contains(r.out, "compose up") || !strings.Contains(r.stderr, `"host_command":"docker compose up -d"`) {
		t.Errorf("code %d, output %q, error %q", r.code, r.out, r.stderr)
	}
	for _, args := range [][]string{{"--service", "x"}, {"--volume", "x"}, {"--database", "x/y"}, {"--path", "x"}, {"--to-dir", "/x"}, {"--to-volume", "x"},
		{"--to-database", "x"}, {"--globals"}, {"--keep-extra"}, {"--no-stop"}, {"--verify-all"}} {
		f := fixed()
		r := run(t, f, append([]string{"restore", "--bootstrap", "/srv/shop", "latest"}, args...)...)
		if r.code != exitFailed || len(f.called) > 0 || !strings.Contains(r.stderr, "leave out "+args[0]) {
			t.Errorf("%q: code %d, called %q, error %q", args, r.code, f.called, r.stderr)
		}
	}
	for want, args := range map[string][]string{"--bootstrap is empty": {"--bootstrap="}, "--project is empty": {"--project="}, "--patience is for": {"--patience", "1m", "--yes"}} {
		f := fixed()
		if r := run(t, f, append([]string{"restore", "latest"}, args...)...); r.code != exitFailed || len(f.called) > 0 || !strings.Contains(r.stderr, want) {
			t.Errorf("%q: code %d, called %q, error %q", args, r.code, f.called, r.stderr)
		}
	}
}
