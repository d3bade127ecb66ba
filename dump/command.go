package dump

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// ShellCommand is the engine "command": the labels themselves say what writes a
// dump and what reads it. They run in their own container, as its own user.
type ShellCommand struct{}

// commandItem is the one item: nobody knows what is in the dump.
const commandItem = "all"

// CommandFacts is what is known of a container before a command is run there.
type CommandFacts struct {
	// Pipefail says that its shell can tell that a part of a pipe has failed.
	Pipefail bool `json:"pipefail"`

	// restore is the label's command for the way back, as it is today.
	restore string
}

// Name is the engine's name in the label.
func (ShellCommand) Name() string { return "command" }

// Check refuses what has no command, or names databases: there are none.
func (ShellCommand) Check(req Request) error {
	if strings.TrimSpace(req.Command) == "" {
		return fmt.Errorf("%w: there is no ripplebak.dump.command", ErrBadRequest)
	}
	for _, name := range req.Databases {
		if name != commandItem {
			return fmt.Errorf("%w: there is no database %q: what the command writes is one dump", ErrBadRequest, name)
		}
	}
	return nil
}

// commandProbe asks the shell whether it has pipefail, in a child of it, for
// dash ends when it is told an option that it does not know.
const commandProbe = `if (set -o pipefail) 2>/dev/null; then echo pipefail; else echo plain; fi
echo end
`

// Probe asks the container for its shell.
func (ShellCommand) Probe(Request) Command {
	return Command{Argv: shell(commandProbe), Show: "sh -c 'set -o pipefail' (whether the shell can tell that a part of a pipe has failed)"}
}

var errNotCommand = errors.New("nothing is recorded of the container's shell")

// ParseProbe reads the answer, and warns of what the labels leave open.
func (e ShellCommand) ParseProbe(req Request, stdout []byte) (Facts, error) {
	lines := strings.Fields(string(stdout))
	if len(lines) != 2 || lines[1] != "end" || lines[0] != "pipefail" && lines[0] != "plain" {
		return Facts{}, fmt.Errorf("%w: it has no end", errProbe)
	}
	facts := Facts{
		Engine: e.Name(), FreeBytes: -1, Databases: []Database{{Name: commandItem, Size: -1, AllowConn: true}},
		Command: &CommandFacts{Pipefail: lines[0] == "pipefail", restore: req.RestoreCommand},
	}
	for _, c := range [...]struct{ label, command string }{{"dump.command", req.Command}, {"restore.command", req.RestoreCommand}} {
		if pipesOf(c.command, facts.Command.Pipefail).blind {
			facts.Warnings = append(facts.Warnings, "ripplebak."+c.label+" has a pipe, and its shell has no pipefail: when a part before the last fails, nobody sees it. "+
				"Do without the pipe (dumps are compressed anyway), or run it by a shell that has it, as in bash -c 'set -o pipefail; ...'")
		}
	}
	switch {
	case req.RestoreCommand == "":
		facts.Warnings = append(facts.Warnings, `there is no ripplebak.restore.command: only "export" gets this dump back, as a file`)
	case pipesOf(req.RestoreCommand, facts.Command.Pipefail).bare:
		facts.Warnings = append(facts.Warnings, "it could not be restored as it is now: "+pipeAdvice("restore.command", req.RestoreCommand))
	}
	return facts, nil
}

// FallbackDataDirs are none: nobody knows where the data is that a command
// dumps.
func (ShellCommand) FallbackDataDirs(func(string) string, []string) []string { return nil }

// Files is the one file.
func (e ShellCommand) Files(req Request, facts Facts) ([]File, error) {
	if err := e.Check(req); err != nil {
		return nil, err
	}
	if facts.Command == nil {
		return nil, errNotCommand
	}
	if req.Databases != nil && len(req.Databases) == 0 {
		return nil, nil
	}
	if pipesOf(req.Command, facts.Command.Pipefail).bare {
		return nil, errors.New(pipeAdvice("dump.command", req.Command))
	}
	return []File{{
		Name: EscapeName(req.Service) + ".dump", Item: commandItem, Role: RoleDatabase,
		Command:  Command{Argv: commandArgv(req.Command), Gate: true, Show: req.Command},
		NewProof: func() Proof { return &countProof{} },
	}}, nil
}

// commandArgv runs the text of a label, which is the user's own.
func commandArgv(text string) []string { return []string{"sh", "-c", text} }

// Skipped is nothing.
func (ShellCommand) Skipped(Request, Facts) []string { return nil }

// Judge can only say that there is something: that the command succeeded and
// that no byte was lost was proven when it ran.
func (ShellCommand) Judge(Role, string) Proof { return &countProof{} }

// countProof is content that nobody here can read.
type countProof struct{ n int64 }

func (p *countProof) Write(b []byte) (int, error) {
	p.n += int64(len(b))
	return len(b), nil
}

func (p *countProof) Finish() error {
	if p.n == 0 {
		return ErrEmptyDump
	}
	return nil
}

func (p *countProof) Summary() string { return strconv.FormatInt(p.n, 10) + " bytes" }

// Ready is no command: the healthcheck says it, or else that the container
// runs.
func (ShellCommand) Ready() Command { return Command{} }

// CheckRestore refuses a restore without a command for it.
func (ShellCommand) CheckRestore(req Request) error {
	if strings.TrimSpace(req.RestoreCommand) == "" {
		return fmt.Errorf(`%w: service %q has no label ripplebak.restore.command beside ripplebak.dump: command, which would read the dump from its standard input; add it and run "docker compose up -d %s", or get the dump as a file with "export" or --to-dir`,
			ErrBadRequest, req.Service, req.Service)
	}
	return nil
}

// CanRestore refuses a command that would hide that it has failed.
func (ShellCommand) CanRestore(dumped, target Facts) error {
	switch {
	case dumped.Engine != target.Engine:
		return fmt.Errorf("%w: a dump by %s cannot be restored by %s", ErrBadRequest, dumped.Engine, target.Engine)
	case target.Command == nil:
		return errNotCommand
	case pipesOf(target.Command.restore, target.Command.Pipefail).bare:
		return fmt.Errorf("%w: %s", ErrBadRequest, pipeAdvice("restore.command", target.Command.restore))
	}
	return nil
}

// SpaceNeeded is not known.
func (ShellCommand) SpaceNeeded(Facts, string, int64) int64 { return 0 }

// RestoreGlobals has nothing to do: there are none.
func (ShellCommand) RestoreGlobals(GlobalsRequest) ([]Step, []string, error) { return nil, nil, nil }

// Restore pipes the dump into the command, which must read all of it.
func (e ShellCommand) Restore(req RestoreRequest) ([]Step, error) {
	if req.Target.Command == nil || req.Target.Command.restore == "" {
		return nil, e.CheckRestore(Request{})
	}
	if req.NewName != "" {
		return nil, fmt.Errorf("%w: a command restores under no other name", ErrBadRequest)
	}
	text := req.Target.Command.restore
	return []Step{{
		Name: "ripplebak.restore.command", Cause: "it reads the dump",
		Command: Command{Argv: commandArgv(text), Stdin: true, Show: text}, Input: InputDump,
	}}, nil
}

// Recover knows nothing: see InPlace.
func (ShellCommand) Recover(RecoverRequest) (Recovery, error) { return Recovery{}, errInPlace }

// Leftovers are none that anybody could know.
func (ShellCommand) Leftovers(Facts) []string { return nil }

// InPlace shows the command, and what it is not known to do.
func (ShellCommand) InPlace(_ string, req Request, _ Facts) (command, note string) {
	return req.RestoreCommand, "what ripplebak.restore.command leaves behind when it fails is that command's own matter: ripplebak cannot promise that the old data stays"
}

// Explain says what the shell's own exit codes mean.
func (ShellCommand) Explain(stderr string, exit int) string {
	switch exit {
	case 126:
		return "a program of the command cannot be run, or the container has no sh"
	case 127:
		return "a program of the command is not in the container, or the container has no sh"
	case 137:
		return "the command was killed: the container was stopped, or memory ran out"
	case 143:
		return "the command was ended: the container was stopped"
	}
	if strings.Contains(stderr, "No space left on device") {
		return "no space is left where the command writes"
	}
	return ""
}
