package volume

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// smallTree fills dir with a little of everything that needs no rights.
func smallTree(t testing.TB, dir string) {
	t.Helper()
	writeFile(t, dir+"/a.txt", "hello")
	writeFile(t, dir+"/empty", "")
	writeFile(t, dir+"/big", noise(1, 5*testChunk+77))
	writeFile(t, dir+"/d/one", noise(2, 3000))
	writeFile(t, dir+"/d/e/two", noise(3, 4000))
	writeFile(t, dir+"/d/e/same", noise(2, 3000))
	writeFile(t, dir+"/d-x", "sorts between d and d/...")
	for link, target := range map[string]string{"/link": "a.txt", "/d/dangling": "../../nowhere", "/loop": "loop"} {
		if err := os.Symlink(target, dir+link); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Link(dir+"/a.txt", dir+"/d/hard"); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(dir+"/d/hollow", 0o700); err != nil {
		t.Fatal(err)
	}
	old := time.Unix(1_000_000_000, 123_456_789)
	for _, p := range []string{"/a.txt", "/big", "/d/e", "/d", ""} {
		if err := os.Chtimes(dir+p, old, old); err != nil {
			t.Fatal(err)
		}
	}
}

func TestRestoreIntoAnEmptyVolume(t *testing.T) {
	src, dst := t.TempDir(), t.TempDir()
	smallTree(t, src)
	s := snapshotOf(t, src)
	s.backwards = true
	rep := mustRestore(t, dst, s)
	sameTree(t, src, dst)
	noStaging(t, dst)
	if rep.Files != 11 || rep.Dirs != 4 || rep.Created != 14 || rep.Replaced+rep.Removed != 0 {
		t.Errorf("report: %+v", rep)
	}
	for id, n := range s.fetched {
		if n != 1 {
			t.Errorf("blob %x was fetched %d times", id[:4], n)
		}
	}
	again := mustRestore(t, dst, snapshotOf(t, src))
	if again.Unchanged != again.Files+again.Dirs || again.BytesFetched != 0 {
		t.Errorf("the second restore found something to do: %+v", again)
	}
}

func TestRestoreLeavesWhatIsAsRecordedUnread(t *testing.T) {
	dir := t.TempDir()
	smallTree(t, dir)
	s := snapshotOf(t, dir)
	var before unix.Stat_t
	if err := unix.Stat(dir+"/big", &before); err != nil {
		t.Fatal(err)
	}
	// A different content under the same times, size and inode: only a reader
	// would notice.
	s.where = nil
	for i := range s.list {
		for k := range s.list[i].blobs {
			s.list[i].blobs[k].ID[0] ^= 1
		}
	}
	rep := mustRestore(t, dir, s)
	if rep.Unchanged != rep.Files+rep.Dirs {
		t.Errorf("report: %+v", rep)
	}
	// Without trust it is read, and the content is asked for.
	_, err := restoreInto(t, dir, s, func(r *RestoreRequest) { r.TrustBefore = Time{Sec: 1} })
	if err == nil || !strings.Contains(err.Error(), "not in the snapshot") {
		t.Errorf("error = %v", err)
	}
	noStaging(t, dir)
}

func TestRestoreMendsWhatDiffers(t *testing.T) {
	src, dst := t.TempDir(), t.TempDir()
	smallTree(t, src)
	copyTree(t, src, dst)
	sh(t, dst, `
		printf X | dd of=big bs=1 seek=200000 conv=notrunc status=none
		rm a.txt; echo other > d/e/two; rm -r d/hollow; echo file > d/hollow
		rm d/e/same; mkdir d/e/same; echo deep > d/e/same/deep
		echo extra > extra; mkdir -p more/and; echo x > more/and/more
		ln -sfn elsewhere link; chmod 600 d/one; setfattr -n user.x -v y d/one 2>/dev/null || true
		touch -d 2001-01-01 d-x; ln d-x d/e/alias; rm loop; mkdir loop
	`)
	rep := mustRestore(t, dst, snapshotOf(t, src))
	sameTree(t, src, dst)
	noStaging(t, dst)
	if rep.BytesReused == 0 || rep.BytesFetched == 0 || rep.BytesFetched > testChunk+20000 || rep.MetadataOnly == 0 {
		t.Errorf("report: %+v", rep)
	}
}

// sh runs a script in dir.
func sh(t testing.TB, dir, script string) {
	t.Helper()
	cmd := exec.Command("bash", "-ec", script)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

func TestRestoreOfASizeThatDiffers(t *testing.T) {
	for name, script := range map[string]string{
		"grown":      `head -c 1000000 /dev/zero >> big`,
		"shrunk":     `truncate -s 100000 big`,
		"cut to 0":   `: > big`,
		"grown hole": `truncate -s 20M big`,
	} {
		t.Run(name, func(t *testing.T) {
			src, dst := t.TempDir(), t.TempDir()
			writeFile(t, src+"/big", noise(9, 9*testChunk+5))
			copyTree(t, src, dst)
			sh(t, dst, script)
			mustRestore(t, dst, snapshotOf(t, src))
			sameTree(t, src, dst)
		})
	}
}

func TestRestoreHardLinksAnew(t *testing.T) {
	src, dst := t.TempDir(), t.TempDir()
	sh(t, src, `
		echo 1 > a; ln a b; mkdir d; ln a d/c
		echo 2 > p; ln p q; echo 3 > single; echo 3 > twin
		ln -s t s; ln s s2
	`)
	copyTree(t, src, dst)
	// The same contents, but tied together otherwise.
	sh(t, dst, `
		rm b d/c q twin s2; cp -p a b; ln b d/c; cp -p p q; ln single twin; ln -s t s2
		cp -p p x; ln p y
	`)
	mustRestore(t, dst, snapshotOf(t, src))
	sameTree(t, src, dst)
	var st unix.Stat_t
	for name, want := range map[string]uint64{"a": 3, "p": 2, "single": 1, "twin": 1, "s": 2} {
		if err := unix.Lstat(filepath.Join(dst, name), &st); err != nil || uint64(st.Nlink) != want {
			t.Errorf("%s has %d names, want %d (%v)", name, st.Nlink, want, err)
		}
	}
}

func TestRestoreKeepsExtraFiles(t *testing.T) {
	src, dst := t.TempDir(), t.TempDir()
	smallTree(t, src)
	writeFile(t, dst+"/extra/file", "mine")
	writeFile(t, dst+"/d/extra", "mine")
	rep := mustRestore(t, dst, snapshotOf(t, src), func(r *RestoreRequest) { r.KeepExtra = true })
	for _, p := range []string{"/extra/file", "/d/extra", "/d/one"} {
		if _, err := os.Stat(dst + p); err != nil {
			t.Error(err)
		}
	}
	if rep.Removed != 0 {
		t.Errorf("removed %d", rep.Removed)
	}
}

func TestRestoreNeverTouchesWhatIsProtected(t *testing.T) {
	src, dst := t.TempDir(), t.TempDir()
	smallTree(t, src)
	kept := []string{"/cache/x", "/d/y.log", "/gone/deep/er/z.log", "/secret/s", "/lost+found/f", "/d/un\xffreadable/q"}
	for _, p := range kept {
		writeFile(t, dst+p, "precious")
	}
	writeFile(t, dst+"/gone/deep/other", "goes")
	writeFile(t, dst+"/gone/all/of/it", "goes")
	rep := mustRestore(t, dst, snapshotOf(t, src), func(r *RestoreRequest) {
		r.Protected = []string{"/cache", "*.log"}
		r.ProtectedPaths = []string{"secret", "d/un\xffreadable"}
	})
	for _, p := range kept {
		if b, err := os.ReadFile(dst + p); err != nil || string(b) != "precious" {
			t.Errorf("%s: %q %v", p, b, err)
		}
	}
	for _, p := range []string{"/gone/deep/other", "/gone/all"} {
		if _, err := os.Lstat(dst + p); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is still there: %v", p, err)
		}
	}
	if rep.Removed != 2 {
		t.Errorf("removed %d", rep.Removed)
	}
}

func TestRestoreRefusesToMoveProtectedFiles(t *testing.T) {
	src, dst := t.TempDir(), t.TempDir()
	writeFile(t, src+"/x", "a file")
	writeFile(t, dst+"/x/keep.log", "precious")
	_, err := restoreInto(t, dst, snapshotOf(t, src), func(r *RestoreRequest) { r.Protected = []string{"*.log"} })
	if !errors.Is(err, ErrInTheWay) {
		t.Fatalf("error = %v", err)
	}
	if b, err := os.ReadFile(dst + "/x/keep.log"); err != nil || string(b) != "precious" {
		t.Errorf("%q %v", b, err)
	}
	noStaging(t, dst)
}

func TestRestoreDryRunWritesNothing(t *testing.T) {
	src, dst, twin := t.TempDir(), t.TempDir(), t.TempDir()
	smallTree(t, src)
	writeFile(t, dst+"/extra", "x")
	writeFile(t, dst+"/d/one", "changed")
	copyTree(t, dst, twin)
	s := snapshotOf(t, src)
	would := mustRestore(t, dst, s, func(r *RestoreRequest) { r.DryRun = true })
	sameTree(t, dst, twin)
	if len(s.fetched) != 0 {
		t.Error("a dry run fetched content")
	}
	did := mustRestore(t, dst, s)
	if would.Created != did.Created || would.Replaced != did.Replaced || would.Removed != did.Removed ||
		would.BytesFetched != did.BytesFetched || would.NeedBytes != did.NeedBytes || would.MetadataOnly != did.MetadataOnly {
		t.Errorf("would: %+v\ndid:   %+v", would, did)
	}
}

func TestRestoreAsksForRecoveryFirst(t *testing.T) {
	src, dst := t.TempDir(), t.TempDir()
	smallTree(t, src)
	if err := os.Mkdir(dst+"/"+StagingPrefix+"other", 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := restoreInto(t, dst, snapshotOf(t, src)); !errors.Is(err, ErrRestorePending) {
		t.Fatalf("error = %v", err)
	}
	outcome, err := connect(t, 1).Recover(t.Context(), dst, "")
	if err != nil || outcome != RolledBack {
		t.Fatal(outcome, err)
	}
	mustRestore(t, dst, snapshotOf(t, src))
	sameTree(t, src, dst)
}

func TestRestoreWhoseSourceFailsChangesNothing(t *testing.T) {
	boom := errors.New("the storage burns")
	for name, arm := range map[string]func(*testSnapshot) *int{
		"listing": func(s *testSnapshot) *int {
			hit := new(int)
			s.onEntry = func(i int) error {
				if i == 5 {
					*hit++
					return boom
				}
				return nil
			}
			return hit
		},
		"content": func(s *testSnapshot) *int {
			hit := new(int)
			s.onFetch = func([]Blob) error { *hit++; return boom }
			return hit
		},
	} {
		t.Run(name, func(t *testing.T) {
			src, dst, twin := t.TempDir(), t.TempDir(), t.TempDir()
			smallTree(t, src)
			writeFile(t, dst+"/old", "old")
			writeFile(t, dst+"/d/one", "old")
			copyTree(t, dst, twin)
			s := snapshotOf(t, src)
			hit := arm(s)
			if _, err := restoreInto(t, dst, s); !errors.Is(err, boom) {
				t.Errorf("error = %v", err)
			}
			if *hit == 0 {
				t.Error("the fault was never hit")
			}
			noStaging(t, dst)
			sameTree(t, dst, twin)
		})
	}
}

func TestRestoreManyBlobsInManyBatches(t *testing.T) {
	src, dst := t.TempDir(), t.TempDir()
	writeFile(t, src+"/a", noise(4, 100_000))
	writeFile(t, src+"/b", noise(5, 250_000))
	s := snapshotOf(t, src)
	s.list = s.list[:1]
	for _, name := range []string{"a", "b"} {
		s.list = append(s.list, tinyBlobs(t, s, src, name))
	}
	batches := 0
	s.onFetch = func(want []Blob) error { batches++; return nil }
	mustRestore(t, dst, s)
	sameTree(t, src, dst)
	if batches < 3 {
		t.Errorf("%d batches", batches)
	}
}

// tinyBlobs lists a file in blobs of two bytes.
func tinyBlobs(t *testing.T, s *testSnapshot, dir, name string) listed {
	t.Helper()
	whole := snapshotOf(t, dir)
	data, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range whole.list {
		if l.entry.Path != name {
			continue
		}
		l.blobs = nil
		for i := 0; i < len(data); i += 2 {
			b := blobOf(data[i : i+2])
			s.where[b.ID] = spotOf{data: data[i : i+2]}
			l.blobs = append(l.blobs, b)
		}
		return l
	}
	t.Fatalf("%s is not listed", name)
	return listed{}
}
