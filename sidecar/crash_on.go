//go:build crashpoints

package sidecar

import "os"

// Variables name the point at which a process built for tests dies: the
// sidecar itself, or its helper in which the points of a volume's restore are.
// They are no settings, and bear no prefix of ours, so that settings let them
// pass.
const (
	crashVariable       = "CRASH_POINT"
	crashHelperVariable = "CRASH_POINT_IN_HELPER"
)

func crashEnv() []string {
	if point := os.Getenv(crashHelperVariable); point != "" {
		return []string{crashVariable + "=" + point}
	}
	return nil
}
