package main

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/ripplebak/ripplebak/sidecar"
)

// TestF48_NoSecretLeaves plants the password in everything that a command can
// print, in each form of output.
func TestF48_NoSecretLeaves(t *testing.T) {
	plant := func() *fixture {
		f := fixed()
		f.plan.Warnings = []string{"pw " + testSecret}
		f.plan.Items[0].Dump.Commands = []string{"echo " + testSecret}
		f.backup.Items[1].Warnings = []string{testSecret}
		f.backup.Items[2].Error = testSecret
		f.restore.Plan.Warnings = []string{testSecret}
		f.restore.Items[1].Error = testSecret
		f.restore.Notes = []string{testSecret}
		f.snapshots[0].Host = testSecret
		f.entries[1].Path = "/" + testSecret
		f.check.Findings[0].Detail = testSecret
		f.init.Repository = "https://" + testSecret + "@host"
		f.err = errors.New("with " + testSecret)
		f.during = func(_ context.Context, app *sidecar.App) error {
			app.Log.Warn().Str("command", "echo "+testSecret).Msg("message " + testSecret)
			return nil
		}
		return f
	}
	quoted, err := json.Marshal(testSecret)
	if err != nil {
		t.Fatal(err)
	}
	lines := [][]string{{"plan"}, {"backup"}, {"restore", "latest", "--yes"}, {"restore", "latest", "--dry-run"}, {"snapshots"}, {"ls", "latest"}, {"check"}, {"init"}, {"health"}, {"serve"}}
	for _, args := range lines {
		for _, more := range [][]string{nil, {"--json"}} {
			if more != nil && (args[0] == "health" || args[0] == "serve") {
				continue
			}
			for _, terminal := range []bool{false, true} {
				p, out, stderr := newProgram(plant())
				p.errTerminal = terminal
				p.main(t.Context(), append(append([]string{}, args...), more...))
				all := out.String() + stderr.String()
				if !strings.Contains(all, "***") {
					t.Errorf("%q %q: nothing was redacted in %s", args, more, all)
				}
				for _, form := range []string{testSecret, string(quoted[1 : len(quoted)-1]), `Hunt\"er<2>`, printable(testSecret)} {
					if strings.Contains(all, form) {
						t.Errorf("%q %q, terminal %v: the secret left the program as %q:\n%s", args, more, terminal, form, all)
					}
				}
			}
		}
	}
}

func TestRedactJSONLeavesTheStructureAlone(t *testing.T) {
	redact := sidecar.NewRedactor([]string{"project", `a"b\c<d>`}).Redact
	in := []byte(`{"project":"my project","x":["a\"b\\c\u003cd>",{"project" : 1}],"y":"\"project\":"}`)
	want := `{"project":"my ***","x":["***",{"project" : 1}],"y":"\"***\":"}`
	if got := string(redactJSON(in, redact)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func FuzzRedactJSON(f *testing.F) {
	f.Add("secret", "a secret b", "key")
	f.Add(`q"uo\te`, `x q"uo\te y`, `q"uo\te`)
	f.Add("\u2028line", "\u2028line", ":")
	f.Add("aaaaaa", "aaaaaaaaaaaaa", "")
	f.Fuzz(func(t *testing.T, secret, text, key string) {
		if len(strings.TrimSpace(secret)) < 6 || !utf8.ValidString(secret) || !utf8.ValidString(text) || strings.Contains("***", strings.TrimSpace(secret)) {
			return
		}
		r := sidecar.NewRedactor([]string{secret})
		b, err := encodeJSON(map[string]any{key: []string{text, text + secret}}, " ")
		if err != nil {
			t.Fatal(err)
		}
		out := redactJSON(b, r.Redact)
		var back map[string][]string
		if err := json.Unmarshal(out, &back); err != nil {
			t.Fatalf("no longer JSON: %s", out)
		}
		for _, values := range back {
			if len(values) != 2 || values[0] != r.Redact(text) || values[1] != r.Redact(text+secret) {
				t.Errorf("got %q", values)
			}
		}
	})
}

func TestVisible(t *testing.T) {
	for in, want := range map[string]string{
		"plain\ttext\n":    "plain\ttext\n",
		"größe 漢字":         "größe 漢字",
		"\x1b[31mred":      `\x1b[31mred`,
		"\r\x00\x7f":       `\r\x00\x7f`,
		"\u009b2J":         `\u009b2J`,
		"abc\u202efdp.exe": `abc\u202efdp.exe`,
		"\xff\xfe":         `\xff\xfe`,
		"":                 "",
	} {
		if got := visible(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
	for in, want := range map[string]string{
		"name": "name", "a b": "a b", " a": `" a"`, "": `""`, "a\nb": `"a\nb"`, `a"b`: `"a\"b"`, `a\b`: `"a\\b"`,
	} {
		if got := printable(in); got != want {
			t.Errorf("%q: got %s, want %s", in, got, want)
		}
	}
}

func FuzzVisible(f *testing.F) {
	f.Add("\x1b]0;title\a")
	f.Add("a\xc3(b\u2066")
	f.Fuzz(func(t *testing.T, s string) {
		out := visible(s)
		if !isVisible(out) || !utf8.ValidString(out) {
			t.Errorf("%q became %q", s, out)
		}
		if isVisible(s) && out != s {
			t.Errorf("%q needed no change and became %q", s, out)
		}
		if name := printable(s); !isVisible(name) || strings.ContainsAny(name, "\n\t") {
			t.Errorf("%q as a name: %q", s, name)
		}
	})
}

func TestLogFormats(t *testing.T) {
	for _, c := range []struct {
		terminal, flag bool
		format         string
		json           bool
	}{
		{false, false, "", true},
		{true, false, "", false},
		{true, true, "", true},
		{true, true, "console", false},
		{true, false, "json", true},
		{false, false, "console", false},
	} {
		f := fixed()
		f.err = errors.New("it broke\nin two lines")
		f.during = func(_ context.Context, app *sidecar.App) error {
			app.Log.Info().Str("item", "volume \x1b[2J").Msg("item \x1b[2J saved")
			app.Log.Debug().Msg("details")
			return nil
		}
		p, _, stderr := newProgram(f)
		p.errTerminal = c.terminal
		p.environ = append(p.environ, "RIPPLEBAK_LOG_FORMAT="+c.format, "TZ=Europe/Berlin")
		args := []string{"snapshots"}
		if c.flag {
			args = append(args, "--json")
		}
		p.main(t.Context(), args)
		text := stderr.String()
		if strings.Contains(text, "\x1b[2J") || strings.Contains(text, "details") {
			t.Errorf("%+v: %q", c, text)
		}
		if c.json {
			for line := range strings.Lines(text) {
				var v struct{ Level, Time, Message string }
				if err := json.Unmarshal([]byte(line), &v); err != nil || v.Time != "2026-03-01T13:00:00+01:00" || v.Message == "" || v.Level == "" {
					t.Errorf("%+v: line %q: %v", c, line, err)
				}
			}
			continue
		}
		if !strings.Contains(text, "ripplebak: it broke\n  in two lines\n") || !strings.Contains(text, "2026-03-01 13:00:00") || strings.Contains(text, `{"level"`) {
			t.Errorf("%+v: %q", c, text)
		}
	}
}

func TestLongListingsComeInBatches(t *testing.T) {
	f := fixed()
	f.entries = nil
	const n = 2*streamBatch + 1
	for range n {
		f.entries = append(f.entries, fixedEntries()[1])
	}
	for _, args := range [][]string{{"ls", "latest"}, {"ls", "latest", "--json"}} {
		if r := run(t, f, args...); strings.Count(r.out, "\n") != n {
			t.Errorf("%q: %d lines, want %d", args, strings.Count(r.out, "\n"), n)
		}
	}
	f.err = errors.New("a tree is damaged")
	for _, args := range [][]string{{"ls", "latest"}, {"ls", "latest", "--json"}} {
		if r := run(t, f, args...); strings.Count(r.out, "\n") != n || r.code != exitFailed {
			t.Errorf("%q: what was listed before the error is not shown: %d lines, code %d", args, strings.Count(r.out, "\n"), r.code)
		}
	}
}

func TestNamesThatAreNoUTF8SurviveInJSON(t *testing.T) {
	r := run(t, fixed(), "ls", "latest", "--json")
	var last struct {
		PathRaw   []byte `json:"path_raw"`
		TargetRaw []byte `json:"target_raw"`
		ModTime   string `json:"mtime"`
	}
	for line := range strings.Lines(r.out) {
		if err := json.Unmarshal([]byte(line), &last); err != nil {
			t.Fatal(err)
		}
	}
	e := fixedEntries()[2]
	if string(last.PathRaw) != e.Path || string(last.TargetRaw) != e.Target {
		t.Errorf("got %q and %q", last.PathRaw, last.TargetRaw)
	}
	if last.ModTime != "292277-01-01T00:00:00.000000001Z" {
		t.Errorf("a far time became %q", last.ModTime)
	}
}

// failingWriter is standard output on a full disk.
type failingWriter struct{}

func (failingWriter) Write([]byte) (int, error) { return 0, errors.New("no space left on device") }

func TestOutputThatCannotBeWrittenIsAFailure(t *testing.T) {
	for _, args := range [][]string{{"plan"}, {"backup"}, {"restore", "latest", "--yes"}, {"snapshots"}, {"ls", "latest"}, {"check"}, {"init"}, {"version"}} {
		for _, more := range [][]string{nil, {"--json"}} {
			p, _, stderr := newProgram(fixed())
			p.out = failingWriter{}
			if code := p.main(t.Context(), append(append([]string{}, args...), more...)); code != exitFailed || !strings.Contains(stderr.String(), "no space left") {
				t.Errorf("%q %q: code %d, error %q", args, more, code, stderr)
			}
		}
	}
}
