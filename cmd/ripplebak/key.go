package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/ripplebak/ripplebak/sidecar"
)

func (p *program) keyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "key",
		Short: "Manage the repository's passwords",
		Long: "key lists, adds and removes the keys of the repository. Each opens it with a password\n" +
			"of its own; data is never written anew. stock restic's \"key\" does the same.\n\n" +
			exitStatus(exitDone, exitFailed),
		Example: example("key list", "what keys there are", "key passwd", "change the password"),
		Args:    arguments(0),
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(p.keyListCommand(), p.keyAddCommand(), p.keyRemoveCommand(), p.keyPasswdCommand())
	return cmd
}

func (p *program) keyListCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the keys",
		Long: "list shows each key with who made it, where and when; a star marks the one that\n" +
			"RIPPLEBAK_PASSWORD opened. It needs no Docker.\n\n" + repositoryCodes(),
		Example: example("key list", "what keys there are"),
		Args:    arguments(0),
	}
	addJSON(cmd)
	addFrom(cmd)
	cmd.RunE = p.with(func(ctx context.Context, s *session, _ []string) error {
		list, err := s.app.Keys(ctx)
		if err != nil {
			return err
		}
		return s.showKeys(list)
	})
	return cmd
}

// newPasswordHelp says in the help where a new password comes from.
const newPasswordHelp = "The new password comes from --new-password-file (/dev/stdin is one, too), from\n" +
	"RIPPLEBAK_NEW_PASSWORD or the file that RIPPLEBAK_NEW_PASSWORD_FILE names, or is asked\n" +
	"for on a terminal.\n\n"

func (p *program) keyAddCommand() *cobra.Command {
	opt := sidecar.KeyOptions{Do: sidecar.AddKey}
	cmd := &cobra.Command{
		Use:   "add",
		Short: "Add a password",
		Long: "add makes a further password open the repository, and proves that it does.\n\n" +
			newPasswordHelp + repositoryCodes(),
		Example: example("key add", "asks for the new password", "key add --new-password-file /run/secrets/second", "takes it from a file"),
		Args:    arguments(0),
	}
	cmd.Flags().StringVar(&opt.User, "user", "", "record this `user` in the key")
	cmd.Flags().StringVar(&opt.Host, "host", "", "record this `host` in the key")
	p.changesKeys(cmd, &opt, false)
	return cmd
}

func (p *program) keyRemoveCommand() *cobra.Command {
	opt := sidecar.KeyOptions{Do: sidecar.RemoveKey}
	cmd := &cobra.Command{
		Use:   "remove ID",
		Short: "Remove a key",
		Long: "remove takes a key out, so that its password stops working. A key without which\n" +
			"RIPPLEBAK_PASSWORD would open nothing is not removed: that is the last one, and the\n" +
			"one in use. Who knew the password may have kept what it opens; where that is a\n" +
			"danger, start a new repository.\n\n" + repositoryCodes(),
		Example: example("key remove 4f2a1c", "after asking", "key remove --yes 4f2a1c", "without asking"),
		Args:    arguments(1, "ID"),
	}
	p.changesKeys(cmd, &opt, true)
	return cmd
}

func (p *program) keyPasswdCommand() *cobra.Command {
	opt := sidecar.KeyOptions{Do: sidecar.ChangePassword}
	cmd := &cobra.Command{
		Use:   "passwd",
		Short: "Change the password",
		Long: "passwd makes a new password open the repository, proves that it does, and then\n" +
			"removes every key that RIPPLEBAK_PASSWORD opens. Other keys stay. If it is interrupted\n" +
			"both passwords may work; run it again. Put the new one into RIPPLEBAK_PASSWORD at\n" +
			"once, and restart what runs with the old one.\n\n" +
			newPasswordHelp + repositoryCodes(),
		Example: example("key passwd", "asks for the new password"),
		Args:    arguments(0),
	}
	p.changesKeys(cmd, &opt, false)
	return cmd
}

// changesKeys gives a command its flags, and has it change keys. One that only
// destroys asks first; the others have asked for a password.
func (p *program) changesKeys(cmd *cobra.Command, opt *sidecar.KeyOptions, asks bool) {
	var yes bool
	var file string
	f := cmd.Flags()
	f.BoolVar(&opt.DryRun, "dry-run", false, "print what would be done, and do nothing")
	if asks {
		f.BoolVar(&yes, "yes", false, "do not ask")
	} else {
		f.StringVar(&file, "new-password-file", "", "read the new password from this `file`")
	}
	addJSON(cmd)
	cmd.Flags().String("from", "", "change the keys of this `copy`, not of the repository: copy, copy2, ...")
	cmd.RunE = p.with(func(ctx context.Context, s *session, args []string) (err error) {
		if asks {
			opt.Key = args[0]
			if err := s.mayAsk(yes || opt.DryRun); err != nil {
				return err
			}
			opt.Confirm = s.confirmKeys(ctx, yes)
		} else if opt.NewPassword, err = s.newPassword(ctx, file); err != nil {
			return err
		}
		report, err := s.app.ChangeKeys(ctx, *opt)
		if report == nil {
			return err
		}
		return errors.Join(err, s.showKeyReport(report, err == nil && opt.Do == sidecar.ChangePassword))
	})
}

// confirmKeys shows what will be done to the keys, and asks unless the answer
// is known.
func (s *session) confirmKeys(ctx context.Context, yes bool) func(*sidecar.KeyReport) error {
	return func(r *sidecar.KeyReport) error {
		if yes {
			return nil
		}
		if err := s.printTo(s.display, func(out io.Writer) error { return s.writeKeySteps(out, r) }); err != nil {
			return err
		}
		return s.ask(ctx, "\nremove it? [y/N] ")
	}
}

func (s *session) showKeys(list []sidecar.KeyInfo) error {
	if s.json {
		return s.printJSON(list)
	}
	return s.print(func(out io.Writer) error {
		t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(t, " ID\tCREATED\tUSER\tHOST")
		for _, k := range list {
			mark := " "
			if k.Current {
				mark = "*"
			}
			if k.Damage != "" {
				fmt.Fprintf(t, "%s%s\t-\t-\t-\t%s\n", mark, k.ShortID, indented(k.Damage))
				continue
			}
			fmt.Fprintf(t, "%s%s\t%s\t%s\t%s\n", mark, k.ShortID, s.when(k.Created), s.orDash(k.User), s.orDash(k.Host))
		}
		return t.Flush()
	})
}

func (s *session) showKeyReport(r *sidecar.KeyReport, changed bool) error {
	if s.json {
		return s.printJSON(r)
	}
	return s.print(func(out io.Writer) error {
		if err := s.writeKeySteps(out, r); err != nil {
			return err
		}
		if changed && !r.DryRun {
			fmt.Fprintln(out, "put the new password into RIPPLEBAK_PASSWORD now, and restart what runs with the old one")
		}
		return nil
	})
}

func (s *session) writeKeySteps(out io.Writer, r *sidecar.KeyReport) error {
	for _, step := range r.Steps {
		what := map[sidecar.KeyAction][2]string{sidecar.AddKey: {"add a key", "added key"}, sidecar.RemoveKey: {"remove key", "removed key"}}[step.Do]
		text := what[0]
		if step.Done {
			text = what[1]
		}
		if step.Key != "" {
			text += " " + step.Key[:min(8, len(step.Key))]
		}
		if _, err := fmt.Fprintf(out, "%s: %s\n", text, step.Cause); err != nil {
			return err
		}
	}
	return nil
}
