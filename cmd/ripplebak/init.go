package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/ripplebak/ripplebak/sidecar"
)

func (p *program) initCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Create the repository",
		Long: "init creates the repository that RIPPLEBAK_REPOSITORY names, under RIPPLEBAK_PASSWORD.\n" +
			"One that is there already is left alone, which is a failure. The first backup creates\n" +
			"the repository by itself; init is for those who want it to exist before, or who start\n" +
			"anew where one has been lost. It needs no Docker.\n\n" +
			exitStatus(exitDone, exitFailed, exitInterrupted),
		Example: example("init", "create it"),
		Args:    arguments(0),
	}
	addJSON(cmd)
	cmd.RunE = p.with(func(ctx context.Context, s *session, _ []string) error {
		report, err := s.app.Init(ctx)
		if err != nil {
			return err
		}
		return s.showInit(report)
	})
	return cmd
}

func (s *session) showInit(r *sidecar.InitReport) error {
	if s.json {
		return s.printJSON(r)
	}
	return s.print(func(out io.Writer) error {
		_, err := fmt.Fprintf(out, "created repository %s, format version %d, at %s\nkeep a copy of the password elsewhere: without it nothing can be read\n", r.ID, r.Version, r.Repository)
		return err
	})
}
