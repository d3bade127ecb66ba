package integration

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
)

// sidecar is the container of the command that runs; it waits for it.
func (c *crashing) sidecar() string {
	c.t.Helper()
	var id string
	eventually(c.t, "the sidecar runs", func() bool {
		id = strings.TrimSpace(must(c.t, "docker", "ps", "-q", "--no-trunc", "--filter", "label=com.docker.compose.project="+c.name, "--filter", "label=com.docker.compose.service=backup"))
		return id != ""
	})
	return id
}

// paused starts a command that waits at a point for the time given.
func (c *crashing) paused(variable, point, pause string, args ...string) *background {
	c.t.Helper()
	return c.start(append([]string{"run", "--rm", "-T", "-e", variable + "=" + point, "-e", "CRASH_PAUSE=" + pause, "backup"}, args...)...)
}

// TestF44_TermWithTenSecondsOfGrace stops the sidecar as Docker does, while it
// has services down.
func TestF44_TermWithTenSecondsOfGrace(t *testing.T) {
	c := newCrashing(t)
	root := c.mountpoint("data")
	randomFile(t, filepath.Join(root, "big"), 4<<20)
	saved := savedCopy(t, root)
	first := c.backup()
	randomFile(t, filepath.Join(root, "big"), 4<<20)
	later := savedCopy(t, root)
	for _, test := range []struct {
		name, variable, point string
		args                  []string
	}{
		{"backup, one service down", "CRASH_POINT", "after-stop", []string{"backup"}},
		{"backup, all down", "CRASH_POINT", "after-stop:2", []string{"backup"}},
		{"backup, before they start", "CRASH_POINT", "before-start", []string{"backup"}},
		{"restore, all down", "CRASH_POINT", "after-stop:2", []string{"restore", first.Snapshot, "--yes"}},
		{"restore, files being written", "CRASH_POINT_IN_HELPER", "mid-restore", []string{"restore", first.Snapshot, "--yes", "--no-safety-snapshot"}},
		{"restore, between old and new", "CRASH_POINT_IN_HELPER", "mid-rename", []string{"restore", first.Snapshot, "--yes", "--no-safety-snapshot"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := c.inTest(t)
			must(t, "rsync", "-a", "--checksum", "--delete", later+"/", root+"/")
			before := c.stored()
			down := c.nextEvent("app", "die")
			if test.point == "after-stop" {
				down = c.nextEvent("writer", "die")
			}
			run := c.paused(test.variable, test.point, "3s", test.args...)
			await(t, "a service is down", down)
			if test.variable == "CRASH_POINT_IN_HELPER" {
				eventually(t, "the helper is at "+test.point, func() bool { return helperAt(t, root, test.point) })
			}
			must(t, "docker", "stop", "-t", "10", c.sidecar())
			if r := run.wait(); r.code != 130 {
				t.Errorf("%v: %s", test.args, r)
			}
			c.assertSettled(c.services...)
			if test.args[0] == "backup" && len(c.stored()) != len(before) {
				t.Error("an interrupted run left a snapshot")
			}
			same := func(want string) bool {
				return must(t, "rsync", "-an", "--checksum", "--delete", "--itemize-changes", want+"/", root+"/") == ""
			}
			if !same(later) && (test.args[0] == "backup" || !same(saved)) {
				t.Error("the volume is neither old nor new")
			}
		})
	}
	c.backup()
	c.assertSettled(c.services...)
	c.resticSays()
}

// TestF22_SidecarKilledWhileItsHelperWrites leaves the helper in the middle of
// its work when the sidecar dies.
func TestF22_SidecarKilledWhileItsHelperWrites(t *testing.T) {
	s := newTwoStates(t)
	for _, point := range []string{"mid-restore", "before-rename", "mid-rename:7"} {
		t.Run(point, func(t *testing.T) {
			c := s.crashing.inTest(t)
			s.again(t)
			started := c.nextEvent("app", "die")
			run := c.paused("CRASH_POINT_IN_HELPER", point, "1m", "restore", s.snapshot, "--yes", "--no-safety-snapshot")
			await(t, "the app is down", started)
			eventually(t, "the helper is at "+point, func() bool { return helperAt(t, s.root, point) })
			must(t, "docker", "kill", "-s", "KILL", c.sidecar())
			if r := run.wait(); r.code != 137 {
				t.Fatalf("restore: %s", r)
			}
			c.serveRecovers()
			want := "saved"
			if point == "mid-restore" {
				want = "later"
			}
			if got := s.whole(t); got != want {
				t.Errorf("the volume is as %s, want as %s", got, want)
			}
			c.backup()
			c.assertSettled(c.services...)
		})
	}
	s.resticSays()
}

// helperAt says whether the helper of a restore has come to a point: its
// staging directory in the volume tells.
func helperAt(t testing.TB, root, point string) bool {
	t.Helper()
	staging, err := filepath.Glob(filepath.Join(root, ".ripplebak-restore-*"))
	if err != nil || len(staging) == 0 {
		return false
	}
	aside, _ := filepath.Glob(filepath.Join(staging[0], "old", "*"))
	journal, _ := filepath.Glob(filepath.Join(staging[0], "journal*"))
	switch {
	case point == "mid-restore":
		return len(namesIn(t, staging[0])) > 0
	case point == "before-rename":
		return len(journal) > 0
	}
	return len(aside) > 0
}

// TestF42_TwoSidecars: one at a time, and the other is told who it waits for.
func TestF42_TwoSidecars(t *testing.T) {
	c := newCrashing(t)
	randomFile(t, filepath.Join(c.mountpoint("data"), "big"), 1<<20)
	refused := func(t *testing.T, who string, container string) {
		t.Helper()
		for _, args := range [][]string{{"backup", "--json"}, {"restore", "latest", "--yes"}} {
			r := c.inTest(t).run(args...)
			if r.code != 11 || !strings.Contains(r.stderr, who) || !strings.Contains(r.stderr, container[:12]) || !strings.Contains(r.stderr, "since ") {
				t.Errorf("%v beside it: %s", args, r)
			}
		}
		if r := c.inTest(t).run("snapshots"); r.code != 0 {
			t.Errorf("looking is not allowed beside it: %s", r)
		}
	}
	t.Run("by hand", func(t *testing.T) {
		c := c.inTest(t)
		down := c.nextEvent("app", "die")
		run := c.paused("CRASH_POINT", "after-stop:2", "15s", "backup", "--json")
		await(t, "the app is down", down)
		refused(t, "backup", c.sidecar())
		if got := c.state("app"); got != "exited" {
			t.Errorf("the app is %q: another sidecar touched it", got)
		}
		if len(c.helpers()) != 1 {
			t.Error("the helper of the run is gone: another sidecar touched it")
		}
		if r := run.wait(); r.code != 0 {
			t.Fatalf("the run itself: %s", r)
		}
		c.assertSettled(c.services...)
	})
	t.Run("beside serve", func(t *testing.T) {
		c := c.inTest(t)
		c.write("crash.yaml", "services: {backup: {environment: {CRASH_POINT: 'after-stop:2', CRASH_PAUSE: 15s}}}\n")
		c.missARun()
		down := c.nextEvent("app", "die")
		c.mustCompose("-f", "compose.yaml", "-f", "crash.yaml", "--profile", "backup", "up", "-d", "backup")
		await(t, "the app is down", down)
		container := c.sidecar()
		refused(t, "serve", container)
		must(t, "docker", "stop", "-t", "30", container)
		if got := strings.TrimSpace(must(t, "docker", "inspect", "-f", "{{.State.ExitCode}}", container)); got != "0" && got != "130" {
			t.Errorf("serve ended with %s", got)
		}
		c.mustCompose("rm", "-s", "-f", "backup")
		c.assertSettled(c.services...)
	})
	c.backup()
	c.resticSays()
}

// missARun makes the sidecar believe that its last run was long ago, so that
// serve makes one up as soon as it comes up.
func (p *project) missARun() {
	p.t.Helper()
	name := filepath.Join(p.mountpoint("ripplebak"), "history.json")
	history := map[string]any{}
	p.decode(readFile(p.t, name), &history)
	if history["last_attempt"] == nil {
		p.t.Fatalf("the history knows no run: %v", history)
	}
	history["last_attempt"] = "2020-02-02T02:02:02Z"
	b, err := json.Marshal(history)
	if err != nil {
		p.t.Fatal(err)
	}
	writeFile(p.t, name, string(b))
}
