package main

import (
	"context"

	"github.com/spf13/cobra"
)

func (p *program) serveCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "serve",
		Short: "Back up on the schedule, until stopped",
		Long: "serve backs the project up on the schedule RIPPLEBAK_SCHEDULE, in the zone TZ, and\n" +
			"says in its log when the next run is. A run that was missed while the machine was\n" +
			"off is made up at start, and what a killed run left behind is put right. Services with\n" +
			"the label ripplebak.schedule are saved on their own; of several projects, each has its\n" +
			"runs.\n\n" +
			"It ends at SIGTERM or SIGINT. A run that is under way is then given up: what it\n" +
			"has stopped is started again, and its lock is removed.\n\n" +
			exitStatus(exitFailed, exitInterrupted),
		Example: "  # what \"docker compose --profile backup up -d\" starts\n  ripplebak serve",
		Args:    arguments(0),
		RunE: p.with(func(ctx context.Context, s *session, _ []string) error {
			if err := s.app.Serve(ctx); err != nil {
				return err
			}
			return context.Cause(ctx)
		}),
	}
}
