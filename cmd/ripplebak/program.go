package main

import (
	"context"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ripplebak/ripplebak/plan"
	"github.com/ripplebak/ripplebak/sidecar"
)

// application is what the commands call.
type application interface {
	Plan(ctx context.Context, services []string) (*plan.Plan, error)
	Prune(ctx context.Context, opt sidecar.PruneOptions) (*sidecar.PruneReport, error)
	PlanFile(ctx context.Context, files, services []string) (*plan.Plan, error)
	Backup(ctx context.Context, opt sidecar.BackupOptions) (*sidecar.BackupReport, error)
	Restore(ctx context.Context, opt sidecar.RestoreOptions) (*sidecar.RestoreReport, error)
	Snapshots(ctx context.Context, all bool) ([]sidecar.SnapshotInfo, error)
	List(ctx context.Context, snapshot, path string, fn func(sidecar.ListEntry) error) error
	Check(ctx context.Context, opt sidecar.CheckOptions) (*sidecar.CheckReport, error)
	Diff(ctx context.Context, before, after string, fn func(sidecar.DiffEntry) error) (*sidecar.DiffReport, error)
	Find(ctx context.Context, opt sidecar.FindOptions, fn func(sidecar.FoundFile) error) error
	Stats(ctx context.Context, snapshots []string, all bool) (*sidecar.StatsReport, error)
	Export(ctx context.Context, opt sidecar.ExportOptions) (*sidecar.ExportReport, error)
	Repair(ctx context.Context, opt sidecar.RepairOptions) (*sidecar.RepairReport, error)
	Unlock(ctx context.Context, opt sidecar.UnlockOptions) (*sidecar.UnlockReport, error)
	Init(ctx context.Context) (*sidecar.InitReport, error)
	Keys(ctx context.Context) ([]sidecar.KeyInfo, error)
	ChangeKeys(ctx context.Context, opt sidecar.KeyOptions) (*sidecar.KeyReport, error)
	Forget(ctx context.Context, opt sidecar.ForgetOptions) ([]sidecar.ForgetGroup, error)
	Pin(ctx context.Context, opt sidecar.PinOptions) (*sidecar.PinReport, error)
	Runbook(ctx context.Context, snapshot string) (*sidecar.RunbookReport, error)
	Copy(ctx context.Context, opt sidecar.CopyOptions) (*sidecar.CopyReport, error)
	PlanAll(ctx context.Context) ([]sidecar.ProjectPlan, error)
	BackupAll(ctx context.Context, opt sidecar.BackupOptions) ([]sidecar.ProjectBackup, error)
	Serve(ctx context.Context) error
	Health() error
}

// program is the process as the commands see it: everything from outside is
// in here, so that a test can put its own in place.
type program struct {
	out, err io.Writer
	// inTerminal, outTerminal and errTerminal say whether somebody can answer,
	// whether what is not text must be kept away, and whether lines can be
	// redrawn. size is the terminal's, in columns and rows.
	inTerminal, outTerminal, errTerminal bool
	size                                 func() (columns, rows int, err error)
	// readLine reads an answer, until the context ends.
	readLine func(ctx context.Context) (string, error)
	// readSecret reads an answer that is not shown.
	readSecret func(ctx context.Context) (string, error)
	environ    []string
	readFile   func(string) ([]byte, error)
	now        func() time.Time
	build      buildInfo
	// limitCPUs bounds how many processors this process uses. Nil: nothing does.
	limitCPUs func(n int)
	// open makes the application; a test returns one of its own.
	open func(*sidecar.App) application

	// session is the running command's, once it has one.
	session *session
	signals signals
}

// main runs a command line and returns the exit code.
func (p *program) main(ctx context.Context, args []string) int {
	root := p.root()
	root.SetArgs(args)
	root.SetOut(p.out)
	root.SetErr(p.err)
	err := root.ExecuteContext(ctx)
	if p.session != nil {
		p.session.display.close()
	}
	if err != nil {
		p.complain(err)
	}
	return exitCode(ctx, err)
}

// env looks a variable up that is no setting.
func (p *program) env(name string) string {
	for _, kv := range p.environ {
		if n, v, _ := strings.Cut(kv, "="); n == name {
			return v
		}
	}
	return ""
}

// root is the command tree.
func (p *program) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "ripplebak",
		Short: "Back up a Docker Compose project, and bring it back",
		Long: "ripplebak backs up the Docker Compose project that it runs in: its databases by\n" +
			"their own clients, and its volumes, into an encrypted repository that stock\n" +
			"restic can read. Services take part by their labels, settings come from the\n" +
			"environment.\n\n" + exitStatus(exitDone, exitFailed),
		Example: example(
			"plan", "what a backup would do",
			"backup", "back up now",
			"restore latest", "bring everything back"),
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.CompletionOptions.DisableDefaultCmd = true
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return &usageError{cmd, err} })
	root.AddCommand(
		p.pruneCommand(), p.serveCommand(), p.backupCommand(), p.restoreCommand(), p.snapshotsCommand(), p.lsCommand(), p.exportCommand(),
		p.planCommand(), p.checkCommand(), p.repairCommand(), p.unlockCommand(), p.initCommand(), p.healthCommand(),
		p.keyCommand(), p.versionCommand(), completionCommand(), p.helperCommand())
	root.AddCommand(p.diffCommand(), p.findCommand(), p.statsCommand())
	root.AddCommand(p.forgetCommand(), p.pinCommand(), p.unpinCommand())
	root.AddCommand(p.copyCommand(), p.runbookCommand())
	addProjects(root)
	return root
}

// example lays out invocations and what they do, one pair after the other.
func example(pairs ...string) string {
	var b strings.Builder
	for i := 0; i+1 < len(pairs); i += 2 {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString("  # " + pairs[i+1] + "\n  docker compose run --rm backup " + pairs[i])
	}
	return b.String()
}
