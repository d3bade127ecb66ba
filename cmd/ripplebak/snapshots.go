package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/ripplebak/ripplebak/manifest"
	"github.com/ripplebak/ripplebak/sidecar"
)

func (p *program) snapshotsCommand() *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use:   "snapshots",
		Short: "List the snapshots",
		Long: "snapshots lists the project's snapshots, the oldest first. Incomplete ones name the\n" +
			"items that are not good in them. It needs no Docker.\n\n" +
			repositoryCodes(),
		Example: example("snapshots", "this project's", "snapshots --all", "those of all projects, and others, in the repository"),
		Args:    arguments(0),
	}
	cmd.Flags().BoolVar(&all, "all", false, "list other projects' snapshots too")
	addJSON(cmd)
	addFrom(cmd)
	cmd.RunE = p.with(func(ctx context.Context, s *session, _ []string) error {
		list, err := s.app.Snapshots(ctx, all)
		if err != nil {
			return err
		}
		return s.showSnapshots(list)
	})
	return cmd
}

func (s *session) showSnapshots(list []sidecar.SnapshotInfo) error {
	if s.json {
		return s.printJSON(list)
	}
	return s.print(func(out io.Writer) error {
		if len(list) == 0 {
			fmt.Fprintln(out, "no snapshots")
			return nil
		}
		t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(t, "ID\tTIME\tPROJECT\tHOST\tSIZE\tRESULT")
		for _, i := range list {
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", i.ShortID, s.when(i.Time), s.orDash(i.Project), s.orDash(i.Host), snapshotSize(i), s.snapshotResult(i))
		}
		return t.Flush()
	})
}

func (s *session) orDash(name string) string {
	if name == "" {
		return "-"
	}
	return s.name(name)
}

// snapshotSize is unknown where there is no manifest of ours.
func snapshotSize(i sidecar.SnapshotInfo) string {
	if i.Items == nil {
		return "-"
	}
	return size(i.Bytes)
}

func (s *session) snapshotResult(i sidecar.SnapshotInfo) string {
	if i.Items == nil {
		return "not made by ripplebak, or unreadable"
	}
	result := "complete"
	if !i.Complete {
		var bad []string
		for _, it := range i.Items {
			if it.State == manifest.Failed || it.State == manifest.Partial {
				bad = append(bad, s.name(it.Key)+" "+string(it.State))
			}
		}
		result = "incomplete: " + strings.Join(bad, ", ")
	}
	if i.Safety {
		result = "safety, " + result
	}
	return result
}
