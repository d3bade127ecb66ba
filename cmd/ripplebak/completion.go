package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

func completionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "completion bash|zsh|fish|powershell",
		Short: "Print a script that completes command lines",
		Long: "completion prints a script with which a shell completes ripplebak's command lines,\n" +
			"for who has the bare binary.\n\n" + exitStatus(exitDone, exitFailed),
		Example:               "  # for this bash\n  source <(ripplebak completion bash)",
		ValidArgs:             []string{"bash", "zsh", "fish", "powershell"},
		Args:                  arguments(1, "the name of a shell"),
		DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			root, out := cmd.Root(), cmd.OutOrStdout()
			switch args[0] {
			case "bash":
				return root.GenBashCompletionV2(out, true)
			case "zsh":
				return root.GenZshCompletion(out)
			case "fish":
				return root.GenFishCompletion(out, true)
			case "powershell":
				return root.GenPowerShellCompletionWithDesc(out)
			}
			return &usageError{cmd, fmt.Errorf("%q is none of the shells", args[0])}
		},
	}
}
