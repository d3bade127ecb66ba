package main

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"
)

// buildInfo says what the program is.
type buildInfo struct {
	Version string `json:"version"`
	Go      string `json:"go"`
	OS      string `json:"os"`
	Arch    string `json:"arch"`
}

func thisBuild() buildInfo {
	return buildInfo{Version: version, Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH}
}

// versionCommand reads no settings: it answers also where they are wrong.
func (p *program) versionCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "version",
		Short:   "Print the version",
		Long:    "version prints the version of ripplebak, and what it was built with and for.\n\n" + exitStatus(exitDone),
		Example: example("version", "which one is this?"),
		Args:    arguments(0),
	}
	addJSON(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if wantsJSON(cmd) {
			b, err := encodeJSON(p.build, "  ")
			if err == nil {
				_, err = p.out.Write(b)
			}
			return err
		}
		_, err := fmt.Fprintf(p.out, "ripplebak %s (%s, %s/%s)\n", p.build.Version, p.build.Go, p.build.OS, p.build.Arch)
		return err
	}
	return cmd
}
