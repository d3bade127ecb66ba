package docker

import (
	"math"
	"slices"
	"strings"
)

// The weights of a helper in the background: a quarter of Docker's own for the
// processor (1024), a fifth for disks (500). They count only while others want
// the same.
const (
	backgroundShares = 256
	backgroundBlkio  = 100
)

// helperLimits are the bounds of a helper as the Engine takes them. Zero means
// no bound.
type helperLimits struct {
	nanoCPUs    int64
	cpuShares   int64
	blkioWeight uint16
}

// limits are the bounds to try, in this order: all that is wanted, without
// weights, none. Hosts differ in what their control groups can do: a kernel
// without a disk scheduler that knows weights, a rootless Engine without the
// cpu controller, an Engine inside of a container. Most Engines then drop a
// bound with a warning; some refuse the container, or fail to start it.
func (s HelperSpec) limits() []helperLimits {
	var l helperLimits
	if s.CPUs > 0 {
		l.nanoCPUs = int64(math.Round(s.CPUs * 1e9))
	}
	onlyCPUs := l
	if s.Background {
		l.cpuShares, l.blkioWeight = backgroundShares, backgroundBlkio
	}
	return slices.Compact([]helperLimits{l, onlyCPUs, {}})
}

// refusesLimits says whether an error may come from a helper's bounds. The
// Engine has no code for it, and runc's words differ from one to the next; one
// that is taken for it wrongly costs another try.
func refusesLimits(err error) bool {
	text := strings.ToLower(err.Error())
	for _, word := range []string{"cpu", "weight", "blkio", "cgroup", "bfq"} {
		if strings.Contains(text, word) {
			return true
		}
	}
	return false
}
