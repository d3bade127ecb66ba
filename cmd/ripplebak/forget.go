package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/ripplebak/ripplebak/sidecar"
)

func (p *program) forgetCommand() *cobra.Command {
	var opt sidecar.ForgetOptions
	var yes, prune bool
	cmd := &cobra.Command{
		Use:   "forget [SNAPSHOT...]",
		Short: "Remove snapshots that no policy keeps",
		Long: "forget judges the project's snapshots by RIPPLEBAK_KEEP, by the ripplebak.keep labels\n" +
			"that were stored with them, and removes those that nothing keeps; or it removes the\n" +
			"snapshots that are named. It shows which stay and why, and asks first. The space is\n" +
			"freed by prune, which --prune runs afterwards.\n\n" +
			"Whatever the policy says, RIPPLEBAK_KEEP_MINIMUM good snapshots stay, and the newest\n" +
			"good one of every item, also of one whose service is gone; --drop-item gives such an\n" +
			"item up. Without a policy nothing is removed. Needs no Docker if RIPPLEBAK_PROJECT is\n" +
			"set.\n\n" +
			repositoryCodes(),
		Example: example(
			"forget --dry-run", "what stays, and why",
			"forget --keep 'last=3 daily=7 monthly=12'", "by another policy, after asking",
			"forget --drop-item 'volume old' --yes", "do not keep a copy of what is no longer there",
			"forget 4f2a1c", "one snapshot"),
	}
	f := cmd.Flags()
	f.BoolVar(&opt.DryRun, "dry-run", false, "show what would be removed, and remove nothing")
	f.StringVar(&opt.Keep, "keep", "", "go by this `policy` in place of RIPPLEBAK_KEEP")
	f.StringArrayVar(&opt.DropItems, "drop-item", nil, "do not keep the newest good copy of this `item`; may be repeated")
	f.BoolVar(&prune, "prune", false, "then remove the data that no snapshot needs any more")
	f.BoolVar(&yes, "yes", false, "do not ask")
	addJSON(cmd)
	cmd.RunE = p.with(func(ctx context.Context, s *session, snapshots []string) error {
		if cmd.Flags().Changed("keep") && strings.TrimSpace(opt.Keep) == "" {
			return &usageError{cmd, errors.New("--keep is empty: without a policy nothing is removed")}
		}
		if err := s.mayAsk(yes || opt.DryRun); err != nil {
			return err
		}
		opt.Snapshots = snapshots
		opt.Confirm = s.confirmForget(ctx, yes)
		groups, err := s.app.Forget(ctx, opt)
		if groups == nil {
			return err
		}
		err = errors.Join(err, s.showForget(groups, opt.DryRun, err))
		if err != nil || !prune || opt.DryRun {
			return err
		}
		return s.pruneAfter(ctx)
	})
	return cmd
}

// pruneAfter prunes after forget, whose result has been printed.
func (s *session) pruneAfter(ctx context.Context) error {
	report, err := s.app.Prune(ctx, sidecar.PruneOptions{})
	if report == nil || s.json {
		return err
	}
	return errors.Join(err, s.print(report.Print))
}

// confirmForget shows what will be removed, and asks unless the answer is known.
func (s *session) confirmForget(ctx context.Context, yes bool) func([]sidecar.ForgetGroup) error {
	return func(groups []sidecar.ForgetGroup) error {
		if yes {
			return nil
		}
		if err := s.printTo(s.display, func(out io.Writer) error { return s.writeForget(out, groups) }); err != nil {
			return err
		}
		return s.ask(ctx, "\nremove them? [y/N] ")
	}
}

func (s *session) showForget(groups []sidecar.ForgetGroup, dryRun bool, err error) error {
	s.display.close()
	switch {
	case s.json:
		return s.printJSON(groups)
	case errors.Is(err, sidecar.ErrDeclined):
		return nil // they have been shown
	}
	return s.print(func(out io.Writer) error {
		if err := s.writeForget(out, groups); err != nil {
			return err
		}
		n := 0
		for _, g := range groups {
			n += len(g.Remove)
		}
		switch {
		case len(groups) == 0:
			fmt.Fprintln(out, "no snapshots")
		case err != nil:
		case dryRun:
			fmt.Fprintf(out, "would remove %d snapshots\n", n)
		default:
			fmt.Fprintf(out, "removed %d snapshots\n", n)
		}
		return nil
	})
}

// writeForget shows each snapshot, those that go among those that stay.
func (s *session) writeForget(out io.Writer, groups []sidecar.ForgetGroup) error {
	for _, g := range groups {
		policy := g.Policy
		if policy == "" {
			policy = "none, everything is kept"
		}
		fmt.Fprintf(out, "project %s on %s, policy: %s\n\n", s.name(g.Project), s.orDash(g.Host), policy)
		t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(t, "ID\tTIME\tRESULT\tWHY")
		keep, remove := g.Reasons, g.Remove
		for len(keep)+len(remove) > 0 {
			if len(remove) == 0 || len(keep) > 0 && !keep[0].Snapshot.Time.Before(remove[0].Time) {
				k := keep[0]
				fmt.Fprintf(t, "%s\t%s\tkeep\t%s\n", k.Snapshot.ShortID, s.when(k.Snapshot.Time), indented(strings.Join(k.Matches, ", ")))
				keep = keep[1:]
				continue
			}
			fmt.Fprintf(t, "%s\t%s\tREMOVE\t\n", remove[0].ShortID, s.when(remove[0].Time))
			remove = remove[1:]
		}
		if err := t.Flush(); err != nil {
			return err
		}
		for _, w := range g.Warnings {
			fmt.Fprintf(out, "warning: %s\n", indented(w))
		}
		fmt.Fprintln(out)
	}
	return nil
}
