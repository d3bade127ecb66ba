package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/ripplebak/ripplebak/sidecar"
)

func (p *program) checkCommand() *cobra.Command {
	var opt sidecar.CheckOptions
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Prove that the repository is whole",
		Long: "check reads the index and every directory of every snapshot, and proves that all\n" +
			"that they refer to is stored. With --read-data it reads, decrypts and hashes every\n" +
			"byte of the repository too; with --read-data-subset a part of it: 1/10 (the first of\n" +
			"ten parts), 5% of the packs, or packs of 2G together. Percentages and sizes take\n" +
			"what was not read for the longest time, so that repeated checks come around.\n" +
			"It changes nothing in the repository, and needs no Docker.\n\n" +
			"Damage that it finds is a failure. What can no longer be restored is named: which\n" +
			"files of which items in which snapshots. \"repair\" puts right what can be.\n\n" +
			repositoryCodes(),
		Example: example("check", "the structure", "check --read-data", "and every byte", "check --read-data-subset 5%", "and another twentieth of the data each time"),
		Args:    arguments(0),
	}
	cmd.Flags().BoolVar(&opt.ReadData, "read-data", false, "read, decrypt and hash everything")
	cmd.Flags().StringVar(&opt.Subset, "read-data-subset", "", "read a `part`: n/t, a percentage, or a size")
	cmd.MarkFlagsMutuallyExclusive("read-data", "read-data-subset")
	addJSON(cmd)
	addFrom(cmd)
	cmd.RunE = p.with(func(ctx context.Context, s *session, _ []string) error {
		report, err := s.app.Check(ctx, opt)
		if report == nil {
			return err
		}
		return errors.Join(err, s.showCheck(report))
	})
	return cmd
}

func (s *session) showCheck(r *sidecar.CheckReport) error {
	if s.json {
		return s.printJSON(r)
	}
	return s.print(func(out io.Writer) error {
		for _, f := range r.Findings {
			what := "damage"
			if f.Note {
				what = "note"
			}
			if f.File != "" {
				what += " in " + s.name(f.File)
			}
			fmt.Fprintf(out, "%s: %s: %s\n", what, f.Kind, indented(f.Detail))
		}
		if left := r.Errors + r.Notes - uint64(len(r.Findings)); left > 0 {
			fmt.Fprintf(out, "and %d more\n", left)
		}
		s.printLost(out, r.Lost, r.LostMore)
		fmt.Fprintf(out, "%s: %d snapshots, %d blobs in %d packs\n", r.Repository, r.Snapshots, r.Blobs, r.Packs)
		if r.PacksRead > 0 {
			fmt.Fprintf(out, "read %d packs, %s\n", r.PacksRead, size(int64(r.BytesRead)))
		}
		if r.OK {
			fmt.Fprintln(out, "no damage found")
		}
		return nil
	})
}

// printLost says what can no longer be restored.
func (s *session) printLost(out io.Writer, lost []sidecar.LostItem, more uint64) {
	for _, l := range lost {
		what := l.Item
		if what == "" {
			what = "outside of any item"
		}
		fmt.Fprintf(out, "lost: snapshot %.8s of %s, %s: %d files", l.Snapshot, s.when(l.Time), s.name(what), l.Files)
		if l.Folders > 0 {
			fmt.Fprintf(out, " and all of %d folders", l.Folders)
		}
		fmt.Fprintln(out)
		for _, p := range l.Paths {
			fmt.Fprintf(out, "  %s\n", s.name(p))
		}
		if n := l.Files + l.Folders; n > uint64(len(l.Paths)) {
			fmt.Fprintf(out, "  and %d more\n", n-uint64(len(l.Paths)))
		}
	}
	if more > 0 {
		fmt.Fprintf(out, "lost: and of %d more items\n", more)
	}
}
