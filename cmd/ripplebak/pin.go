package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/ripplebak/ripplebak/sidecar"
)

func (p *program) pinCommand() *cobra.Command {
	return p.changesPin(&cobra.Command{
		Use:   "pin SNAPSHOT",
		Short: "Keep a snapshot whatever the policy says",
		Long: "pin tags a snapshot, so that no policy removes it: an ID, the beginning of one, or\n" +
			"\"latest\". The snapshot gets another ID by it; the one that it had goes on naming it.\n" +
			"The tag is \"pinned\", and restic's \"tag\" can set and remove it too. Copies that have\n" +
			"the snapshot are changed too; one that cannot be reached is a warning, and\n" +
			"\"--from copy\" makes up for it.\n\n" + repositoryCodes(),
		Example: example("pin latest", "the newest one", "pin 4f2a1c", "a certain one"),
		Args:    arguments(1, "SNAPSHOT"),
	}, false)
}

func (p *program) unpinCommand() *cobra.Command {
	return p.changesPin(&cobra.Command{
		Use:     "unpin SNAPSHOT",
		Short:   "Let the policy decide on a snapshot again",
		Long:    "unpin takes from a snapshot what pin has put on it, in the copies that have it too.\n\n" + repositoryCodes(),
		Example: example("unpin 4f2a1c", "a certain one", "unpin 4f2a1c --from copy", "in a copy that could not be reached"),
		Args:    arguments(1, "SNAPSHOT"),
	}, true)
}

func (p *program) changesPin(cmd *cobra.Command, unpin bool) *cobra.Command {
	opt := sidecar.PinOptions{Unpin: unpin}
	cmd.Flags().BoolVar(&opt.DryRun, "dry-run", false, "say what would be done, and do nothing")
	addJSON(cmd)
	addFrom(cmd)
	cmd.RunE = p.with(func(ctx context.Context, s *session, args []string) error {
		opt.Snapshot = args[0]
		report, err := s.app.Pin(ctx, opt)
		if err != nil {
			return err
		}
		return s.showPin(report)
	})
	return cmd
}

func (s *session) showPin(r *sidecar.PinReport) error {
	s.display.close()
	if s.json {
		return s.printJSON(r)
	}
	return s.print(func(out io.Writer) error {
		state := "pinned"
		if !r.Pinned {
			state = "not pinned"
		}
		switch {
		case !r.Changed:
			fmt.Fprintf(out, "snapshot %s is %s already\n", r.Snapshot, state)
		case r.DryRun:
			fmt.Fprintf(out, "snapshot %s would be %s\n", r.Snapshot, state)
		default:
			fmt.Fprintf(out, "snapshot %s is %s; before it was %s\n", r.Snapshot, state, r.Was)
		}
		for _, c := range r.Copies {
			switch {
			case c.Error != "":
				fmt.Fprintf(out, "%s: failed: %s\n", c.Name, indented(s.name(c.Error)))
			case c.Snapshot == "":
				fmt.Fprintf(out, "%s: does not have it\n", c.Name)
			case !c.Changed:
				fmt.Fprintf(out, "%s: snapshot %s is %s already\n", c.Name, c.Snapshot, state)
			case r.DryRun:
				fmt.Fprintf(out, "%s: snapshot %s would be %s\n", c.Name, c.Snapshot, state)
			default:
				fmt.Fprintf(out, "%s: snapshot %s is %s\n", c.Name, c.Snapshot, state)
			}
		}
		return nil
	})
}
