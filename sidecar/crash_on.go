//go:build crashpoints

package sidecar

import "os"

// Variables name the point at which a process built for tests dies: the
// sidecar itself; its helper in which the points of a volume's restore are; the
// helper that recovers from that. They are no settings, and bear no prefix of
// ours, so that settings let them pass.
const (
	crashVariable         = "CRASH_POINT"
	crashHelperVariable   = "CRASH_POINT_IN_HELPER"
	crashRecoveryVariable = "CRASH_POINT_IN_RECOVERY"
	crashPauseVariable    = "CRASH_PAUSE" // how long to wait at the point instead of dying
)

func crashEnv(run string) []string {
	name := crashHelperVariable
	if run == runRecover {
		name = crashRecoveryVariable
	}
	if point := os.Getenv(name); point != "" {
		return []string{crashVariable + "=" + point, crashPauseVariable + "=" + os.Getenv(crashPauseVariable)}
	}
	return nil
}
