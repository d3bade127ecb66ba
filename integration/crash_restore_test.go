package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// twoStates gives a volume an old state, which is saved, and a new one, both as
// copies to compare with: a killed restore may leave either, and no mixture.
type twoStates struct {
	*crashing
	root        string
	saved, then string // copies: of what is in the snapshot, and of what it replaces
	snapshot    string
}

func newTwoStates(t testing.TB) *twoStates {
	c := newCrashing(t)
	s := &twoStates{crashing: c, root: c.mountpoint("data")}
	for i := range 40 {
		dir := filepath.Join(s.root, fmt.Sprintf("dir%d", i%7))
		if err := os.MkdirAll(dir, 0o750); err != nil {
			t.Fatal(err)
		}
		writeFile(t, filepath.Join(dir, fmt.Sprintf("file%d", i)), strings.Repeat(fmt.Sprintf("saved %d\n", i), 3000))
	}
	randomFile(t, filepath.Join(s.root, "big"), 8<<20)
	s.saved = savedCopy(t, s.root)
	s.snapshot = c.backup().Snapshot
	s.change(t)
	s.then = savedCopy(t, s.root)
	return s
}

// change makes the later state, in which something of every kind differs.
func (s *twoStates) change(t testing.TB) {
	t.Helper()
	script := `for f in dir0/* dir1/*; do echo later > "$f"; done; rm -r dir2; rm dir3/*; mkdir extra; echo x > extra/x
		mv dir4 moved; echo a file now > dir4; rm dir5/file5; mkdir dir5/file5; echo x > dir5/file5/x; chmod 700 dir6; printf X | dd of=big conv=notrunc status=none`
	if r := command(t, s.root, nil, "", "bash", "-euc", script); r.code != 0 {
		t.Fatalf("change: %s", r)
	}
}

// again brings the later state back, before the next kill.
func (s *twoStates) again(t testing.TB) {
	t.Helper()
	must(t, "rsync", "-aHAX", "--delete", "--checksum", s.then+"/", s.root+"/")
}

// whole says which of the two states the volume is in, as a whole. Files of a
// restore under way are not part of it.
func (s *twoStates) whole(t testing.TB) string {
	t.Helper()
	diff := map[string]string{}
	for name, copy := range map[string]string{"saved": s.saved, "later": s.then} {
		diff[name] = must(t, "rsync", "-aHAXn", "--checksum", "--itemize-changes", "--delete", copy+"/", s.root+"/")
		if diff[name] == "" {
			return name
		}
	}
	t.Errorf("the volume is a mixture. It differs from what was saved:\n%s\nand from what was there:\n%s", diff["saved"], diff["later"])
	return ""
}

func TestF22_RestoreKilledAtEachPoint(t *testing.T) {
	t.Parallel()
	s := newTwoStates(t)
	for _, crash := range []struct {
		point string
		serve bool
	}{
		{"after-journal", false}, {"after-stop:2", true}, {"mid-restore", false}, {"mid-restore:3", true},
		{"after-snapshot", false}, {"before-start:2", false},
	} {
		t.Run(crash.point, func(t *testing.T) {
			c := s.crashing.inTest(t)
			s.again(t)
			c.killedAt(crash.point, "restore", s.snapshot, "--yes")
			if crash.serve {
				c.serveRecovers()
			} else {
				c.backup()
				c.assertSettled(c.services...)
			}
			t.Logf("the volume is as %s", s.whole(t))
		})
	}
	s.again(t)
	s.mustRun("restore", s.snapshot, "--yes")
	assertSame(t, s.saved, s.root)
	s.assertSettled(s.services...)
	s.resticSays()
}

// TestF22_HelperKilledInRestore kills the helper, not the sidecar, which has to
// settle the volume before it starts a service upon it.
func TestF22_HelperKilledInRestore(t *testing.T) {
	t.Parallel()
	s := newTwoStates(t)
	for point, want := range map[string]string{
		"mid-restore:3": "later", "before-rename": "saved", "mid-rename": "saved", "mid-rename:9": "saved",
	} {
		t.Run(point, func(t *testing.T) {
			c := s.crashing.inTest(t)
			s.again(t)
			r := c.runEnv([]string{"CRASH_POINT_IN_HELPER=" + point}, "restore", s.snapshot, "--yes", "--no-safety-snapshot", "--json")
			if !strings.Contains(r.stderr, "interrupted restore recovered") {
				t.Fatalf("the helper was not killed, or nothing was recovered: %s", r)
			}
			if got := s.whole(t); got != want {
				t.Errorf("the volume is as %s, want as %s: %s", got, want, r)
			}
			if restored := strings.Contains(r.stdout, `"restored": true`); restored != (want == "saved") || restored != (r.code == 0) {
				t.Errorf("the report does not say what became of it: %s", r)
			}
			c.assertSettled(c.services...)
		})
	}
}

// TestF22_RecoveryKilledToo kills the helper that recovers as well: until the
// volume is whole nothing may run upon it, and the next command settles it.
func TestF22_RecoveryKilledToo(t *testing.T) {
	t.Parallel()
	s := newTwoStates(t)
	env := []string{"CRASH_POINT_IN_HELPER=mid-rename:5", "CRASH_POINT_IN_RECOVERY=mid-rename:5"}
	r := s.runEnv(env, "restore", s.snapshot, "--yes", "--no-safety-snapshot")
	if r.code != 1 || !strings.Contains(r.stderr, "what was stopped stays so") {
		t.Fatalf("restore: %s", r)
	}
	for _, name := range s.services {
		if got := s.state(name); got != "exited" {
			t.Errorf("service %s is %q upon a volume that is not whole", name, got)
		}
	}
	s.serveRecovers()
	if got := s.whole(t); got != "saved" {
		t.Errorf("the volume is as %s", got)
	}
	s.backup()
	s.assertSettled(s.services...)
}
