package volume

import (
	"errors"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// only is what a source lists for a request with these paths.
func (s *testSnapshot) only(paths ...string) *testSnapshot {
	var list []listed
	for _, l := range s.list {
		if (RestoreRequest{Only: paths}).Wants(l.entry.Path) {
			list = append(list, l)
		}
	}
	s.list = list
	return s
}

func onlyPaths(paths ...string) func(*RestoreRequest) {
	return func(r *RestoreRequest) { r.Only = paths }
}

// TestRestoreOfPathsLeavesTheRest: what is outside is the same to the last
// stamp, also where the snapshot has something else, or nothing.
func TestRestoreOfPathsLeavesTheRest(t *testing.T) {
	for _, c := range []struct {
		name   string
		paths  []string
		change string // of the volume after it was saved
		want   string // what that leaves when the paths are as they were
	}{
		{"a file", []string{"d/one"}, `echo x > d/one; echo y > a.txt; echo extra > d/extra; chmod 700 d`, `cp -a $SRC/d/one d/one`},
		{"a missing file", []string{"d/e/two"}, `rm d/e/two d/one; echo new > new`, `cp -a $SRC/d/e/two d/e/two`},
		{"a folder", []string{"d/e"}, `echo x > d/e/two; mkdir -p d/e/more/of; rm -r d/hollow; echo y > d/one`, `rm -r d/e; cp -a $SRC/d/e d/`},
		{"a folder that is missing, and those above it", []string{"d/e"}, `rm -r d`, `cp -a $SRC/d .; rm -r d/one d/hard d/dangling d/hollow; touch -r $SRC/d d`},
		{"a folder in place of a file", []string{"d/e"}, `rm -r d/e; echo x > d/e`, `rm d/e; cp -a $SRC/d/e d/`},
		{"a link in place of a folder", []string{"link"}, `rm link; mkdir -p link/x`, `rm -r link; cp -a $SRC/link .`},
		{"several", []string{"d-x", "d/hollow", "big"}, `rm -r big d/hollow; echo x > d-x; echo y > d/e/two; rm loop`, `cp -a $SRC/big $SRC/d-x .; cp -a $SRC/d/hollow d/`},
		{"one below another", []string{"d", "d/e/two"}, `rm d/e/two; echo x > d/x; echo y > z`, `cp -a $SRC/d/e/two d/e/; rm d/x`},
		{"what is as it was", []string{"d/one"}, `echo y > a.txt; rm big`, ``},
		{"one of two names", []string{"d/hard"}, `rm d/hard; echo other > a.txt`, `cp $SRC/d/hard d/hard; touch -r $SRC/d/hard d/hard`},
	} {
		t.Run(c.name, func(t *testing.T) {
			src, dst, want := t.TempDir(), t.TempDir(), t.TempDir()
			smallTree(t, src)
			copyTree(t, src, dst)
			sh(t, dst, c.change)
			copyTree(t, dst, want)
			sh(t, want, "SRC="+src+"\n"+c.want)
			sh(t, want, `find . -type d | while read d; do [ -d "`+dst+`/$d" ] && touch -r "`+dst+`/$d" "$d" || true; done`)
			for _, p := range c.paths { // of what is restored, times too
				sh(t, want, `cd "`+src+`"; find "`+p+`" -type d | while read d; do touch -r "$d" "`+want+`/$d"; done`)
			}
			mustRestore(t, dst, firstNames(snapshotOf(t, src).only(c.paths...)), onlyPaths(c.paths...))
			sameTree(t, want, dst)
			noStaging(t, dst)
		})
	}
}

// TestRestoreOfPathsLeavesOtherNames: a name outside may be one of the file that
// is to be restored, and then has its owner and mode.
func TestRestoreOfPathsLeavesOtherNames(t *testing.T) {
	for _, c := range []struct{ name, change, after string }{
		{"the same content", `ln one mine; chmod 600 one; touch -d 2020-02-02 one`, `[ "$(stat -c %a one)" = 644 ] && [ ! one -ef mine ]`},
		{"all the same", `ln one mine; touch -r $SRC/one one; chmod 644 one`, `[ one -ef mine ]`},
	} {
		for _, scope := range []func(*RestoreRequest){onlyPaths("one"), func(r *RestoreRequest) { r.KeepExtra = true }} {
			t.Run(c.name, func(t *testing.T) {
				src, dst := t.TempDir(), t.TempDir()
				sh(t, src, `echo one > one; chmod 644 one; ln one two`)
				sh(t, dst, "SRC="+src+`; echo one > one; `+c.change)
				mine := func() (st unix.Stat_t) {
					if err := unix.Stat(dst+"/mine", &st); err != nil {
						t.Fatal(err)
					}
					return st
				}
				before := mine()
				var req RestoreRequest
				scope(&req)
				s := snapshotOf(t, src)
				if len(req.Only) > 0 {
					s = s.only(req.Only...)
				}
				mustRestore(t, dst, s, scope)
				after := mine()
				if before.Mode != after.Mode || before.Mtim != after.Mtim || before.Ino != after.Ino {
					t.Errorf("the other name was changed: %+v, %+v", before, after)
				}
				sh(t, dst, c.after)
			})
		}
	}
}

// firstNames makes entries files that are further names of what is not listed,
// as a source does.
func firstNames(s *testSnapshot) *testSnapshot {
	seen := map[string]bool{}
	for i := range s.list {
		e := &s.list[i].entry
		if e.HardLinkOf != "" && !seen[e.HardLinkOf] {
			data := []byte("hello")
			b := blobOf(data)
			s.where[b.ID] = spotOf{data: data}
			e.HardLinkOf, e.Size, s.list[i].blobs = "", int64(len(data)), []Blob{b}
		}
		seen[e.Path] = true
	}
	return s
}

func TestRestoreOfPathsRefusesWhatIsInTheWay(t *testing.T) {
	for name, change := range map[string]string{
		"a file":                   `rm -r d; echo mine > d`,
		"a link to somewhere else": `rm -r d; ln -s / d`,
		"a link, deeper":           `rm -r d/e; ln -s ../.. d/e`,
	} {
		t.Run(name, func(t *testing.T) {
			src, dst, before := t.TempDir(), t.TempDir(), t.TempDir()
			smallTree(t, src)
			copyTree(t, src, dst)
			sh(t, dst, change)
			copyTree(t, dst, before)
			_, err := restoreInto(t, dst, snapshotOf(t, src).only("d/e/two"), onlyPaths("d/e/two"))
			if !errors.Is(err, ErrInTheWay) {
				t.Errorf("error = %v", err)
			}
			sameTree(t, before, dst)
			noStaging(t, dst)
		})
	}
}

// TestF20_ListingBeyondThePathsAskedFor: the helper writes and removes nothing
// outside of them, whatever it is sent.
func TestF20_ListingBeyondThePathsAskedFor(t *testing.T) {
	src, dst, before := t.TempDir(), t.TempDir(), t.TempDir()
	smallTree(t, src)
	smallTree(t, dst)
	sh(t, dst, `echo changed > a.txt; echo extra > extra`)
	copyTree(t, dst, before)
	for _, c := range []struct {
		only string
		list []string
	}{
		{"d/e", []string{"a.txt"}},
		{"d/e", []string{"d", "d/one"}},
		{"a.txt/below", []string{"a.txt"}}, // no directory, and on the way
	} {
		s := snapshotOf(t, src).only(append([]string{"none"}, c.list...)...)
		if _, err := restoreInto(t, dst, s, onlyPaths(c.only)); !errors.Is(err, ErrHostileListing) {
			t.Errorf("%q with %q: error = %v", c.only, c.list, err)
		}
	}
	for _, path := range []string{"", "/", "/a", "a/", "a//b", "../a", "a/..", ".", "./a", "a\x00b", StagingPrefix + "test/new"} {
		if _, err := restoreInto(t, dst, snapshotOf(t, src), onlyPaths(path)); err == nil {
			t.Errorf("%q was accepted", path)
		}
	}
	// Globs are names like any other.
	rep := mustRestore(t, dst, snapshotOf(t, src).only("*"), onlyPaths("*"))
	if rep.Created+rep.Replaced+rep.Removed != 0 {
		t.Errorf("report: %+v", rep)
	}
	sameTree(t, before, dst)
	noStaging(t, dst)
}

func TestRestoreOfPathsKeepsTimesOfFoldersOnTheWay(t *testing.T) {
	src, dst := t.TempDir(), t.TempDir()
	smallTree(t, src)
	copyTree(t, src, dst)
	sh(t, dst, `rm d/e/two; chmod 711 d; touch -d 2020-02-02 d/e d .`)
	var before, after [3]unix.Stat_t
	folders := []string{dst, dst + "/d", dst + "/d/e"}
	for i, p := range folders {
		if err := unix.Stat(p, &before[i]); err != nil {
			t.Fatal(err)
		}
	}
	mustRestore(t, dst, snapshotOf(t, src).only("d/e/two"), onlyPaths("d/e/two"))
	for i, p := range folders {
		if err := unix.Stat(p, &after[i]); err != nil {
			t.Fatal(err)
		}
		if before[i].Mtim != after[i].Mtim || before[i].Mode != after[i].Mode {
			t.Errorf("%s was changed", p)
		}
	}
	if _, err := os.Stat(dst + "/d/e/two"); err != nil {
		t.Error(err)
	}
}
