package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// watchEvery is how often processes are looked at. What a helper does after
// the last look is lost to the figures, so it is short.
const watchEvery = 5 * time.Millisecond

// watch notes what our processes take: those that have the volume of the
// benchmark's socket mounted, which are the sidecar, the command that is
// executed in it, and its helper. Others of ripplebak on this machine do not
// count.
type watch struct {
	stop chan struct{}
	wg   sync.WaitGroup

	mine map[int]bool // by process; false for one of somebody else
	idle map[int]bool // was there before: the sidecar that serves
	peak map[int]int64
	cpu  map[string]float64 // by cgroup, so that threads that have ended count
	was  map[string]float64
}

// usage is what was seen.
type usage struct {
	rss int64   // bytes, the peaks added up
	cpu float64 // seconds
	// each are the peaks of the processes, in the order in which they came.
	each []int64
}

// watchOurs begins to watch.
func watchOurs() *watch {
	w := &watch{
		stop: make(chan struct{}), mine: map[int]bool{}, idle: map[int]bool{},
		peak: map[int]int64{}, cpu: map[string]float64{}, was: map[string]float64{},
	}
	w.look()
	for pid := range w.peak {
		w.idle[pid] = true
	}
	for group, used := range w.cpu {
		w.was[group] = used
	}
	w.wg.Go(func() {
		for {
			select {
			case <-w.stop:
				return
			case <-time.After(watchEvery):
				w.look()
			}
		}
	})
	return w
}

// end gives what was used since watchOurs.
func (w *watch) end() usage {
	close(w.stop)
	w.wg.Wait()
	w.look() // the cgroup of the sidecar has the command's time, to its end
	var u usage
	for group, used := range w.cpu {
		u.cpu += used - w.was[group]
	}
	for pid, rss := range w.peak {
		if !w.idle[pid] {
			u.rss += rss
			u.each = append(u.each, rss)
		}
	}
	return u
}

func (w *watch) look() {
	dirs, err := os.ReadDir("/proc")
	if err != nil {
		return
	}
	for _, d := range dirs {
		pid, err := strconv.Atoi(d.Name())
		if err != nil {
			continue
		}
		if mine, seen := w.mine[pid]; seen && !mine {
			continue
		}
		w.process(pid, filepath.Join("/proc", d.Name()))
	}
}

func (w *watch) process(pid int, dir string) {
	comm, err := os.ReadFile(filepath.Join(dir, "comm"))
	if err != nil {
		return
	}
	if name := strings.TrimSpace(string(comm)); name != "ripplebak" {
		// What will be ours begins as runc.
		w.mine[pid] = strings.HasPrefix(name, "runc") || name == "exe"
		if !w.mine[pid] {
			return
		}
		delete(w.mine, pid)
		return
	}
	if !w.mine[pid] {
		mounts, err := os.ReadFile(filepath.Join(dir, "mountinfo"))
		if err != nil {
			return
		}
		if w.mine[pid] = bytes.Contains(mounts, []byte("/"+benchRun+"/")); !w.mine[pid] {
			return
		}
	}
	if rss, ok := peakRSS(dir); ok {
		w.peak[pid] = max(w.peak[pid], rss)
	}
	// On its way into its container a process is still in the root.
	if group, used, err := groupCPU(dir); err == nil && group != "/" {
		w.cpu[group] = max(w.cpu[group], used)
	}
}

func peakRSS(dir string) (int64, bool) {
	status, err := os.ReadFile(filepath.Join(dir, "status"))
	if err != nil {
		return 0, false // it has ended
	}
	for line := range strings.Lines(string(status)) {
		if v, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kb, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(v), "kB")), 10, 64)
			return kb << 10, err == nil
		}
	}
	return 0, false
}

// groupCPU gives the CPU time, in seconds, that the cgroup of a process, which
// is its container's, has used so far.
func groupCPU(dir string) (group string, seconds float64, err error) {
	groups, err := os.ReadFile(filepath.Join(dir, "cgroup"))
	if err != nil {
		return "", 0, err
	}
	for line := range strings.Lines(string(groups)) {
		part := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(part) != 3 {
			continue
		}
		switch {
		case part[0] == "0" && part[1] == "":
			seconds, err := cpuStat(filepath.Join("/sys/fs/cgroup", part[2], "cpu.stat"))
			if err == nil {
				return part[2], seconds, nil
			}
		case strings.Contains(","+part[1]+",", ",cpuacct,"):
			b, err := os.ReadFile(filepath.Join("/sys/fs/cgroup", "cpuacct", part[2], "cpuacct.usage"))
			if err != nil {
				return "", 0, err
			}
			ns, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64)
			return part[2], float64(ns) / 1e9, err
		}
	}
	return "", 0, fmt.Errorf("the CPU time of %s is not to be had", dir)
}

func cpuStat(path string) (seconds float64, err error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		if us, ok := strings.CutPrefix(line, "usage_usec "); ok {
			n, err := strconv.ParseInt(strings.TrimSpace(us), 10, 64)
			return float64(n) / 1e6, err
		}
	}
	return 0, fmt.Errorf("%s has no usage_usec", path)
}
