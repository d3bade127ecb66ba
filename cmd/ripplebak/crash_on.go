//go:build crashpoints

package main

import (
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// crashPoint returns a function that kills this process, with nothing cleaned
// up, when it is called with the name in CRASH_POINT; "name:3" means the third
// time. With a duration in CRASH_PAUSE it waits that long instead, for those who
// come with a kill or a signal of their own. It may be called from several
// goroutines.
func crashPoint(env func(string) string) func(string) {
	name, count, _ := strings.Cut(env("CRASH_POINT"), ":")
	if name == "" {
		return nil
	}
	left, err := strconv.Atoi(count)
	if err != nil {
		left = 1
	}
	pause, _ := time.ParseDuration(env("CRASH_PAUSE"))
	var mu sync.Mutex
	return func(point string) {
		if point != name {
			return
		}
		mu.Lock()
		defer mu.Unlock()
		if left--; left > 0 || left < 0 && pause > 0 {
			return
		}
		if pause > 0 {
			time.Sleep(pause)
			return
		}
		// The first process of a container is immune to its own SIGKILL, and
		// leaves as abruptly by itself, with the status that a kill has.
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		syscall.Exit(137)
	}
}
