package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/ripplebak/ripplebak/sidecar"
)

func (p *program) backupCommand() *cobra.Command {
	var dryRun bool
	cmd := &cobra.Command{
		Use:   "backup [SERVICE...]",
		Short: "Back up now",
		Long: "backup saves what the plan says (see \"ripplebak plan\"), and commits a snapshot.\n" +
			"With services, only their items are saved. Items that fail do not stop the others;\n" +
			"the snapshot is then marked incomplete.\n\n" +
			"Where RIPPLEBAK_PROJECT is about several projects, it saves each, one after the other;\n" +
			"one that fails keeps no other from it.\n\n" +
			"The repository is created if there is none.\n\n" +
			repositoryCodes(exitIncomplete),
		Example: example("backup", "everything", "backup db", "only what belongs to db"),
	}
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "print the plan, and do nothing")
	addJSON(cmd)
	cmd.RunE = p.with(func(ctx context.Context, s *session, services []string) error {
		switch several, err := s.several(cmd, services); {
		case err != nil:
			return &usageError{cmd, err}
		case several && dryRun:
			return s.showPlans(s.app.PlanAll(ctx))
		case several:
			return s.showBackups(s.app.BackupAll(ctx, sidecar.BackupOptions{}))
		}
		if dryRun {
			made, err := s.app.Plan(ctx, services)
			return s.showPlan(made, err)
		}
		report, err := s.app.Backup(ctx, sidecar.BackupOptions{Services: services})
		if report == nil {
			return err
		}
		return errors.Join(err, s.showBackup(report))
	})
	return cmd
}

func (s *session) showBackup(r *sidecar.BackupReport) error {
	s.display.close()
	if s.json {
		return s.printJSON(r)
	}
	return s.print(func(out io.Writer) error { return s.writeBackup(out, r) })
}

func (s *session) writeBackup(out io.Writer, r *sidecar.BackupReport) error {
	result := "complete"
	switch {
	case r.Snapshot == "":
		result = "nothing was saved"
	case !r.Complete:
		result = "incomplete"
	}
	fmt.Fprintf(out, "project %s: %s\n\n", r.Project, result)
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "ITEM\tSTATE\tSIZE\tFILES")
	for _, i := range r.Items {
		fmt.Fprintf(t, "%s\t%s\t%s\t%d\n", s.name(i.Key()), i.State, size(i.Bytes), i.Files)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(out, "\nread %s, stored %s, in %s\n", size(r.BytesRead), size(r.BytesStored), seconds(r.Seconds))
	fmt.Fprintf(out, "requests to the storage: %s\n", r.Requests)
	s.printDowntime(out, r.Downtime)
	for _, i := range r.Items {
		if i.Error != "" {
			fmt.Fprintf(out, "%s: %s\n", s.name(i.Key()), indented(i.Error))
		}
		for _, w := range i.Warnings {
			fmt.Fprintf(out, "warning: %s: %s\n", s.name(i.Key()), indented(w))
		}
	}
	for _, w := range r.Warnings {
		fmt.Fprintf(out, "warning: %s\n", indented(w))
	}
	if r.Snapshot != "" {
		fmt.Fprintf(out, "snapshot %s\n", r.Snapshot)
	}
	for _, c := range r.Copies {
		s.writeCopy(out, c, false)
	}
	return nil
}

// printDowntime says how long each service was down.
func (s *session) printDowntime(out io.Writer, down map[string]float64) {
	var names []string
	for n := range down {
		names = append(names, n)
	}
	slices.Sort(names)
	for _, n := range names {
		fmt.Fprintf(out, "%s was down for %s\n", s.name(n), seconds(down[n]))
	}
}
