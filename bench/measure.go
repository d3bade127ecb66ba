package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// figures is what one run cost.
type figures struct {
	wall   float64 // seconds
	cpu    float64 // seconds, user and system
	rss    int64   // bytes, peak
	stored int64   // bytes that the repository has grown by
}

// median takes the median of each figure by itself.
func median(all []figures) figures {
	pick := func(get func(figures) float64) float64 {
		var v []float64
		for _, f := range all {
			v = append(v, get(f))
		}
		slices.Sort(v)
		return v[len(v)/2]
	}
	return figures{
		wall:   pick(func(f figures) float64 { return f.wall }),
		cpu:    pick(func(f figures) float64 { return f.cpu }),
		rss:    int64(pick(func(f figures) float64 { return float64(f.rss) })),
		stored: int64(pick(func(f figures) float64 { return float64(f.stored) })),
	}
}

// measureCommand runs a program of this machine.
func measureCommand(ctx context.Context, env []string, dir string, argv ...string) (figures, error) {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env, cmd.Dir = append(os.Environ(), env...), dir
	started := time.Now()
	out, err := cmd.CombinedOutput()
	f := figures{wall: time.Since(started).Seconds()}
	if err != nil {
		return f, fmt.Errorf("%s: %w\n%s", strings.Join(argv, " "), err, tail(out))
	}
	use := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	f.cpu = cmd.ProcessState.UserTime().Seconds() + cmd.ProcessState.SystemTime().Seconds()
	f.rss = use.Maxrss << 10
	return f, nil
}

func tail(b []byte) []byte {
	if len(b) > 2000 {
		return b[len(b)-2000:]
	}
	return b
}

// docker runs a command of the docker CLI.
func docker(ctx context.Context, args ...string) (string, error) {
	out, err := exec.CommandContext(ctx, "docker", args...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("docker %s: %w\n%s", strings.Join(args, " "), err, tail(out))
	}
	return string(out), nil
}

// dropCaches empties the page cache, after what is dirty has been written.
func dropCaches() error {
	syscall.Sync()
	return os.WriteFile("/proc/sys/vm/drop_caches", []byte("3\n"), 0)
}

// size adds up the files below a directory.
func size(dir string) (int64, error) {
	var n int64
	err := filepath.WalkDir(dir, func(_ string, e os.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		info, err := e.Info()
		if err == nil {
			n += info.Size()
		}
		return err
	})
	return n, err
}
