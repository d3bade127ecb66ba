package main

import (
	"bytes"
	"context"
	"io"
	"math"
	"strings"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"github.com/ripplebak/ripplebak/sidecar"
	"github.com/ripplebak/ripplebak/sidecar/settings"
)

// session is one command while it runs: its application, and the way out for
// everything that it says.
type session struct {
	program  *program
	settings *settings.Settings
	app      application
	log      zerolog.Logger
	redactor *sidecar.Redactor
	display  *display
	// json says that results are wanted as JSON; jsonLog that logs are.
	json, jsonLog bool
}

// begin reads the settings and makes the session of a command.
func (p *program) begin(cmd *cobra.Command, args []string) (*session, error) {
	set, err := settings.Load(p.environ, p.readFile)
	if err != nil {
		return nil, err
	}
	if set.CPUs > 0 && p.limitCPUs != nil {
		p.limitCPUs(int(math.Ceil(set.CPUs)))
	}
	app := &sidecar.App{
		Settings: set, Now: p.now, Version: p.build.Version,
		Command: commandLine(cmd, args), From: readsFrom(cmd), Crash: crashPoint(p.env),
	}
	s := &session{program: p, settings: set, redactor: app.Redactor(), json: wantsJSON(cmd)}
	s.jsonLog = set.LogFormat == "json" || set.LogFormat == "" && (s.json || !p.errTerminal)
	s.display = newDisplay(p.err, p.now, p.size, s.name, p.errTerminal && !s.jsonLog)
	s.log = s.newLog()
	app.Log, app.Progress = s.log, s.display
	if app, err = forProject(cmd, app); err != nil {
		return nil, err
	}
	s.app = p.open(app)
	p.session = s
	p.signals.set(func(text string) { s.log.Warn().Msg(text) })
	return s, nil
}

// with runs a command in a session of its own.
func (p *program) with(do func(ctx context.Context, s *session, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		s, err := p.begin(cmd, args)
		if err != nil {
			return err
		}
		s.display.start()
		return do(cmd.Context(), s, args)
	}
}

// commandLine is what others are told who have to wait for this command.
func commandLine(cmd *cobra.Command, args []string) string {
	return strings.Join(append([]string{commandName(cmd)}, args...), " ")
}

// commandName is a command with those that it belongs to, as "key list".
func commandName(cmd *cobra.Command) string {
	return strings.TrimPrefix(cmd.CommandPath(), cmd.Root().Name()+" ")
}

// addJSON gives a command the flag that wantsJSON looks for.
func addJSON(cmd *cobra.Command) {
	cmd.Flags().Bool("json", false, "print the result as JSON, as docs/json.md describes it")
}

func wantsJSON(cmd *cobra.Command) bool {
	f := cmd.Flags().Lookup("json")
	return f != nil && f.Value.String() == "true"
}

// print writes text for people to standard output.
func (s *session) print(write func(io.Writer) error) error {
	return s.printTo(s.program.out, write)
}

// printTo composes a text as a whole, so that neither a secret nor a character
// is split over two writes, and writes it out.
func (s *session) printTo(out io.Writer, write func(io.Writer) error) error {
	var b bytes.Buffer
	if err := write(&b); err != nil {
		return err
	}
	_, err := io.WriteString(out, visible(s.redactor.Redact(b.String())))
	return err
}
