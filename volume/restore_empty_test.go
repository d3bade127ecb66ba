package volume

import (
	"errors"
	"os"
	"testing"
)

// emptied is a data directory, and a listing that has nothing but directories.
func emptied(t *testing.T) (dst, twin string, s *testSnapshot) {
	t.Helper()
	dst, twin = t.TempDir(), t.TempDir()
	sh(t, dst, `
		mkdir -p data/sub other lost+found; echo old >data/db; echo deep >data/sub/x; echo stays >other/file; echo l >lost+found/1
		chmod 750 data; touch -d '2001-02-03 04:05:06.789' data data/sub other .
	`)
	copyTree(t, dst, twin)
	return dst, twin, &testSnapshot{where: map[[32]byte]spotOf{}, fetched: map[[32]byte]int{}}
}

func emptying(s *testSnapshot, dirs ...string) func(*RestoreRequest) {
	s.list = []listed{{Entry{Type: Dir}, nil}}
	for _, d := range dirs {
		if d != "" {
			s.list = append(s.list, listed{Entry{Path: d, Type: Dir, Mode: 0o755}, nil})
		}
	}
	return func(req *RestoreRequest) { req.Overlay, req.Hold, req.Empty = true, true, dirs }
}

// loaderRuns fills the directory as a program does that restores a database.
func loaderRuns(t *testing.T, dst string) {
	t.Helper()
	sh(t, dst, `mkdir -p data/sub/new; echo new >data/db; echo index >data/index; echo y >data/sub/y; mkfifo data/fifo`)
}

// TestEmptiedDirectoryGoesEitherWay: of a directory that was emptied and filled
// anew, all of the old comes back, or all of the new stays.
func TestEmptiedDirectoryGoesEitherWay(t *testing.T) {
	for name, dirs := range map[string][]string{"a directory": {"data"}, "the root": {""}, "one that is not there": {"data", "none"}} {
		t.Run(name, func(t *testing.T) {
			dst, twin, s := emptied(t)
			rep := mustRestore(t, dst, s, emptying(s, dirs...))
			sh(t, dst, `[ "$(ls data 2>/dev/null | wc -l)" = 0 ]`)
			if rep.Removed == 0 {
				t.Fatalf("%+v", rep)
			}
			loaderRuns(t, dst)
			if dirs[len(dirs)-1] == "none" {
				sh(t, dst, "echo x >none/x")
			}
			if got, err := connect(t, 1).Recover(t.Context(), dst, "test"); got != RolledBack || err != nil {
				t.Fatal(got, err)
			}
			sameTree(t, twin, dst)
			noStaging(t, dst)

			mustRestore(t, dst, s, emptying(s, dirs...))
			loaderRuns(t, dst)
			if got, err := connect(t, 1).Keep(t.Context(), dst, "test"); got != RolledForward || err != nil {
				t.Fatal(got, err)
			}
			noStaging(t, dst)
			sh(t, dst, `[ "$(cat data/db; ls data | tr '\n' ' ')" = "$(printf 'new\ndb fifo index sub ')" ]`)
			if _, err := os.Stat(dst + "/lost+found/1"); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestF22_EmptiedDirectoryKilledIsOld: also where the one that brings the old
// back is killed, at every rename.
func TestF22_EmptiedDirectoryKilledIsOld(t *testing.T) {
	for _, point := range []string{"before-rename", "mid-rename"} {
		for n := 1; ; n++ {
			dst, twin, s := emptied(t)
			req := RestoreRequest{Root: dst, ID: "killed"}
			emptying(s, "data")(&req)
			died := withDoomedHelper(t, point, n, func(p *Peer) { _, _ = p.Restore(t.Context(), req, s) })
			if !died {
				if n == 1 {
					t.Errorf("%s was never reached", point)
				}
				break
			}
			if got, err := connect(t, 1).Recover(t.Context(), dst, ""); got != RolledBack || err != nil {
				t.Fatal(point, n, got, err)
			}
			sameTree(t, twin, dst)
			noStaging(t, dst)
		}
	}
}

// TestF22_ComingBackKilled: going back, begun anew after any of its renames,
// never takes what has come back for what has to go.
func TestF22_ComingBackKilled(t *testing.T) {
	for n := 1; ; n++ {
		dst, twin, s := emptied(t)
		mustRestore(t, dst, s, emptying(s, "data"))
		loaderRuns(t, dst)
		died := withDoomedHelper(t, "mid-back", n, func(p *Peer) { _, _ = p.Recover(t.Context(), dst, "test") })
		if got, err := connect(t, 1).Recover(t.Context(), dst, "test"); err != nil || died && got != RolledBack {
			t.Fatal(n, got, err)
		}
		sameTree(t, twin, dst)
		noStaging(t, dst)
		if !died {
			if n < 4 {
				t.Errorf("mid-back was reached %d times", n-1)
			}
			return
		}
	}
}

func TestHostileEmpty(t *testing.T) {
	dst, twin, s := emptied(t)
	for _, path := range []string{"..", "data/..", "/etc", "data//x", "other", "data/sub"} {
		req := emptying(s, "data")
		if _, err := restoreInto(t, dst, s, req, func(r *RestoreRequest) { r.Empty = []string{path} }); err == nil {
			t.Errorf("%q was taken", path)
		}
		sameTree(t, twin, dst)
		noStaging(t, dst)
	}
}

// TestKeptFilesAreNotInTheWay: where nothing may be, some files may, and are not
// touched; what is beside them is in the way at any depth, and links lead nowhere.
func TestKeptFilesAreNotInTheWay(t *testing.T) {
	src := t.TempDir()
	sh(t, src, `mkdir -p a/b lost+found; echo old >a/b/own; echo data >a/b/data; echo top >top`)
	keep := func(req *RestoreRequest) { req.MustBeEmpty, req.Kept = true, []string{"a/b/own", "mine"} }
	for _, there := range []string{`echo x >a/b/x`, `mkdir a/x`, `echo x >ab`, `rm -r a; ln -s / a`, `rm -r a; mkfifo a`} {
		dst, twin := t.TempDir(), t.TempDir()
		sh(t, dst, `mkdir -p a/b lost+found; echo mine >a/b/own; `+there)
		copyTree(t, dst, twin)
		if _, err := restoreInto(t, dst, snapshotOf(t, src), keep); !errors.Is(err, ErrOccupied) {
			t.Errorf("%s: %v", there, err)
		}
		sameTree(t, twin, dst)
	}
	dst := t.TempDir()
	sh(t, dst, `mkdir -p a/b; echo mine >a/b/own; echo mine >mine`)
	mustRestore(t, dst, snapshotOf(t, src), keep)
	sh(t, dst, `[ "$(cat a/b/own mine a/b/data top)" = "$(printf 'mine\nmine\ndata\ntop')" ]`)
	noStaging(t, dst)
}
