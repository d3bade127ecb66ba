package main

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"github.com/ripplebak/ripplebak/sidecar"
)

// aboutOne are the commands that are about one project where there are several,
// and those that can be limited to one.
var aboutOne = []string{"backup", "plan", "restore", "snapshots", "ls", "diff", "find", "export", "forget", "pin", "unpin", "runbook", "stats", "copy"}

// addProjects gives these commands the flag that says which.
func addProjects(root *cobra.Command) {
	for _, cmd := range root.Commands() {
		if slices.Contains(aboutOne, cmd.Name()) && cmd.Flags().Lookup("project") == nil {
			cmd.Flags().String("project", "", "this `project`, where RIPPLEBAK_PROJECT is about several, or in its place")
		}
	}
}

// forProject limits the application to the project that the flag names.
func forProject(cmd *cobra.Command, app *sidecar.App) (*sidecar.App, error) {
	f := cmd.Flags().Lookup("project")
	if f == nil || !f.Changed {
		return app, nil
	}
	if f.Value.String() == "" {
		return nil, &usageError{cmd, errors.New("--project is empty")}
	}
	one, err := app.One(cmd.Context(), f.Value.String())
	if err != nil {
		return nil, fmt.Errorf("--project: %w", err)
	}
	return one, nil
}

// several says whether a command is about several projects, which have services
// of the same names.
func (s *session) several(cmd *cobra.Command, services []string) (bool, error) {
	if !s.settings.Several() || cmd.Flags().Lookup("project").Changed {
		return false, nil
	}
	if len(services) > 0 {
		return false, fmt.Errorf("service %q: %w", services[0], sidecar.ErrWhichProject)
	}
	return true, nil
}

// showPlans prints the plans of several projects.
func (s *session) showPlans(list []sidecar.ProjectPlan, err error) error {
	if s.json {
		return errors.Join(err, s.printJSON(list))
	}
	return errors.Join(err, s.print(func(out io.Writer) error {
		for i, p := range list {
			if i > 0 {
				fmt.Fprintln(out)
			}
			switch {
			case p.Plan != nil:
				if err := p.Plan.Print(out); err != nil {
					return err
				}
			case p.Skipped != "":
				fmt.Fprintf(out, "project %s is left out: %s\n", s.name(p.Project), p.Skipped)
			default:
				fmt.Fprintf(out, "project %s: %s\n", s.name(p.Project), indented(p.Error))
			}
		}
		return nil
	}))
}

// showBackups prints what became of several projects.
func (s *session) showBackups(list []sidecar.ProjectBackup, err error) error {
	s.display.close()
	if s.json {
		return errors.Join(err, s.printJSON(list))
	}
	return errors.Join(err, s.print(func(out io.Writer) error {
		for i, p := range list {
			if i > 0 {
				fmt.Fprintln(out)
			}
			switch {
			case p.Backup != nil:
				if err := s.writeBackup(out, p.Backup); err != nil {
					return err
				}
			case p.Skipped != "":
				fmt.Fprintf(out, "project %s is left out: %s\n", s.name(p.Project), p.Skipped)
			default:
				fmt.Fprintf(out, "project %s: failed\n%s\n", s.name(p.Project), indented(p.Error))
			}
		}
		return nil
	}))
}

// worst is the exit code of several projects: that of the one that fared worst.
func worst(codes []int) int {
	for _, c := range []int{exitInterrupted, exitWrongPassword, exitNoRepository, exitLocked, exitFailed, exitIncomplete} {
		if slices.Contains(codes, c) {
			return c
		}
	}
	return exitDone
}
