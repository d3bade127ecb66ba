package dump

import (
	"errors"
	"os/exec"
	"strings"
	"testing"
)

func commandFacts(t *testing.T, req Request, answer string) Facts {
	t.Helper()
	facts, err := ShellCommand{}.ParseProbe(req, []byte(answer))
	if err != nil {
		t.Fatal(err)
	}
	return facts
}

func TestCommandAsksTheShellForPipefail(t *testing.T) {
	for shell, want := range map[string]bool{"bash": true, "dash": false} {
		path, err := exec.LookPath(shell)
		if err != nil {
			t.Skipf("there is no %s", shell)
		}
		argv := ShellCommand{}.Probe(Request{}).Argv
		out, err := exec.Command(path, argv[1:]...).Output()
		if err != nil {
			t.Fatal(err)
		}
		if got := commandFacts(t, Request{Command: "x"}, string(out)).Command.Pipefail; got != want {
			t.Errorf("%s: pipefail %v, want %v", shell, got, want)
		}
	}
	for _, bad := range []string{"", "pipefail", "plain\n", "other\nend\n", "plain\nend\nend\n"} {
		if _, err := (ShellCommand{}).ParseProbe(Request{}, []byte(bad)); err == nil {
			t.Errorf("%q is taken for an answer", bad)
		}
	}
}

func TestF09_CommandWithAPipeThatHidesAFailure(t *testing.T) {
	req := Request{Service: "a/b", Command: "tool | gzip", RestoreCommand: "gunzip | tool"}
	facts := commandFacts(t, req, "pipefail\nend\n")
	if _, err := (ShellCommand{}).Files(req, facts); err == nil || !strings.Contains(err.Error(), "ripplebak.dump.command: 'set -o pipefail; tool | gzip'") {
		t.Errorf("the pipe is not refused: %v", err)
	}
	if err := (ShellCommand{}).CanRestore(facts, facts); !errors.Is(err, ErrBadRequest) || !strings.Contains(err.Error(), "'set -o pipefail; gunzip | tool'") {
		t.Errorf("the restore is not refused: %v", err)
	}
	if len(facts.Warnings) != 1 || !strings.Contains(facts.Warnings[0], "could not be restored as it is now") {
		t.Errorf("nobody is warned: %q", facts.Warnings)
	}

	req.Command, req.RestoreCommand = "set -o pipefail; tool | gzip", "set -o pipefail; gunzip | tool"
	facts = commandFacts(t, req, "pipefail\nend\n")
	files, err := ShellCommand{}.Files(req, facts)
	if err != nil || len(files) != 1 || files[0].Name != "a%2Fb.dump" || !files[0].Command.Gate {
		t.Fatalf("%+v, %v", files, err)
	}
	if got := strings.Join(files[0].Command.Argv, "\n"); got != "sh\n-c\n"+req.Command {
		t.Errorf("it runs %q", got)
	}
	if len(facts.Warnings) != 0 {
		t.Errorf("warnings: %q", facts.Warnings)
	}

	req.Command = "tool | gzip"
	facts = commandFacts(t, req, "plain\nend\n")
	if _, err := (ShellCommand{}).Files(req, facts); err != nil {
		t.Errorf("a shell without pipefail cannot be told: %v", err)
	}
	if len(facts.Warnings) != 1 || !strings.Contains(facts.Warnings[0], "ripplebak.dump.command has a pipe") {
		t.Errorf("nobody is warned: %q", facts.Warnings)
	}
}

func TestCommandWithoutAWayBack(t *testing.T) {
	req := Request{Service: "app", Command: "tool"}
	facts := commandFacts(t, req, "pipefail\nend\n")
	if len(facts.Warnings) != 1 || !strings.Contains(facts.Warnings[0], `only "export"`) {
		t.Errorf("nobody is warned: %q", facts.Warnings)
	}
	if err := (ShellCommand{}).CheckRestore(req); !errors.Is(err, ErrBadRequest) {
		t.Errorf("a restore is not refused: %v", err)
	}
	if _, err := (ShellCommand{}).Restore(RestoreRequest{Target: facts}); err == nil {
		t.Error("a restore has steps")
	}
	req.RestoreCommand = "load"
	facts = commandFacts(t, req, "pipefail\nend\n")
	steps, err := ShellCommand{}.Restore(RestoreRequest{Target: facts, Database: "all"})
	if err != nil || len(steps) != 1 || steps[0].Input != InputDump || !steps[0].Command.Stdin || steps[0].Command.Argv[2] != "load" {
		t.Errorf("%+v, %v", steps, err)
	}
	if _, err := (ShellCommand{}).Restore(RestoreRequest{Target: facts, Database: "all", NewName: "other"}); err == nil {
		t.Error("it restores under another name")
	}
}

func TestCommandRefuses(t *testing.T) {
	for _, req := range []Request{{}, {Command: " "}, {Command: "x", Databases: []string{"shop"}}} {
		if err := (ShellCommand{}).Check(req); !errors.Is(err, ErrBadRequest) {
			t.Errorf("%+v: %v", req, err)
		}
	}
	if err := (ShellCommand{}).Judge(RoleDatabase, "all").Finish(); !errors.Is(err, ErrEmptyDump) {
		t.Errorf("an empty dump: %v", err)
	}
	if err := (ShellCommand{}).CanRestore(Facts{Engine: "command"}, Facts{Engine: "redis"}); !errors.Is(err, ErrBadRequest) {
		t.Errorf("another engine's dump: %v", err)
	}
}
