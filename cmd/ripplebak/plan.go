package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/ripplebak/ripplebak/plan"
	"github.com/ripplebak/ripplebak/sidecar"
)

func (p *program) planCommand() *cobra.Command {
	var files []string
	cmd := &cobra.Command{
		Use:   "plan [SERVICE...]",
		Short: "Say what a backup would do",
		Long: "plan prints what a backup would save, with the exact commands, the order, what would\n" +
			"be stopped and why, which services hold data and have no label, and everything that\n" +
			"is wrong with the labels at once. It changes nothing.\n\n" +
			"With --file it reads compose files before anything runs, and asks neither Docker nor\n" +
			"the network.\n\n" +
			exitStatus(exitDone, exitFailed, exitInterrupted),
		Example: example("plan", "the whole project", "plan app", "only what belongs to app") +
			"\n  # a file, before anything runs\n  ripplebak plan --file compose.yaml",
	}
	cmd.Flags().StringArrayVar(&files, "file", nil, "read this compose `file` instead of asking Docker; may be repeated, later ones win")
	addJSON(cmd)
	cmd.RunE = p.with(func(ctx context.Context, s *session, services []string) error {
		if len(files) > 0 {
			made, err := s.app.PlanFile(ctx, files, services)
			return s.showPlan(made, err)
		}
		several, err := s.several(cmd, services)
		if err != nil {
			return &usageError{cmd, err}
		}
		if several {
			return s.showPlans(s.app.PlanAll(ctx))
		}
		made, err := s.app.Plan(ctx, services)
		return s.showPlan(made, err)
	})
	return cmd
}

// showPlan prints a plan. One with problems is printed, and then a failure.
func (s *session) showPlan(made *plan.Plan, err error) error {
	if err != nil {
		return err
	}
	if s.json {
		err = s.printJSON(made)
	} else {
		err = s.print(made.Print)
	}
	if err == nil && len(made.Problems) > 0 {
		err = sidecar.ErrProblems
	}
	return err
}
