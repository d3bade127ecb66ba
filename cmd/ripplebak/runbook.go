package main

import (
	"context"
	"io"

	"github.com/spf13/cobra"
)

func (p *program) runbookCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "runbook [SNAPSHOT]",
		Short: "Write how to recover exactly this project",
		Long: "runbook writes a document in Markdown for the day that the machine is gone: what is in\n" +
			"the backup and what is not, which keys and files are needed and where they are, and\n" +
			"the commands in order, with the names of this project. It holds no secret. It goes by\n" +
			"the manifest of a snapshot, the latest one if none is named, and needs no Docker.\n\n" +
			"Each snapshot holds the one that was true for it, as RUNBOOK.md beside its manifest,\n" +
			"where stock restic finds it too.\n\n" +
			repositoryCodes(),
		Example: "  # for the drawer\n  docker compose run --rm -T backup runbook > runbook.md",
		Args:    arguments(1),
	}
	addJSON(cmd)
	addFrom(cmd)
	cmd.RunE = p.with(func(ctx context.Context, s *session, args []string) error {
		prefix := "latest"
		if len(args) > 0 {
			prefix = args[0]
		}
		report, err := s.app.Runbook(ctx, prefix)
		if err != nil {
			return err
		}
		if s.json {
			return s.printJSON(report)
		}
		return s.print(func(out io.Writer) error {
			_, err := io.WriteString(out, report.Markdown)
			return err
		})
	})
	return cmd
}
