package docker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
)

// SelfHints are what a process can see of the container that it runs in.
type SelfHints struct {
	// Hostname is the first 12 digits of the container's ID, unless it was set.
	Hostname string
	// Mountinfo is /proc/self/mountinfo, Cgroup is /proc/self/cgroup.
	Mountinfo, Cgroup string
}

// ReadSelfHints reads the hints of this process. What can't be read is empty.
func ReadSelfHints() SelfHints {
	var h SelfHints
	if name, err := os.Hostname(); err == nil {
		h.Hostname = name
	}
	if b, err := os.ReadFile("/proc/self/mountinfo"); err == nil {
		h.Mountinfo = string(b)
	}
	if b, err := os.ReadFile("/proc/self/cgroup"); err == nil {
		h.Cgroup = string(b)
	}
	return h
}

var (
	containerDir = regexp.MustCompile(`/containers/([0-9a-f]{64})/(?:hostname|hosts|resolv\.conf)$`)
	fullID       = regexp.MustCompile(`[0-9a-f]{64}`)
	shortID      = regexp.MustCompile(`^[0-9a-f]{12}$`)
)

// candidates are the IDs that the hints point to, the surest first.
func (h SelfHints) candidates() []string {
	var ids []string
	seen := map[string]bool{}
	add := func(id string) {
		if !seen[id] {
			seen[id] = true
			ids = append(ids, id)
		}
	}
	// The Engine mounts three files from the container's own directory. Other
	// mounts of the table may be those of other containers, seen by a host.
	for line := range strings.Lines(h.Mountinfo) {
		f := strings.Fields(line)
		if len(f) < 5 {
			continue
		}
		switch f[4] {
		case "/etc/hostname", "/etc/hosts", "/etc/resolv.conf":
			if m := containerDir.FindStringSubmatch(f[3]); m != nil {
				add(m[1])
			}
		}
	}
	for line := range strings.Lines(h.Cgroup) {
		// The last one: with an Engine inside a container, the outer comes first.
		if all := fullID.FindAllString(line, -1); len(all) > 0 {
			add(all[len(all)-1])
		}
	}
	if shortID.MatchString(h.Hostname) {
		add(h.Hostname)
	}
	return ids
}

// Self finds the container that this process runs in: one that the hints point
// to, that this Engine knows under that ID (not that name), and that runs.
// ErrNotInContainer where there is none.
func (e *Engine) Self(ctx context.Context, hints SelfHints) (Container, error) {
	for _, id := range hints.candidates() {
		c, err := e.Inspect(ctx, id)
		switch {
		case errors.Is(err, ErrNoContainer):
			continue
		case err != nil:
			return Container{}, fmt.Errorf("find own container: %w", err)
		case c.Running && strings.HasPrefix(c.ID, id):
			return c, nil
		}
	}
	return Container{}, ErrNotInContainer
}
