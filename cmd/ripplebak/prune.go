package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/ripplebak/ripplebak/sidecar"
)

func (p *program) pruneCommand() *cobra.Command {
	var opt sidecar.PruneOptions
	cmd := &cobra.Command{
		Use:   "prune",
		Short: "Remove data that no snapshot needs",
		Long: "prune finds the data that no snapshot refers to any more, and removes it. Packs of\n" +
			"which only a part is needed are written anew, the emptiest first, until no more\n" +
			"than --max-unused is left.\n\n" +
			"It never touches what a snapshot needs, and so asks for no confirmation. Where\n" +
			"something that a snapshot needs is missing it removes nothing at all, and says\n" +
			"what is missing. Killed at any point it leaves every snapshot whole, and the next\n" +
			"prune goes on. While it works the repository is locked: backups wait for it, and\n" +
			"it for them. It needs no Docker.\n\n" +
			"With --from it prunes a copy, and touches nothing else. No backup waits for that, but\n" +
			"copying to that copy does.\n\n" +
			"serve prunes by itself, on the schedule RIPPLEBAK_PRUNE_SCHEDULE: the repository, and\n" +
			"then each copy that has a retention of its own.\n\n" +
			repositoryCodes(),
		Example: example("prune --dry-run", "what it would remove, and why", "prune", "remove it", "prune --from copy", "the same in a copy"),
		Args:    arguments(0),
	}
	cmd.Flags().BoolVar(&opt.DryRun, "dry-run", false, "show what would be done, and do nothing")
	cmd.Flags().StringVar(&opt.MaxUnused, "max-unused", "5%", "what may stay unused: a part such as 5%, a size such as 2G, or unlimited")
	cmd.Flags().StringVar(&opt.MaxRepackSize, "max-repack-size", "", "repack no more than this at once, such as 10G")
	cmd.Flags().String("from", "", "prune this `copy`, not the repository: copy, copy2, ...")
	addJSON(cmd)
	cmd.RunE = p.with(func(ctx context.Context, s *session, _ []string) error {
		report, err := s.app.Prune(ctx, opt)
		if report == nil {
			return err
		}
		if s.json {
			return errors.Join(err, s.printJSON(report))
		}
		return errors.Join(err, s.print(report.Print))
	})
	return cmd
}
