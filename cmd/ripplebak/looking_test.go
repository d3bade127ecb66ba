package main

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/ripplebak/ripplebak/sidecar"
)

func lookingJSONCases() []jsonCase {
	return []jsonCase{
		{"export", []string{"export", "latest", "uploads", "-o", "/drawer/uploads.tar", "--json"}, nil, exitDone, reflect.TypeFor[sidecar.ExportReport]()},
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
