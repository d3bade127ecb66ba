package main

import (
	"errors"
	"os"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/ripplebak/ripplebak/sqlite"
	"github.com/ripplebak/ripplebak/volume"
)

// maxHelperConnections bounds what a helper believes that it was told.
const maxHelperConnections = 64

// helperCommand reads no settings: a helper has none, and no secret.
func (p *program) helperCommand() *cobra.Command {
	helper := &cobra.Command{
		Use:    "helper",
		Short:  "Read or write volumes for a sidecar",
		Hidden: true,
		Long: "helper is what a sidecar runs in the throwaway containers that read and write volumes.\n" +
			"It calls the sidecar at the socket RIPPLEBAK_HELPER_SOCKET, with the token\n" +
			"RIPPLEBAK_HELPER_TOKEN, and ends when the sidecar hangs up. It is of no use by hand.\n\n" +
			exitStatus(exitDone, exitFailed, exitInterrupted),
		Args: arguments(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			opt, err := p.helperOptions()
			if err != nil {
				return err
			}
			ctx := cmd.Context()
			if at := crashPoint(p.env); at != nil {
				ctx = volume.WithCrashPoints(ctx, at)
			}
			return volume.ServeHelper(volume.WithDatabaseProgram(ctx, "/proc/self/exe", "helper", databaseTask), opt)
		},
	}
	helper.AddCommand(&cobra.Command{
		Use:    databaseTask,
		Short:  "Copy or check a database, for a helper",
		Hidden: true,
		Long: databaseTask + " is what a helper runs, as the owner of a database's file, to copy or check it.\n" +
			"It ends when its standard input does. It is of no use by hand.\n\n" + exitStatus(exitDone, exitFailed, exitInterrupted),
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			return sqlite.Serve(cmd.Context(), args, os.Stdin, p.out)
		},
	})
	return helper
}

// databaseTask is the command by which a helper has a database handled.
const databaseTask = "database"

// helperOptions reads what the sidecar has told its helper.
func (p *program) helperOptions() (volume.HelperOptions, error) {
	opt := volume.HelperOptions{Socket: p.env("RIPPLEBAK_HELPER_SOCKET"), Token: p.env("RIPPLEBAK_HELPER_TOKEN"), Connections: 1}
	if opt.Socket == "" || opt.Token == "" {
		return opt, errors.New("this command is for the containers that a sidecar starts: RIPPLEBAK_HELPER_SOCKET and RIPPLEBAK_HELPER_TOKEN are not set")
	}
	if text := p.env("RIPPLEBAK_HELPER_CONNECTIONS"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > maxHelperConnections {
			return opt, errors.New("RIPPLEBAK_HELPER_CONNECTIONS is no number from 1 to 64")
		}
		opt.Connections = n
	}
	return opt, nil
}
