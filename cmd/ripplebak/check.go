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
			"byte of the repository too. It changes nothing, and needs no Docker.\n\n" +
			"Damage that it finds is a failure.\n\n" +
			repositoryCodes(),
		Example: example("check", "the structure", "check --read-data", "and every byte"),
		Args:    arguments(0),
	}
	cmd.Flags().BoolVar(&opt.ReadData, "read-data", false, "read, decrypt and hash everything")
	addJSON(cmd)
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
		fmt.Fprintf(out, "%s: %d snapshots, %d blobs in %d packs\n", r.Repository, r.Snapshots, r.Blobs, r.Packs)
		if r.ReadData {
			fmt.Fprintf(out, "read %s\n", size(int64(r.BytesRead)))
		}
		if r.OK {
			fmt.Fprintln(out, "no damage found")
		}
		return nil
	})
}
