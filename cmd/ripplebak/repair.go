package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"github.com/ripplebak/ripplebak/sidecar"
)

func (p *program) repairCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "repair",
		Short: "Put a damaged repository right, as far as that can be",
		Long: "repair puts right what \"check\" has found. Run the three in this order: \"repair\n" +
			"index\" where index files or packs are missing, \"repair packs\" where packs are\n" +
			"damaged, and \"repair snapshots\" to write snapshots anew without what is lost. Each\n" +
			"can be interrupted at any time and run again: nothing that can be read is lost by\n" +
			"it. A copy of the repository made before is wise all the same, since a failing disk\n" +
			"goes on failing.\n\n" + exitStatus(exitDone, exitFailed),
		Example: example("repair index --dry-run", "what it would do", "repair snapshots", "after asking"),
		Args:    arguments(0),
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(p.repairIndexCommand(), p.repairPacksCommand(), p.repairSnapshotsCommand())
	return cmd
}

func (p *program) repairIndexCommand() *cobra.Command {
	opt := sidecar.RepairOptions{What: sidecar.RepairIndex}
	cmd := &cobra.Command{
		Use:   "index",
		Short: "Make the index what the packs say",
		Long: "index reads the headers of packs that no index names, and of those whose size is not\n" +
			"what the index says, stores what is missing, and takes packs that are gone out. Index\n" +
			"files that cannot be read are replaced. At the end it names what snapshots have lost.\n\n" +
			repositoryCodes(),
		Example: example("repair index --dry-run", "what it would do", "repair index --yes", "without asking"),
		Args:    arguments(0),
	}
	cmd.Flags().BoolVar(&opt.ReadAllPacks, "read-all-packs", false, "read the headers of all packs")
	p.repairs(cmd, &opt)
	return cmd
}

func (p *program) repairPacksCommand() *cobra.Command {
	opt := sidecar.RepairOptions{What: sidecar.RepairPacks}
	cmd := &cobra.Command{
		Use:   "packs [ID...]",
		Short: "Save what can be read of damaged packs",
		Long: "packs moves what can be read of damaged packs to new ones, proves that it is there,\n" +
			"and removes the old. Without IDs it reads the whole repository to find them; \"check\n" +
			"--read-data\" shows their IDs too. Packs that are named are moved though they are\n" +
			"whole. At the end it names what snapshots have lost.\n\n" +
			repositoryCodes(),
		Example: example("repair packs --dry-run", "what it would do", "repair packs --yes", "without asking"),
		Args:    arguments(maxRepairedPacks),
	}
	p.repairs(cmd, &opt)
	return cmd
}

func (p *program) repairSnapshotsCommand() *cobra.Command {
	opt := sidecar.RepairOptions{What: sidecar.RepairSnapshots}
	cmd := &cobra.Command{
		Use:   "snapshots",
		Short: "Write snapshots anew without what is lost",
		Long: "snapshots names which files of which items are lost, and writes the snapshots that\n" +
			"have lost something anew without those files, tagged \"repaired\". Items that have lost\n" +
			"something are not good any more: a restore of the latest takes them from another\n" +
			"snapshot. The old ones stay, unless --forget is given; it also removes those of which\n" +
			"nothing can be read.\n\n" +
			repositoryCodes(),
		Example: example("repair snapshots --dry-run", "what is lost, and what it would do", "repair snapshots --forget --yes", "without asking"),
		Args:    arguments(0),
	}
	cmd.Flags().BoolVar(&opt.Forget, "forget", false, "remove the snapshots that were written anew")
	p.repairs(cmd, &opt)
	return cmd
}

// maxRepairedPacks is how many packs can be named.
const maxRepairedPacks = 1000

// repairs gives a command its flags, and has it repair.
func (p *program) repairs(cmd *cobra.Command, opt *sidecar.RepairOptions) {
	var yes bool
	cmd.Flags().BoolVar(&opt.DryRun, "dry-run", false, "print what would be done, and do nothing")
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	addJSON(cmd)
	cmd.RunE = p.with(func(ctx context.Context, s *session, args []string) error {
		if err := s.mayAsk(yes || opt.DryRun); err != nil {
			return err
		}
		if len(args) > 0 {
			opt.Packs = slices.Clone(args)
		}
		if !yes {
			opt.Confirm = s.confirmRepair(ctx)
		}
		report, err := s.app.Repair(ctx, *opt)
		if report == nil {
			return err
		}
		return errors.Join(err, s.showRepair(report))
	})
}

func (s *session) confirmRepair(ctx context.Context) func(*sidecar.RepairReport) error {
	return func(r *sidecar.RepairReport) error {
		if err := s.printTo(s.display, func(out io.Writer) error { s.writeRepair(out, r); return nil }); err != nil {
			return err
		}
		return s.ask(ctx, "\ndo this? [y/N] ")
	}
}

func (s *session) showRepair(r *sidecar.RepairReport) error {
	s.display.close()
	if s.json {
		return s.printJSON(r)
	}
	return s.print(func(out io.Writer) error {
		s.writeRepair(out, r)
		for _, w := range r.Written {
			fmt.Fprintf(out, "snapshot %.8s was written anew as %.8s\n", w.Old, w.New)
		}
		switch {
		case len(r.Steps) == 0:
			fmt.Fprintln(out, "nothing to repair")
		case !r.Done:
		case r.What != sidecar.RepairSnapshots && len(r.Lost) > 0:
			fmt.Fprintln(out, "done; what is lost is lost for good: \"repair snapshots\" writes the snapshots anew without it")
		default:
			fmt.Fprintln(out, "done")
		}
		return nil
	})
}

func (s *session) writeRepair(out io.Writer, r *sidecar.RepairReport) {
	for _, step := range r.Steps {
		fmt.Fprintf(out, "%s %s: %s", step.Do, step.File, indented(step.Cause))
		if step.Blobs+step.Lost > 0 {
			fmt.Fprintf(out, "; %d blobs can be read, %d are lost", step.Blobs, step.Lost)
		}
		fmt.Fprintln(out)
	}
	if r.StepsMore > 0 {
		fmt.Fprintf(out, "and %d more\n", r.StepsMore)
	}
	s.printLost(out, r.Lost, r.LostMore)
}
