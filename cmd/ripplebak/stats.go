package main

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/ripplebak/ripplebak/sidecar"
)

func (p *program) statsCommand() *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use:   "stats [SNAPSHOT...]",
		Short: "Say how large snapshots are, and how they are stored",
		Long: "stats measures the project's snapshots, or those named: what restores of them would\n" +
			"write (RESTORE), what that is with everything counted once (UNIQUE), and how it is\n" +
			"stored, compressed and encrypted (STORED). DEDUP and COMPRESSION are how many times\n" +
			"smaller each makes it. What items share is counted in each of them. Restore and\n" +
			"stored size mean what \"restic stats\" means by restore-size and raw-data.\n" +
			"It needs no Docker.\n\n" +
			repositoryCodes(),
		Example: example("stats", "the project's snapshots together", "stats latest", "one"),
	}
	cmd.Flags().BoolVar(&all, "all", false, "measure other projects' snapshots too")
	addJSON(cmd)
	addFrom(cmd)
	cmd.RunE = p.with(func(ctx context.Context, s *session, args []string) error {
		report, err := s.app.Stats(ctx, args, all)
		if err != nil {
			return err
		}
		return s.showStats(report)
	})
	return cmd
}

func (s *session) showStats(r *sidecar.StatsReport) error {
	if s.json {
		return s.printJSON(r)
	}
	return s.print(func(out io.Writer) error {
		t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(t, "ITEM\tSNAPSHOTS\tFILES\tRESTORE\tUNIQUE\tSTORED\tDEDUP\tCOMPRESSION")
		line := func(name string, snapshots int, z sidecar.StatsSizes) {
			fmt.Fprintf(t, "%s\t%d\t%d\t%s\t%s\t%s\t%s\t%s\n", name, snapshots, z.Files, size(z.RestoreSize), size(int64(z.UniqueSize)), size(int64(z.RawSize)), ratio(z.DedupRatio), ratio(z.CompressionRatio))
		}
		for _, it := range r.Items {
			line(s.name(it.Key), it.Snapshots, it.StatsSizes)
		}
		line("all", r.Snapshots, r.StatsSizes)
		return t.Flush()
	})
}

// ratio is "-" where there is nothing to divide.
func ratio(r float64) string {
	if r == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f", r)
}
