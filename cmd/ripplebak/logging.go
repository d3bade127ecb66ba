package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"github.com/ripplebak/ripplebak/sidecar"
)

// newLog makes the log: lines for people on a terminal, else JSON.
func (s *session) newLog() zerolog.Logger {
	var out io.Writer = s.display
	if !s.jsonLog {
		out = zerolog.ConsoleWriter{
			Out: s.display, NoColor: !s.program.errTerminal, TimeFormat: time.DateTime, TimeLocation: s.settings.Location,
			FormatMessage: func(m any) string {
				if m == nil {
					return ""
				}
				return visible(fmt.Sprint(m))
			},
		}
	}
	level, err := zerolog.ParseLevel(s.settings.LogLevel)
	if err != nil {
		level = zerolog.InfoLevel // settings allow no other but known ones
	}
	// Secrets are taken out while the line is JSON: in a console's line a
	// quoted one would no longer look like itself.
	return zerolog.New(jsonRedactor{s.redactor, out}).Level(level).Hook(stamp{s.program.now, s.settings.Location})
}

// stamp gives each line the time by the program's own clock.
type stamp struct {
	now  func() time.Time
	zone *time.Location
}

func (h stamp) Run(e *zerolog.Event, _ zerolog.Level, _ string) {
	e.Str(zerolog.TimestampFieldName, h.now().In(h.zone).Format(time.RFC3339))
}

// jsonRedactor redacts each line of a log, which comes in one write.
type jsonRedactor struct {
	redactor *sidecar.Redactor
	out      io.Writer
}

func (w jsonRedactor) Write(line []byte) (int, error) {
	if _, err := w.out.Write(redactJSON(line, w.redactor.Redact)); err != nil {
		return 0, err
	}
	return len(line), nil
}

// complain says why a command failed, in the form that its log has.
func (p *program) complain(err error) {
	s := p.session
	switch {
	case err.Error() == errInterrupted.Error():
		return // it was said when it happened
	case s != nil && s.jsonLog:
		s.log.WithLevel(zerolog.ErrorLevel).Str("error", err.Error()).Msg("failed")
		return
	case s != nil:
		text := s.redactor.Redact(err.Error())
		fmt.Fprintln(p.err, "ripplebak: "+indented(visible(text)))
		return
	}
	// Settings and command lines are the only faults before there is a
	// session; both name variables and flags, never their values.
	fmt.Fprintln(p.err, "ripplebak: "+indented(visible(err.Error())))
}

// indented sets further lines of a message apart from the next message.
func indented(text string) string {
	return strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n  ")
}
