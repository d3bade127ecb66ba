package main

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ripplebak/ripplebak/sidecar"
)

func lookingJSONCases() []jsonCase {
	return []jsonCase{
		{"export", []string{"export", "latest", "uploads", "-o", "/drawer/uploads.tar", "--json"}, nil, exitDone, reflect.TypeFor[sidecar.ExportReport]()},
		{"diff", []string{"diff", "4f2a", "latest", "--json"}, nil, exitDone, reflect.TypeFor[diffLine]()},
		{"find", []string{"find", "*", "--json"}, nil, exitDone, reflect.TypeFor[foundLine]()},
		{"stats", []string{"stats", "--json"}, nil, exitDone, reflect.TypeFor[sidecar.StatsReport]()},
	}
}

func TestLookingPassesOnWhatItIsTold(t *testing.T) {
	for _, c := range []struct {
		args   []string
		called string
		look   func(f *fixture) any
		want   any
	}{
		{[]string{"export", "4f2a", "uploads", "-o", "/x", "--zstd", "--recipient", "age1a", "--recipient", "age1b,c", "-R", "/r"}, "export",
			func(f *fixture) any { return f.exported },
			sidecar.ExportOptions{Snapshot: "4f2a", Item: "uploads", File: "/x", Zstd: true, Recipients: []string{"age1a", "age1b,c"}, RecipientFiles: []string{"/r"}}},
		{[]string{"diff", "4f2a", "latest"}, "diff", func(f *fixture) any { return f.compared }, []string{"4f2a", "latest"}},
		{[]string{"find", "--all", "--item", "volume a,b", "--newer", "2026-01-02", "--older", "36h", "*.jpg", "/a,b"}, "find", func(f *fixture) any { return f.find }, sidecar.FindOptions{
			Patterns: []string{"*.jpg", "/a,b"}, Item: "volume a,b", All: true, Newer: time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC), Older: noon().Add(-36 * time.Hour)}},
		{[]string{"find", "--newer", "7d", "--older", "2026-02-28 01:02:03", "x"}, "find", func(f *fixture) any { return f.find }, sidecar.FindOptions{
			Patterns: []string{"x"}, Newer: noon().AddDate(0, 0, -7), Older: time.Date(2026, 2, 28, 1, 2, 3, 0, time.UTC)}},
		{[]string{"stats", "4f2a", "latest", "--all"}, "stats", func(f *fixture) any { return append(f.measured, fmt.Sprint(f.all)) }, []string{"4f2a", "latest", "true"}},
	} {
		f := fixed()
		r := run(t, f, c.args...)
		if r.code != 0 || !slices.Equal(f.called, []string{c.called}) {
			t.Errorf("%q: code %d, called %q: %s", c.args, r.code, f.called, r.stderr)
		}
		if got := c.look(f); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%q: got %v, want %v", c.args, got, c.want)
		}
	}
}

func TestLookingAsText(t *testing.T) {
	for _, c := range []struct {
		args []string
		want []string
	}{
		{[]string{"export", "latest", "uploads", "-o", "/drawer/x"}, []string{
			`left out: "run/\x1b[2Jsock": a socket`, "not whole in this snapshot: volume uploads\n", "exported volume uploads of snapshot 4f2a1c0b (2026-03-01 12:00:00)\n",
			"12 files, 5MiB; written: 2MiB, sha256 00ff\nto /drawer/x\n"}},
		{[]string{"diff", "a", "b"}, []string{
			`+      1MiB  "/shop/volumes/uploads/\xff\x1b[2J"` + "\n", "-         -  /shop/volumes/uploads/old\n", "M      3MiB  /shop/dumps/db/shop.dump  (was 2MiB, 512KiB are new)\n", "U        5B  /else\n",
			"\nsnapshot 4f2a1c0b of 2026-03-01 12:00:00, and 5b2f1c0b of", "volume uploads  changed  1, 1MiB  1, 7B    0, 0B > 0B      0         1MiB\n", `"volume new\n"  added`, "all  "}},
		{[]string{"find", "x"}, []string{
			`"/shop/volumes/uploads/\xff\x1b[2J"` + "\n", "        2MiB  2026-03-01 12:00:00  in 4f2a1c0b of 2026-03-01 12:00:00 to 6b2f1c0b of 2026-03-03 12:00:00, 3 snapshots\n",
			`     symlink  292277-01-01 00:00:00  in 7b2f1c0b of 2026-03-01 12:00:00  -> "to\xfe"` + "\n", "dir  2026-03-01 12:00:00  in 4f2a1c0b of 2026-03-01 12:00:00 and 5b2f1c0b of 2026-03-02 12:00:00\n"}},
		{[]string{"stats"}, []string{`"volume up\x1bloads"  2          24     10MiB    5MiB    2MiB    2.00   2.50` + "\n", "0B      -      -\n", "all                   2 "}},
		{[]string{"ls", "-l", "latest"}, []string{
			"drwxr-xr-x  0      0         0                 0  2026-03-01 12:00:00    /shop\n", "-rw-r--r--  1      www-data  34               12  2026-03-01 12:00:00    /shop/volumes/uploads/a b\n",
			"lrwxrwxrwx  1  ", `"/shop/volumes/uploads/\xff\x1b]0;x\a" -> "to\xfe\nthere"` + "\n"}},
	} {
		r := run(t, fixed(), c.args...)
		for _, want := range c.want {
			if !strings.Contains(r.out, want) {
				t.Errorf("%q: no %q in:\n%s%s", c.args, want, r.out, r.stderr)
			}
		}
		if !isVisible(r.out) {
			t.Errorf("%q: the output moves a terminal: %q", c.args, r.out)
		}
	}
}

func TestLookingAtUsage(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"export", "latest", "--json"}, "name a file with --output; see: ripplebak export --help"},
		{[]string{"export"}, "SNAPSHOT is missing"},
		{[]string{"diff", "a"}, "the second SNAPSHOT is missing"},
		{[]string{"find"}, "PATTERN is missing"},
		{[]string{"find", "x", "--newer", "yesterday"}, `--newer: \"yesterday\" is neither a date`},
		{[]string{"find", "x", "--older", "-3h"}, "--older: "},
	} {
		f := fixed()
		r := run(t, f, c.args...)
		if r.code != exitFailed || !strings.Contains(r.stderr, c.want) || r.out != "" || len(f.called) > 0 {
			t.Errorf("%q: code %d, output %q, called %q, error %q, want %q", c.args, r.code, r.out, f.called, r.stderr, c.want)
		}
	}
}

// TestExportToStandardOutput: the bytes go out as they are, and nothing else
// does; never to a terminal.
func TestExportToStandardOutput(t *testing.T) {
	for _, args := range [][]string{{"export", "latest"}, {"export", "latest", "-o", "-"}} {
		r := run(t, fixed(), args...)
		if r.code != 0 || r.out != exportedBytes || !strings.Contains(r.stderr, "exported volume uploads") || !isVisible(r.stderr) {
			t.Errorf("%q: code %d, output %q, error %q", args, r.code, r.out, r.stderr)
		}
		f := fixed()
		p, out, stderr := newProgram(f)
		p.outTerminal = true
		if code := p.main(t.Context(), args); code != exitFailed || len(f.called) > 0 || out.Len() > 0 || !strings.Contains(stderr.String(), "is a terminal") {
			t.Errorf("%q on a terminal: code %d, called %q, output %q, error %q", args, code, f.called, out, stderr)
		}
	}
}

func TestLookingWithoutDocker(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("DOCKER_HOST", "unix://"+filepath.Join(dir, "no-engine"))
	password := []string{"RIPPLEBAK_PASSWORD=one-of-these"}
	all := [][]string{{"diff", "latest", "latest"}, {"find", "x"}, {"stats"}, {"export", "latest"}, {"ls", "latest", "--long"}}
	for _, args := range all {
		if r := bare(t, dir, password, args...); r.code != exitNoRepository || r.out != "" {
			t.Errorf("%q without a repository: code %d, output %q, error %q", args, r.code, r.out, r.stderr)
		}
	}
	if r := bare(t, dir, password, "init"); r.code != exitDone {
		t.Fatal(r.stderr)
	}
	for _, args := range all {
		want := exitFailed
		if args[0] == "find" || args[0] == "stats" {
			want = exitDone
		}
		if r := bare(t, dir, password, args...); r.code != want || want == exitFailed && (r.out != "" || !strings.Contains(r.stderr, "no such snapshot")) {
			t.Errorf("%q of an empty one: code %d, output %q, error %q", args, r.code, r.out, r.stderr)
		}
	}
	drawer := filepath.Join(dir, "x.age")
	if r := bare(t, dir, password, "export", "latest", "-o", drawer, "--recipient", "age1no"); r.code != exitFailed || !strings.Contains(r.stderr, "age1no") {
		t.Errorf("a recipient that is none: code %d, error %q", r.code, r.stderr)
	}
	if _, err := os.Stat(drawer); err == nil {
		t.Error("a failed export left a file")
	}
}

func TestLongListingShowsDevices(t *testing.T) {
	f := fixed()
	f.entries = []sidecar.ListEntry{{Path: "/shop/dev", Type: "chardev", Bits: 0o600, Links: 2, Device: 8<<8 | 17, ModTime: noon()}}
	if r := run(t, f, "ls", "--long", "latest"); strings.Join(strings.Fields(r.out), " ") != "crw------- 2 0 0 8, 17 2026-03-01 12:00:00 /shop/dev" {
		t.Errorf("%q", r.out)
	}
}

func TestModeLetters(t *testing.T) {
	for _, c := range []struct {
		kind string
		mode os.FileMode
		want string
	}{
		{"file", 0o644, "-rw-r--r--"},
		{"file", 0o4755 &^ 0o4000, "-rwxr-xr-x"},
		{"file", 0o755 | os.ModeSetuid | os.ModeSetgid, "-rwsr-sr-x"},
		{"file", 0o644 | os.ModeSetuid | os.ModeSetgid, "-rwSr-Sr--"},
		{"dir", os.ModeDir | os.ModeSticky | 0o777, "drwxrwxrwt"},
		{"dir", os.ModeDir | os.ModeSticky | 0o770, "drwxrwx--T"},
		{"symlink", os.ModeSymlink | 0o777, "lrwxrwxrwx"},
		{"dev", os.ModeDevice, "b---------"},
		{"chardev", os.ModeDevice | os.ModeCharDevice | 0o600, "crw-------"},
		{"fifo", os.ModeNamedPipe | 0o600, "prw-------"},
		{"socket", os.ModeSocket | 0o600, "srw-------"},
		{"irregular", 0, "?---------"},
	} {
		if got := modeLetters(c.kind, c.mode); got != c.want {
			t.Errorf("%s %s: %s, want %s", c.kind, c.mode, got, c.want)
		}
	}
}
