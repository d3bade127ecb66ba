package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/ripplebak/ripplebak/sidecar"
)

func (s *session) showRestore(r *sidecar.RestoreReport, err error) error {
	s.display.close()
	switch {
	case s.json:
		return s.printJSON(r)
	case errors.Is(err, sidecar.ErrDeclined), errors.Is(err, sidecar.ErrProblems):
		return nil // the error says it all
	case r.DryRun:
		return s.print(r.Plan.Print)
	}
	return s.print(func(out io.Writer) error {
		if err := s.printRestored(out, r.Items); err != nil {
			return err
		}
		fmt.Fprintf(out, "project %s, in %s\n", r.Project, seconds(r.Seconds))
		s.printDowntime(out, r.Downtime)
		for _, i := range r.Items {
			if i.Error != "" {
				fmt.Fprintf(out, "%s: %s\n", s.name(i.Key), indented(i.Error))
			}
			s.printLines(out, "verified: "+s.name(i.Key), i.Verified)
			s.printLines(out, "left alone: "+s.name(i.Key), i.LeftAlone)
			s.printLines(out, "note: "+s.name(i.Key), i.Notes)
		}
		s.printLines(out, "left alone", r.LeftAlone)
		s.printLines(out, "note", r.Notes)
		if r.Plan.Dir != "" {
			fmt.Fprintf(out, "the files are in %s\n", s.name(r.Plan.Dir))
		}
		if r.Safety != "" {
			fmt.Fprintf(out, "what was there before is in snapshot %s\n", r.Safety)
		}
		if r.Undo != "" {
			fmt.Fprintf(out, "to undo this: %s\n", s.name(r.Undo))
		}
		return nil
	})
}

// printRestored prints what became of the items, a line each.
func (s *session) printRestored(out io.Writer, items []sidecar.RestoredItem) error {
	if len(items) == 0 {
		return nil
	}
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "ITEM\tRESULT\tWRITTEN\tFILES\tREMOVED\tUNCHANGED\tHOLDS\tTIME")
	for _, i := range items {
		result := "restored"
		if !i.Restored {
			result = "FAILED"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%d\t%d\t%d\t%s\t%s\n", s.name(i.Key), result, size(i.Bytes), i.Files, i.Removed, i.Unchanged, counted(i.Counts), seconds(i.Seconds))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintln(out)
	return err
}

// counted is what an engine counts, as "12 tables".
func counted(counts map[string]int64) string {
	var out []string
	for _, what := range slices.Sorted(maps.Keys(counts)) {
		if counts[what] > 0 {
			out = append(out, fmt.Sprintf("%d %s", counts[what], strings.ReplaceAll(what, "_", " ")))
		}
	}
	if len(out) == 0 {
		return "-"
	}
	return strings.Join(out, ", ")
}

func (s *session) printLines(out io.Writer, what string, lines []string) {
	for _, l := range lines {
		fmt.Fprintf(out, "%s: %s\n", what, indented(l))
	}
}
