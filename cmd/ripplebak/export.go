package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/ripplebak/ripplebak/sidecar"
)

func (p *program) exportCommand() *cobra.Command {
	var opt sidecar.ExportOptions
	cmd := &cobra.Command{
		Use:   "export SNAPSHOT [ITEM]",
		Short: "Write a snapshot or an item of it as a plain file",
		Long: "export writes an item of a snapshot as what needs no ripplebak to be read: a volume\n" +
			"as a tar archive, with owners, times, hard links, holes, attributes and ACLs, and a\n" +
			"database as the plain dump of its own client. Without an item it is a tar archive of\n" +
			"all of them, in the layout of the snapshot, with the manifest. It needs no Docker.\n\n" +
			"The item is called as \"snapshots --json\" calls it, with or without its kind: \"volume\n" +
			"uploads\" or uploads, db/shop; or it is a path as ls shows it. With \"latest\" it comes\n" +
			"from the newest snapshot in which it is good.\n\n" +
			"--zstd compresses. --recipient encrypts to a recipient of age (age1...), or of one of\n" +
			"its plugins, whose program must be in PATH. To read it: age -d, zstd -d, and\n" +
			"tar --xattrs --xattrs-include='*' --acls -x.\n\n" +
			"It is written to the file of --output, which must not exist and is there only once\n" +
			"it is whole; else to standard output, unless that is a terminal. A stream that\n" +
			"could not be finished has no end, and the exit code says so.\n\n" +
			repositoryCodes(exitIncomplete),
		Example: "  # a volume, from within Compose\n" +
			"  docker compose run --rm -T backup export latest uploads > uploads.tar\n" +
			"  # everything, for the drawer\n" +
			"  docker compose run --rm -T backup export latest --zstd --recipient age1... > shop.tar.zst.age\n" +
			"  # a database, on the bare binary\n" +
			"  ripplebak export latest db/shop -o shop.dump",
		Args: arguments(2, "SNAPSHOT"),
	}
	cmd.Flags().StringVarP(&opt.File, "output", "o", "", "write to this file; - is standard output")
	cmd.Flags().BoolVar(&opt.Zstd, "zstd", false, "compress by zstd")
	cmd.Flags().StringArrayVar(&opt.Recipients, "recipient", nil, "encrypt to this recipient of age; can be repeated")
	cmd.Flags().StringArrayVarP(&opt.RecipientFiles, "recipients-file", "R", nil, "encrypt to the recipients in this file; can be repeated")
	addJSON(cmd)
	addFrom(cmd)
	cmd.RunE = p.with(func(ctx context.Context, s *session, args []string) error {
		opt.Snapshot = args[0]
		if len(args) > 1 {
			opt.Item = args[1]
		}
		if opt.File == "-" {
			opt.File = ""
		}
		if err := p.exportTarget(s, &opt); err != nil {
			return &usageError{cmd, err}
		}
		report, err := s.app.Export(ctx, opt)
		if report == nil {
			return err
		}
		return errors.Join(err, s.showExport(report))
	})
	return cmd
}

// exportTarget decides where an export may go.
func (p *program) exportTarget(s *session, opt *sidecar.ExportOptions) error {
	switch {
	case opt.File != "":
		return nil
	case s.json:
		return errors.New("with --json standard output is taken: name a file with --output")
	case p.outTerminal:
		return errors.New("standard output is a terminal, and an export is binary: name a file with --output, or redirect it")
	}
	opt.Output = p.out
	return nil
}

// showExport goes to standard error where the export itself went out.
func (s *session) showExport(r *sidecar.ExportReport) error {
	if s.json {
		return s.printJSON(r)
	}
	out := s.program.out
	if r.File == "" {
		out = s.display
	}
	return s.printTo(out, func(out io.Writer) error {
		for _, skipped := range r.Skipped {
			fmt.Fprintf(out, "left out: %s: %s\n", s.name(skipped.Path), skipped.Reason)
		}
		for _, key := range r.NotGood {
			fmt.Fprintf(out, "not whole in this snapshot: %s\n", s.name(key))
		}
		what := "snapshot " + shortID(r.Snapshot)
		if r.Item != "" {
			what = s.name(r.Item) + " of " + what
		}
		fmt.Fprintf(out, "exported %s (%s)\n", what, s.when(r.Time))
		fmt.Fprintf(out, "%d files, %s; written: %s, sha256 %s\n", r.Entries, size(r.Bytes), size(r.Size), r.SHA256)
		if r.File != "" {
			fmt.Fprintf(out, "to %s\n", s.name(r.File))
		}
		return nil
	})
}

// shortID is how tables show an ID.
func shortID(id string) string { return id[:min(8, len(id))] }
