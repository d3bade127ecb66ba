package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/ripplebak/ripplebak/sidecar"
)

func (p *program) unlockCommand() *cobra.Command {
	var opt sidecar.UnlockOptions
	var yes bool
	cmd := &cobra.Command{
		Use:   "unlock",
		Short: "Remove locks that nobody holds any more",
		Long: "unlock removes stale locks, and says whose they were: those that were not refreshed\n" +
			"for half an hour, those of containers that do not run any more, and those of processes\n" +
			"of this machine that are gone. With --remove-all it removes all: whoever still works\n" +
			"under one notices within minutes and gives up, and what it relied on may be deleted\n" +
			"until then.\n\n" +
			repositoryCodes(),
		Example: example("unlock", "stale locks", "unlock --remove-all", "all of them, after asking"),
		Args:    arguments(0),
	}
	cmd.Flags().BoolVar(&opt.All, "remove-all", false, "remove the locks of those too who may live")
	cmd.Flags().BoolVar(&opt.DryRun, "dry-run", false, "list the locks, and remove none")
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	addJSON(cmd)
	addFrom(cmd)
	cmd.RunE = p.with(func(ctx context.Context, s *session, _ []string) error {
		if err := s.mayAsk(yes || opt.DryRun || !opt.All); err != nil {
			return err
		}
		if !yes {
			opt.Confirm = func(r *sidecar.UnlockReport) error {
				if err := s.printTo(s.display, func(out io.Writer) error { s.writeLocks(out, r); return nil }); err != nil {
					return err
				}
				return s.ask(ctx, "\nremove the locks of those who may still be at work? [y/N] ")
			}
		}
		report, err := s.app.Unlock(ctx, opt)
		if report == nil {
			return err
		}
		return errors.Join(err, s.showLocks(report))
	})
	return cmd
}

func (s *session) showLocks(r *sidecar.UnlockReport) error {
	s.display.close()
	if s.json {
		return s.printJSON(r)
	}
	return s.print(func(out io.Writer) error {
		if len(r.Locks) == 0 {
			fmt.Fprintln(out, "no locks")
		}
		s.writeLocks(out, r)
		return nil
	})
}

func (s *session) writeLocks(out io.Writer, r *sidecar.UnlockReport) {
	for _, l := range r.Locks {
		what := "left"
		switch {
		case l.Removed:
			what = "removed"
		case l.Remove:
			what = "to be removed"
		}
		kind := "shared"
		if l.Exclusive {
			kind = "exclusive"
		}
		if l.Damage != "" {
			fmt.Fprintf(out, "%s: lock %.8s: %s\n", what, l.ID, indented(l.Damage))
			continue
		}
		why := "its owner may be at work"
		if l.Stale != "" {
			why = l.Stale
		}
		fmt.Fprintf(out, "%s: lock %.8s, %s, of process %d on %s, last refreshed %s: %s\n", what, l.ID, kind, l.PID, s.orDash(l.Host), s.when(l.Since), why)
	}
}
