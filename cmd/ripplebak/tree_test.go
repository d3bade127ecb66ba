package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// each calls fn for every command of ours.
func each(cmd *cobra.Command, fn func(*cobra.Command)) {
	fn(cmd)
	for _, c := range cmd.Commands() {
		if c.Name() != "help" { // the library's own
			each(c, fn)
		}
	}
}

func TestCommandsExplainThemselves(t *testing.T) {
	p, _, _ := newProgram(fixed())
	silent := []string{"ripplebak", "serve", "health", "completion", "helper", "database", "key", "repair"} // they print no result
	var names []string
	each(p.root(), func(c *cobra.Command) {
		names = append(names, commandName(c))
		if c.Short == "" || c.Long == "" || !c.Runnable() {
			t.Errorf("%s has no Short, no Long or nothing to run", c.Name())
		}
		_, status, ok := strings.Cut(c.Long, "\nEXIT STATUS\n")
		if !ok || !strings.Contains(status, "  1") && !strings.Contains(status, "  0") {
			t.Errorf("%s: no section EXIT STATUS with codes in its help", c.Name())
		}
		for line := range strings.Lines(c.Long) {
			if len(line) > 90 {
				t.Errorf("%s: the help has a line of %d characters: %s", c.Name(), len(line), line)
			}
		}
		if c.Example == "" && !c.Hidden {
			t.Errorf("%s has no example", c.Name())
		}
		if has := c.Flags().Lookup("json") != nil; has == slices.Contains(silent, c.Name()) {
			t.Errorf("%s: has --json: %v", c.Name(), has)
		}
	})
	for _, want := range []string{"serve", "backup", "restore", "snapshots", "ls", "plan", "check", "init", "health", "version", "completion", "helper", "key list", "key add", "key remove", "key passwd", "repair index", "repair packs", "repair snapshots", "unlock"} {
		if !slices.Contains(names, want) {
			t.Errorf("there is no command %q", want)
		}
	}
	for _, c := range jsonCases() {
		if !slices.Contains(names, c.name) {
			t.Errorf("golden file for %q, which is no command", c.name)
		}
	}
}

func TestEveryJSONCommandHasAGoldenFile(t *testing.T) {
	p, _, _ := newProgram(fixed())
	var golden []string
	for _, c := range jsonCases() {
		golden = append(golden, c.name)
	}
	each(p.root(), func(c *cobra.Command) {
		if c.Flags().Lookup("json") != nil && !slices.Contains(golden, commandName(c)) {
			t.Errorf("%s prints JSON that no test looks at", c.Name())
		}
	})
}

func TestHelpGoesToStandardOutput(t *testing.T) {
	f := fixed()
	for _, args := range [][]string{{}, {"--help"}, {"restore", "--help"}, {"help", "backup"}} {
		r := run(t, f, args...)
		if r.code != 0 || !strings.Contains(r.out, "EXIT STATUS") || r.stderr != "" {
			t.Errorf("%q: code %d, standard error %q, output %q", args, r.code, r.stderr, r.out)
		}
	}
	if len(f.called) > 0 {
		t.Errorf("help called %q", f.called)
	}
}

func TestUsageErrorsSayWhereHelpIs(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"restore"}, "SNAPSHOT is missing; see: ripplebak restore --help"},
		{[]string{"restore", "a", "b"}, `argument "b" is one too many; see: ripplebak restore --help`},
		{[]string{"ls"}, "SNAPSHOT is missing"},
		{[]string{"backup", "--jsn"}, "unknown flag: --jsn; see: ripplebak backup --help"},
		{[]string{"snapshot"}, `unknown command "snapshot" for "ripplebak"`},
		{[]string{"completion", "csh"}, `"csh" is none of the shells`},
	} {
		f := fixed()
		r := run(t, f, c.args...)
		if r.code != exitFailed || !strings.Contains(r.stderr, c.want) || r.out != "" || len(f.called) > 0 {
			t.Errorf("%q: code %d, output %q, called %q, error %q, want %q", c.args, r.code, r.out, f.called, r.stderr, c.want)
		}
	}
}

func TestCompletionScripts(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		if r := run(t, fixed(), "completion", shell); r.code != 0 || !strings.Contains(r.out, "ripplebak") || r.stderr != "" {
			t.Errorf("%s: code %d, %d bytes, error %q", shell, r.code, len(r.out), r.stderr)
		}
	}
}
