package main

import (
	"fmt"
	"io"

	"github.com/ripplebak/ripplebak/sidecar"
)

// askToRun shows a command that somebody has to run on the host. For programs it
// is a line of the log, with the command as the field host_command.
func (s *session) askToRun(a sidecar.Asked) error {
	if s.json {
		s.log.Info().Str("host_command", a.Command).Msg("run this on the host")
		return nil
	}
	var out io.Writer = s.program.out
	if s.display.live {
		out = s.display
	}
	return s.printTo(out, func(w io.Writer) error {
		_, err := fmt.Fprintf(w, "\nRun this on the host, in another terminal:\n\n    %s\n\n", a.Command)
		if err == nil && a.Then != "" {
			_, err = fmt.Fprintf(w, "%s\n", a.Then)
		}
		return err
	})
}
