package main

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/ripplebak/ripplebak/sidecar"
)

// TestNewPasswordComesFromWhereItIsNotSeen: a file, the settings or a terminal.
func TestNewPasswordComesFromWhereItIsNotSeen(t *testing.T) {
	for name, c := range map[string]struct {
		args     []string
		setting  string
		terminal []string
		want     string
		fails    string
	}{
		"file":           {args: []string{"--new-password-file", "f"}, setting: "from settings", want: "from a file"},
		"settings":       {setting: "from settings", terminal: []string{"a"}, want: "from settings"},
		"terminal":       {terminal: []string{"typed it", "typed it"}, want: "typed it"},
		"typing error":   {terminal: []string{"typed it", "typed is"}, fails: "not the same"},
		"nothing typed":  {terminal: []string{"", ""}, fails: "empty"},
		"space":          {terminal: []string{"x ", "x "}, fails: "white space"},
		"nobody to ask":  {fails: "--new-password-file"},
		"empty file":     {args: []string{"--new-password-file", "empty"}, fails: "empty"},
		"no such file":   {args: []string{"--new-password-file", "none"}, fails: "no such"},
		"never argument": {args: []string{"secret"}, fails: "one too many"},
	} {
		for _, do := range []string{"add", "passwd"} {
			f := fixed()
			p, _, stderr := newProgram(f)
			p.environ = []string{"RIPPLEBAK_PASSWORD=" + testSecret, "RIPPLEBAK_NEW_PASSWORD=" + c.setting}
			p.inTerminal = c.terminal != nil
			answers := c.terminal
			p.readSecret = func(context.Context) (string, error) {
				a := answers[0]
				answers = answers[1:]
				return a, nil
			}
			p.readFile = func(name string) ([]byte, error) {
				switch name {
				case "f":
					return []byte("from a file\n"), nil
				case "empty":
					return []byte("\n"), nil
				}
				return nil, errors.New("no such file")
			}
			code := p.main(t.Context(), append([]string{"key", do}, c.args...))
			if c.fails != "" {
				if code != exitFailed || len(f.called) > 0 || !strings.Contains(stderr.String(), c.fails) {
					t.Errorf("%s, %s: code %d, called %q: %s", name, do, code, f.called, stderr)
				}
				continue
			}
			if code != exitDone || f.changed.NewPassword != c.want || string(f.changed.Do) != do {
				t.Errorf("%s, %s: code %d, %+v: %s", name, do, code, f.changed, stderr)
			}
		}
	}
}

func TestKeyRemoveAsks(t *testing.T) {
	if r := run(t, fixed(), "key", "remove", "5b2f"); r.code != exitFailed || !strings.Contains(r.stderr, "--yes") {
		t.Errorf("without a terminal: code %d, %s", r.code, r.stderr)
	}
	for answer, want := range map[string]int{"y": exitDone, "n": exitFailed} {
		f := fixed()
		p, _, stderr := newProgram(f)
		p.inTerminal, p.readLine = true, func(context.Context) (string, error) { return answer, nil }
		if code := p.main(t.Context(), []string{"key", "remove", "5b2f"}); code != want || f.changed.Key != "5b2f" || f.changed.Do != sidecar.RemoveKey {
			t.Errorf("answer %q: code %d, %+v, %s", answer, code, f.changed, stderr)
		}
		if !strings.Contains(stderr.String(), "remove key 5b2f1c0b: the old password opens it") {
			t.Errorf("it does not say what it would do:\n%s", stderr)
		}
	}
}

func TestKeyText(t *testing.T) {
	r := run(t, fixed(), "key", "list")
	if !strings.Contains(r.out, "*4f2a1c0b  2026-03-01 12:00:00  root") || !strings.Contains(r.out, "not a key file") || !isVisible(r.out) {
		t.Errorf("list: %q", r.out)
	}
	r = run(t, fixed(), "key", "passwd")
	for _, want := range []string{"added key 4f2a1c0b: for the new password\n", "remove key 5b2f1c0b", "put the new password into RIPPLEBAK_PASSWORD"} {
		if !strings.Contains(r.out, want) {
			t.Errorf("passwd: no %q in %q", want, r.out)
		}
	}
}
