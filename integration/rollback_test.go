package integration

import (
	"strings"
	"testing"
)

// TestF26_RollbackOfADatabase undoes restores that came to their end, and some
// that were killed: the data of before is there, and a restore works again.
func TestF26_RollbackOfADatabase(t *testing.T) {
	t.Parallel()
	f := newDatabase(t)
	shopOfOne(f)
	rollback := func(t *testing.T, f *dumpFault, want string) {
		t.Helper()
		f.mustRun("restore", "--rollback", "--yes")
		f.want("shop", "SELECT x FROM t", want)
		f.noLeftovers()
		f.assertCalm(allServices()...)
	}
	for _, point := range []string{"mid-restore", "before-rename", "mid-rename"} {
		t.Run(point, func(t *testing.T) {
			f := f.with(t)
			f.sql("shop", "UPDATE t SET x = 2")
			f.crashed(point, "restore", f.good, "--yes", "--database", "db/shop")
			rollback(t, f, "2")
			if r := f.run("restore", "--rollback", "--yes"); r.code != 1 || !strings.Contains(r.stderr, "nothing to roll back") {
				t.Errorf("what is undone can be undone again: %s", r)
			}
			f.mustRestore(f.good, "--database", "db/shop")
			f.want("shop", "SELECT x FROM t", "1")
		})
	}
	t.Run("after_its_end", func(t *testing.T) {
		f := f.with(t)
		f.sql("shop", "UPDATE t SET x = 2")
		f.mustRestore(f.good, "--database", "db/shop")
		f.want("shop", "SELECT x FROM t", "1")
		rollback(t, f, "2")
		rollback(t, f, "1")
	})
}

// TestF22_RollbackOfAVolume does the same to a volume, the helper of which is
// killed as well.
func TestF22_RollbackOfAVolume(t *testing.T) {
	t.Parallel()
	s := newTwoStates(t)
	for _, c := range []struct {
		name string
		env  []string
	}{
		{"mid-restore", []string{"CRASH_POINT=mid-restore"}},
		{"before-rename", []string{"CRASH_POINT_IN_HELPER=before-rename", "CRASH_POINT_IN_RECOVERY=mid-rename"}},
		{"mid-rename", []string{"CRASH_POINT_IN_HELPER=mid-rename:5", "CRASH_POINT_IN_RECOVERY=mid-rename:5"}},
		{"before-start", []string{"CRASH_POINT=before-start"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := s.crashing.inTest(t)
			s.again(t)
			if r := p.runEnv(c.env, "restore", s.snapshot, "--yes"); r.code != 137 && !strings.Contains(r.stderr, "what was stopped stays so") {
				t.Fatalf("nothing was killed: %s", r)
			}
			p.mustRun("restore", "--rollback", "--yes")
			if got := s.whole(t); got != "later" {
				t.Errorf("the volume is as %s", got)
			}
			p.assertSettled(p.services...)
		})
	}
	s.again(t)
	s.mustRun("restore", s.snapshot, "--yes")
	assertSame(t, s.saved, s.root)
	out := s.mustRun("restore", "--rollback", "--yes", "--verify-all")
	if got := s.whole(t); got != "later" {
		t.Errorf("the volume is as %s", got)
	}
	for _, want := range []string{"verified: volume data:", "compared by content", "to undo this: docker compose run --rm backup restore --rollback"} {
		if !strings.Contains(out, want) {
			t.Errorf("the report does not say %q:\n%s", want, out)
		}
	}
	s.assertSettled(s.services...)
	s.resticSays()
}
