package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/ripplebak/ripplebak/archive"
	"github.com/ripplebak/ripplebak/sidecar"
)

func (p *program) diffCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "diff SNAPSHOT SNAPSHOT",
		Short: "Compare two snapshots",
		Long: "diff lists the files that the second snapshot has and the first has not (+), the\n" +
			"other way round (-), those whose content is another (M), and those of which only\n" +
			"owner, mode, time or attributes are (U); then what became of each item, and sums.\n" +
			"What both have in common is not read. Inode numbers and the times of folders are\n" +
			"no difference. It needs no Docker.\n\n" +
			"With --json it prints one object per line, the last of which sums up.\n\n" +
			repositoryCodes(),
		Example: example("diff 4f2a1c latest", "what has happened since"),
		Args:    arguments(2, "the first SNAPSHOT", "the second SNAPSHOT"),
	}
	addJSON(cmd)
	addFrom(cmd)
	cmd.RunE = p.with(func(ctx context.Context, s *session, args []string) error {
		out := differences{newStream(s)}
		report, err := s.app.Diff(ctx, args[0], args[1], out.add)
		if err = errors.Join(err, out.flush()); err != nil {
			return err
		}
		return out.sum(report)
	})
	return cmd
}

// diffLine is a line of diff as JSON: a change, or at the end the summary.
type diffLine struct {
	Change  *diffChange         `json:"change,omitempty"`
	Summary *sidecar.DiffReport `json:"summary,omitempty"`
}

type diffChange struct {
	sidecar.DiffEntry
	PathRaw []byte `json:"path_raw,omitempty"`
}

// differences prints changes as they come.
type differences struct{ *stream }

func (d differences) add(e sidecar.DiffEntry) error {
	if d.session.json {
		return d.object(diffLine{Change: &diffChange{e, rawName(e.Path)}})
	}
	marks := map[archive.ChangeKind]string{archive.Added: "+", archive.Removed: "-", archive.Content: "M", archive.Metadata: "U"}
	return d.row("%s %9s  %s%s", marks[e.Change], sizeNow(e), d.session.name(e.Path), sizeBefore(e))
}

// sizeNow is the size of a file, as the newer snapshot that holds it has it.
func sizeNow(e sidecar.DiffEntry) string {
	switch {
	case e.Type != "file":
		return "-"
	case e.Change == archive.Removed:
		return size(int64(e.SizeBefore))
	}
	return size(int64(e.SizeAfter))
}

func sizeBefore(e sidecar.DiffEntry) string {
	if e.Type != "file" || e.Change != archive.Content {
		return ""
	}
	return fmt.Sprintf("  (was %s, %s are new)", size(int64(e.SizeBefore)), size(int64(e.NewBytes)))
}

// sum prints the summary.
func (d differences) sum(r *sidecar.DiffReport) error {
	s := d.session
	if s.json {
		return errors.Join(d.object(diffLine{Summary: r}), d.flush())
	}
	return s.print(func(out io.Writer) error {
		fmt.Fprintf(out, "\nsnapshot %s of %s, and %s of %s\n", shortID(r.Before.ID), s.when(r.Before.Time), shortID(r.After.ID), s.when(r.After.Time))
		t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(t, "ITEM\t\tADDED\tREMOVED\tCHANGED\tMETADATA\tNEW DATA")
		line := func(name, change string, c sidecar.DiffCounts) {
			fmt.Fprintf(t, "%s\t%s\t%d, %s\t%d, %s\t%d, %s > %s\t%d\t%s\n", name, change, c.Added, size(int64(c.BytesAdded)), c.Removed, size(int64(c.BytesRemoved)),
				c.Changed, size(int64(c.BytesBefore)), size(int64(c.BytesAfter)), c.Metadata, size(int64(c.BytesNew)))
		}
		for _, it := range r.Items {
			line(s.name(it.Key), it.Change, it.DiffCounts)
		}
		line("all", "", r.DiffCounts)
		return t.Flush()
	})
}
