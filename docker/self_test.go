package docker

import (
	"slices"
	"strings"
	"testing"
)

func TestSelfCandidates(t *testing.T) {
	a, b := strings.Repeat("a1", 32), strings.Repeat("b2", 32)
	for name, c := range map[string]struct {
		hints SelfHints
		want  []string
	}{
		"cgroup v2": {SelfHints{
			Hostname:  a[:12],
			Cgroup:    "0::/\n",
			Mountinfo: "682 661 8:1 /var/lib/docker/containers/" + a + "/hostname /etc/hostname rw,relatime - ext4 /dev/sda1 rw\n",
		}, []string{a, a[:12]}},
		"another data root": {SelfHints{
			Mountinfo: "682 661 8:1 /srv/d/containers/" + a + "/resolv.conf /etc/resolv.conf rw - ext4 /dev/sda1 rw\n",
		}, []string{a}},
		"the host sees others": {SelfHints{
			Hostname:  "myhost",
			Mountinfo: "90 30 0:50 / /var/lib/docker/containers/" + b + "/mounts/shm rw - tmpfs shm rw\n",
		}, nil},
		"cgroup v1":  {SelfHints{Hostname: "set-by-user", Cgroup: "12:pids:/docker/" + a + "\n11:cpu:/docker/" + a + "\n"}, []string{a}},
		"nested":     {SelfHints{Cgroup: "1:name=systemd:/docker/" + b + "/docker/" + a + "\n"}, []string{a}},
		"systemd":    {SelfHints{Cgroup: "0::/system.slice/docker-" + a + ".scope\n"}, []string{a}},
		"a name":     {SelfHints{Hostname: "db"}, nil},
		"nothing":    {SelfHints{}, nil},
		"odd tables": {SelfHints{Mountinfo: "1\n\n1 2 3\n", Cgroup: ":::\n"}, nil},
	} {
		if got := c.hints.candidates(); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
