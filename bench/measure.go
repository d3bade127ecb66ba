package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
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

// containersCPU is the CPU time, in seconds, of all containers of the Engine,
// those that have ended included.
func containersCPU() (float64, error) {
	for _, path := range []string{"/sys/fs/cgroup/cpuacct/docker/cpuacct.usage", "/sys/fs/cgroup/cpu,cpuacct/docker/cpuacct.usage"} {
		if b, err := os.ReadFile(path); err == nil {
			ns, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64)
			return float64(ns) / 1e9, err
		}
	}
	b, err := os.ReadFile("/sys/fs/cgroup/system.slice/cpu.stat")
	if err != nil {
		return 0, fmt.Errorf("the CPU time of containers is not to be had: %w", err)
	}
	for line := range strings.Lines(string(b)) {
		if us, ok := strings.CutPrefix(line, "usage_usec "); ok {
			n, err := strconv.ParseInt(strings.TrimSpace(us), 10, 64)
			return float64(n) / 1e6, err
		}
	}
	return 0, fmt.Errorf("cpu.stat has no usage_usec")
}

// memoryWatch notes the peak resident size of every ripplebak process.
type memoryWatch struct {
	stop chan struct{}
	wg   sync.WaitGroup
	peak map[int]int64 // by process
	skip map[int]bool
}

// watchMemory watches processes of ripplebak that were not there before.
func watchMemory() *memoryWatch {
	w := &memoryWatch{stop: make(chan struct{}), peak: map[int]int64{}, skip: map[int]bool{}}
	for pid := range ripplebaks() {
		w.skip[pid] = true
	}
	w.wg.Go(func() {
		for {
			select {
			case <-w.stop:
				return
			case <-time.After(20 * time.Millisecond):
			}
			for pid, rss := range ripplebaks() {
				if !w.skip[pid] {
					w.peak[pid] = max(w.peak[pid], rss)
				}
			}
		}
	})
	return w
}

// end returns the sum of the peaks of the sidecar's command and its helper.
func (w *memoryWatch) end() int64 {
	close(w.stop)
	w.wg.Wait()
	var sum int64
	for _, rss := range w.peak {
		sum += rss
	}
	return sum
}

func ripplebaks() map[int]int64 {
	out := map[int]int64{}
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return out
	}
	for _, d := range dirs {
		comm, err := os.ReadFile(d + "/comm")
		if err != nil || strings.TrimSpace(string(comm)) != "ripplebak" {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(d))
		if err != nil {
			continue
		}
		status, err := os.ReadFile(d + "/status")
		if err != nil {
			continue // it has ended
		}
		for line := range strings.Lines(string(status)) {
			if v, ok := strings.CutPrefix(line, "VmHWM:"); ok {
				kb, _ := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(v), "kB")), 10, 64)
				out[pid] = kb << 10
			}
		}
	}
	return out
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
