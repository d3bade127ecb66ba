//go:build crashpoints

package main

import (
	"errors"
	"os"
	"os/exec"
	"syscall"
	"testing"
)

// TestCrashPoint runs this test again as a process of its own, which dies.
func TestCrashPoint(t *testing.T) {
	if os.Getenv("CRASH_POINT") != "" {
		at := crashPoint(os.Getenv)
		defer os.Stdout.WriteString("cleaned up")
		for _, point := range []string{"after-stop", "other", "after-stop", "after-stop"} {
			at(point)
			os.Stdout.WriteString(point + "\n")
		}
		return
	}
	for point, want := range map[string]string{
		"after-stop": "", "other": "after-stop\n", "after-stop:2": "after-stop\nother\n", "after-stop:3": "after-stop\nother\nafter-stop\n",
	} {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestCrashPoint$")
		cmd.Env = append(os.Environ(), "CRASH_POINT="+point)
		out, err := cmd.Output()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL || string(out) != want {
			t.Errorf("%s: %v, output %q, want %q", point, err, out, want)
		}
	}
	if crashPoint(func(string) string { return "" }) != nil {
		t.Error("something dies although nothing was named")
	}
}
