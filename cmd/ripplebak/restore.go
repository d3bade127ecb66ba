package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/ripplebak/ripplebak/sidecar"
)

func (p *program) restoreCommand() *cobra.Command {
	var opt sidecar.RestoreOptions
	var at string
	var yes bool
	var patience time.Duration
	cmd := &cobra.Command{
		Use:   "restore [SNAPSHOT]",
		Short: "Bring the project back",
		Long: "restore brings items back from a snapshot: an ID, the beginning of one, or \"latest\".\n" +
			"Without one it asks, on a terminal, for the snapshot and the items.\n" +
			"Without a choice of items it takes all of them. With \"latest\", an item that is not\n" +
			"good in the newest snapshot comes from the newest one in which it is, and the plan\n" +
			"says so. --at TIME does the same among the snapshots that were made by then: a date\n" +
			"and time in the zone of TZ (\"2026-11-20 14:00\"), RFC 3339, or a date, which means the\n" +
			"end of that day.\n\n" +
			"Everything that is needed is read and verified first, then the plan is shown and\n" +
			"confirmed. What will be overwritten is saved in a safety snapshot, the services\n" +
			"that use it are stopped, and started again at the end. Volumes become exactly what\n" +
			"the snapshot holds. An item that fails keeps its old data.\n\n" +
			"--path takes single files and folders of a volume, written from its root; nothing in it\n" +
			"is a pattern. A folder becomes what it was; the rest of the volume stays as it is.\n" +
			"--no-stop does so while services run that use the volume.\n\n" +
			"--to-database and --to-volume leave what is there as it is. The new database is on the\n" +
			"same server; the new volume has a name as in the compose file, where it can be put\n" +
			"under volumes: to be used.\n\n" +
			"--to-dir writes volumes as folders and databases as plain dumps below a directory,\n" +
			"which has to be empty or new. It stops nothing and needs no Docker. Owners are kept\n" +
			"where root restores; others get the content. With --keep-extra the directory may hold\n" +
			"files: those of the same name are written over, and the others stay.\n\n" +
			"--rollback undoes the last restore: what it has touched comes back from the safety\n" +
			"snapshot that it made. One that was interrupted is undone as far as its journal goes.\n" +
			"It is a restore itself, with a safety snapshot of its own; twice undoes the undoing,\n" +
			"unless the first was interrupted or failed for some item: then it goes on with the rest.\n" +
			"A volume or database that was not there before is named, and stays.\n\n" +
			"--bootstrap is for a machine that has nothing of the project, and no sidecar of it: the\n" +
			"directory of the host gets the compose files and .env, volumes are made and filled,\n" +
			"and what Compose has to do it asks you to run, in another terminal; it goes on when\n" +
			"that is done. Nothing is overwritten. Interrupted, the same command goes on.\n\n" +
			"--verify-all compares every file by content. Without it one whose size, times and\n" +
			"inode are as recorded is not read, and damage below the filesystem stays.\n\n" +
			repositoryCodes(),
		Example: example(
			"restore latest", "everything, after asking",
			"restore --dry-run latest", "what it would do",
			"restore --at '2026-11-20 14:00'", "everything as it was then",
			"restore --volume uploads 4f2a1c", "one volume, from a certain snapshot",
			"restore --volume uploads --path 2026/invoice.pdf latest", "one file, in its place",
			"restore --database db/shop --yes latest", "one database, without asking",
			"restore --rollback", "as it was before the last restore") +
			"\n  # as files, on the bare binary\n  ripplebak restore --to-dir /srv/restored latest" +
			"\n  # on a new machine\n  docker run --rm -it -v /var/run/docker.sock:/var/run/docker.sock -v ripplebak-run:/run/ripplebak -v ripplebak:/var/lib/ripplebak -e ... ripplebak restore --project shop --bootstrap \"$PWD/shop\" latest",
		Args: func(cmd *cobra.Command, args []string) error {
			if opt.Rollback {
				return nil // which refuses them itself
			}
			if len(args) == 0 && (at != "" || p.inTerminal && !yes && !wantsJSON(cmd)) {
				return nil
			}
			return arguments(1, "SNAPSHOT")(cmd, args)
		},
	}
	f := cmd.Flags()
	f.StringVar(&at, "at", "", "what was saved by this `time`")
	f.StringArrayVar(&opt.Services, "service", nil, "only what belongs to this `service`; may be repeated")
	f.StringArrayVar(&opt.Volumes, "volume", nil, "only this `volume`; may be repeated")
	f.StringArrayVar(&opt.Databases, "database", nil, "only this database, as `SERVICE/DATABASE`; may be repeated")
	f.StringArrayVar(&opt.Paths, "path", nil, "only this file or folder of a volume, from its root; may be repeated")
	f.StringVar(&opt.ToDatabase, "to-database", "", "restore the one --database as this new database, beside the old")
	f.StringVar(&opt.ToVolume, "to-volume", "", "restore the one --volume into this new or empty `volume`")
	f.StringVar(&opt.ToDir, "to-dir", "", "write the items as files into this `directory`, and leave the project alone")
	f.StringVar(&opt.Bootstrap, "bootstrap", "", "bring the project back where there is nothing of it, its own files into this `directory` of the host")
	f.DurationVar(&patience, "patience", time.Hour, "with --bootstrap, how long to wait each time until you have run what it asks for")
	f.BoolVar(&opt.NoStop, "no-stop", false, "with --path, leave the services running that use the volume")
	f.BoolVar(&opt.Globals, "globals", false, "give roles that exist the stored password and attributes, too")
	f.BoolVar(&opt.Rollback, "rollback", false, "undo the last restore")
	f.BoolVar(&opt.VerifyAll, "verify-all", false, "compare every file of volumes by content, also those that look untouched")
	f.BoolVar(&opt.KeepExtra, "keep-extra", false, "leave files that the snapshot does not have")
	f.BoolVar(&opt.NoSafety, "no-safety-snapshot", false, "do not save first what will be overwritten")
	f.BoolVar(&opt.DryRun, "dry-run", false, "verify, print the plan, and do nothing")
	f.BoolVar(&yes, "yes", false, "do not ask")
	addJSON(cmd)
	addFrom(cmd)
	cmd.RunE = p.with(func(ctx context.Context, s *session, args []string) error {
		if err := checkGiven(cmd); err != nil {
			return &usageError{cmd, err}
		}
		if err := checkRollback(cmd, &opt, args); err != nil {
			return &usageError{cmd, err}
		}
		var err error
		if opt.Snapshot, opt.At, err = s.restoreFrom(args, at); err != nil {
			return &usageError{cmd, err}
		}
		if err := checkBootstrap(cmd, &opt); err != nil {
			return &usageError{cmd, err}
		}
		if err := checkChoice(&opt); err != nil {
			return &usageError{cmd, err}
		}
		overwrites := opt.Bootstrap == "" && (opt.Globals || opt.ToDatabase == "" && opt.ToVolume == "" && (opt.ToDir == "" || opt.KeepExtra))
		if err := s.mayAsk(yes || opt.DryRun || !overwrites); err != nil {
			return err
		}
		if opt.Snapshot == "" && !opt.Rollback {
			if err := s.choose(ctx, &opt); err != nil {
				return err
			}
		}
		yes = yes || !overwrites
		opt.Confirm, opt.Sure = s.confirm(ctx, yes), yes
		if opt.Bootstrap != "" {
			opt.Ask, opt.Patience = s.askToRun, patience
		}
		report, err := s.app.Restore(ctx, opt)
		if report == nil || report.Plan == nil {
			return err
		}
		return errors.Join(err, s.showRestore(report, err))
	})
	return cmd
}

// restoreFrom reads which snapshot to take, by the argument and by --at.
func (s *session) restoreFrom(args []string, text string) (snapshot string, at time.Time, err error) {
	switch {
	case text == "" && len(args) == 0:
		return "", at, nil // it is asked for
	case text == "":
		return args[0], at, nil
	}
	if len(args) > 0 && args[0] != "latest" {
		return "", at, fmt.Errorf("--at looks for the snapshot: leave out %s", args[0])
	}
	if at, err = wallTime(text, s.settings.Location); err != nil {
		return "", at, fmt.Errorf("--at: %w", err)
	}
	return "latest", at, nil
}

// checkGiven refuses places and times that are empty, as those of a variable
// that was never set are: without them the restore would be another one.
func checkGiven(cmd *cobra.Command) error {
	for _, name := range []string{"at", "to-database", "to-volume", "to-dir", "bootstrap"} {
		if f := cmd.Flags().Lookup(name); f.Changed && f.Value.String() == "" {
			return fmt.Errorf("--%s is empty", name)
		}
	}
	return nil
}

// checkRollback refuses what would choose something else than the last restore
// did.
func checkRollback(cmd *cobra.Command, opt *sidecar.RestoreOptions, args []string) error {
	if !opt.Rollback {
		return nil
	}
	if len(args) > 0 {
		return fmt.Errorf("--rollback finds the snapshot itself: leave out %s", args[0])
	}
	for _, name := range []string{"at", "service", "volume", "database", "path", "to-database", "to-volume", "to-dir", "no-stop", "globals", "keep-extra", "from", "bootstrap"} {
		if f := cmd.Flags().Lookup(name); f != nil && f.Changed {
			return fmt.Errorf("--rollback undoes the last restore as a whole, from the repository: leave out --%s", name)
		}
	}
	return nil
}

// checkBootstrap refuses what chooses a part, or another place: where there is
// nothing yet, everything comes back.
func checkBootstrap(cmd *cobra.Command, opt *sidecar.RestoreOptions) error {
	if opt.Bootstrap == "" {
		if cmd.Flags().Changed("patience") {
			return errors.New("--patience is for --bootstrap")
		}
		return nil
	}
	for _, name := range []string{"service", "volume", "database", "path", "to-database", "to-volume", "to-dir", "no-stop", "globals", "keep-extra", "verify-all"} {
		if cmd.Flags().Changed(name) {
			return fmt.Errorf("--bootstrap brings everything back where there is nothing: leave out --%s", name)
		}
	}
	return nil
}

// checkChoice refuses options that contradict each other.
func checkChoice(opt *sidecar.RestoreOptions) error {
	switch {
	case opt.ToDir != "" && (opt.Globals || opt.NoSafety || opt.NoStop):
		return errors.New("--to-dir touches nothing of the project: leave out --globals, --no-safety-snapshot and --no-stop")
	case opt.ToDatabase != "" && opt.ToVolume != "" || opt.ToDir != "" && opt.ToDatabase+opt.ToVolume != "":
		return errors.New("it can go to one place only: leave out all but one of --to-database, --to-volume and --to-dir")
	case opt.ToDatabase != "" && (len(opt.Databases) != 1 || len(opt.Services)+len(opt.Volumes)+len(opt.Paths) > 0):
		return errors.New("--to-database is for one database: name it by --database, and nothing else")
	case opt.ToVolume != "" && (len(opt.Volumes) != 1 || len(opt.Services)+len(opt.Databases) > 0):
		return errors.New("--to-volume is for one volume: name it by --volume, and nothing else")
	case len(opt.Paths) == 0 && opt.NoStop:
		return errors.New("--no-stop is for single files and folders: name them by --path")
	case len(opt.Paths) == 0:
		return nil
	case len(opt.Databases) > 0 || opt.Globals:
		return errors.New("--path is for volumes: restore databases by themselves")
	case len(opt.Volumes) > 1:
		return errors.New("--path is looked for in one volume, or in all: name one by --volume")
	}
	return nil
}
