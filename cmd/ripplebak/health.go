package main

import (
	"context"

	"github.com/spf13/cobra"
)

func (p *program) healthCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "health",
		Short: "Say by the exit code whether all is well",
		Long: "health fails when the last good backup is older than twice the time between two\n" +
			"scheduled ones, when a check has found damage that is still there, when a scheduled\n" +
			"check or prune has not succeeded for three times the time between two of them, or a\n" +
			"copy is behind for three times that between two backups (a day at least), and says\n" +
			"why. It is the image's health check: it asks neither Docker\n" +
			"nor the repository, and prints nothing when all is well.\n\n" +
			exitStatus(exitDone, exitFailed),
		Example: "  # what the image's health check runs\n  docker compose exec backup /ripplebak health",
		Args:    arguments(0),
		RunE: p.with(func(_ context.Context, s *session, _ []string) error {
			return s.app.Health()
		}),
	}
}
