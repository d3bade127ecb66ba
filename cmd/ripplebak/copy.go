package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/spf13/cobra"

	"github.com/ripplebak/ripplebak/sidecar"
)

func (p *program) copyCommand() *cobra.Command {
	var opt sidecar.CopyOptions
	cmd := &cobra.Command{
		Use:   "copy [SNAPSHOT...]",
		Short: "Copy snapshots to other repositories",
		Long: "copy brings the repositories up to date that RIPPLEBAK_COPY_TO, RIPPLEBAK_COPY2_TO and\n" +
			"so on name: it copies the project's snapshots that are missing there, the newest\n" +
			"first. Each run does so by itself; by hand every folder is looked at, so that what a\n" +
			"copy has lost comes back. An interrupted copy goes on where it was. With --from it\n" +
			"copies from a copy back to the repository. It needs no Docker.\n\n" +
			"It removes nothing: the retention of a copy, RIPPLEBAK_COPY_KEEP, runs after a\n" +
			"complete backup, over this host's snapshots. What it would remove is not copied.\n\n" +
			"Named snapshots are copied whatever project they are of.\n\n" +
			repositoryCodes(),
		Example: example("copy", "what is missing", "copy --dry-run", "what that is", "copy --to copy2 latest", "one snapshot, to one of the copies"),
		Args:    arguments(math.MaxInt),
	}
	f := cmd.Flags()
	f.StringArrayVar(&opt.To, "to", nil, "only to this `copy`: copy, copy2, ...; may be repeated")
	f.BoolVar(&opt.Init, "init", false, "make a copy's repository anew though it is gone")
	f.BoolVar(&opt.DryRun, "dry-run", false, "print what would be copied, and do nothing")
	addJSON(cmd)
	addFrom(cmd)
	cmd.RunE = p.with(func(ctx context.Context, s *session, args []string) error {
		opt.Snapshots = args
		report, err := s.app.Copy(ctx, opt)
		if report == nil {
			return err
		}
		return errors.Join(err, s.showCopy(report))
	})
	return cmd
}

// addFrom gives a command that reads the flag by which it reads a copy.
func addFrom(cmd *cobra.Command) {
	cmd.Flags().String("from", "", "read this `copy` in place of the repository: copy, copy2, ...")
}

// readsFrom is the copy that a command is to read; empty for the repository.
func readsFrom(cmd *cobra.Command) string {
	f := cmd.Flags().Lookup("from")
	if f == nil {
		return ""
	}
	return f.Value.String()
}

func (s *session) showCopy(r *sidecar.CopyReport) error {
	s.display.close()
	if s.json {
		return s.printJSON(r)
	}
	return s.print(func(out io.Writer) error {
		for _, c := range r.Copies {
			s.writeCopy(out, c, r.DryRun)
		}
		return nil
	})
}

func (s *session) writeCopy(out io.Writer, c sidecar.CopyInfo, dry bool) {
	fmt.Fprint(out, c.Name)
	if c.Repository != "" {
		fmt.Fprintf(out, " (%s)", s.name(c.Repository))
	}
	fmt.Fprintf(out, ": %d snapshots are there\n", c.Present)
	if c.Create {
		fmt.Fprintln(out, "  make the repository, with the cuts of this one")
	}
	for _, step := range c.Snapshots {
		short, when := step.Snapshot[:min(8, len(step.Snapshot))], s.when(step.Time)
		switch {
		case step.Copy != "":
			fmt.Fprintf(out, "  copied %s of %s as %s\n", short, when, step.Copy[:min(8, len(step.Copy))])
		case dry:
			fmt.Fprintf(out, "  copy %s of %s: %s\n", short, when, step.Cause)
		default:
			fmt.Fprintf(out, "  NOT copied %s of %s\n", short, when)
		}
	}
	if c.Removed > 0 {
		fmt.Fprintf(out, "  %d old snapshots were removed\n", c.Removed)
	}
	if c.BytesStored > 0 {
		fmt.Fprintf(out, "  stored %s\n", size(c.BytesStored))
	}
	if c.Error != "" {
		fmt.Fprintf(out, "  failed: %s\n", indented(c.Error))
	}
}
