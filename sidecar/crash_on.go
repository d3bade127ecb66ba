//go:build crashpoints

package sidecar

import "os"

// crashVariable names the point at which a process built for tests dies. It is
// no setting, and bears no prefix of ours, so that settings let it pass.
const crashVariable = "CRASH_POINT"

// crashEnv hands the crash point on to a helper, in which the points of a
// volume's restore are.
func crashEnv() []string {
	if point := os.Getenv(crashVariable); point != "" {
		return []string{crashVariable + "=" + point}
	}
	return nil
}
