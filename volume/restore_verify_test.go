package volume

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// twoHundredFiles fills a directory with 200 files of 64 KiB.
func twoHundredFiles(t *testing.T, dir string) {
	t.Helper()
	sh(t, dir, `for i in $(seq 200); do mkdir -p d$((i%9)); head -c 65536 /dev/urandom > d$((i%9))/f$i; done`)
}

// flip changes a byte in the middle of a file and puts its mtime back.
func flip(t *testing.T, path string) {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 1
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := unix.UtimesNanoAt(unix.AT_FDCWD, path, []unix.Timespec{st.Atim, st.Mtim}, 0); err != nil {
		t.Fatal(err)
	}
}

// TestRestoreStagesTheDamageOnly: of an intact volume in which one file in a
// hundred is damaged, nothing else is read, fetched or written.
func TestRestoreStagesTheDamageOnly(t *testing.T) {
	src, dst := t.TempDir(), t.TempDir()
	twoHundredFiles(t, dst)
	copyTree(t, dst, src)
	s := snapshotOf(t, dst)
	for h, at := range s.where { // content comes from where it is whole
		s.where[h] = spotOf{path: filepath.Join(src, mustRel(t, dst, at.path)), offset: at.offset, data: at.data}
	}
	flip(t, filepath.Join(dst, "d3/f3"))
	flip(t, filepath.Join(dst, "d5/f50"))
	staged, files := int64(0), 0
	p := connectAt(t, func(point string) {
		if point != "before-rename" {
			return
		}
		staged, files = sizeBelow(t, filepath.Join(dst, StagingPrefix+"x", newDir))
	})
	rep, err := p.Restore(t.Context(), RestoreRequest{Root: dst, ID: "x"}, s)
	if err != nil {
		t.Fatal(err)
	}
	sameTree(t, src, dst)
	fetched := 0
	for _, n := range s.fetched {
		fetched += n
	}
	if staged != 2*65536 || files != 2 || fetched != 2 || rep.BytesFetched != 2*65536 || rep.Replaced != 2 {
		t.Errorf("staged %d bytes in %d files, fetched %d blobs, report %+v", staged, files, fetched, rep)
	}
	if rep.Intact != 198 || rep.Compared != 2 || rep.BytesCompared != 2*65536 {
		t.Errorf("more was read than the damage: %+v", rep)
	}
}

func mustRel(t *testing.T, base, path string) string {
	t.Helper()
	rel, err := filepath.Rel(base, path)
	if err != nil {
		t.Fatal(err)
	}
	return rel
}

func sizeBelow(t *testing.T, dir string) (bytes int64, files int) {
	t.Helper()
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			bytes, files = bytes+info.Size(), files+1
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	return bytes, files
}

// TestVerifyAllFindsDamageThatLeftTheMetadataAlone: a file that looks exactly as
// recorded is taken for the same, unless everything is hashed.
func TestVerifyAllFindsDamageThatLeftTheMetadataAlone(t *testing.T) {
	for _, all := range []bool{false, true} {
		t.Run(fmt.Sprintf("verify_all_%v", all), func(t *testing.T) {
			src, dst := t.TempDir(), t.TempDir()
			sh(t, dst, `head -c 300000 /dev/urandom > damaged; echo whole > whole; ln damaged second; mkdir d; echo x > d/x`)
			copyTree(t, dst, src)
			s := snapshotOf(t, dst)
			for h, at := range s.where {
				s.where[h] = spotOf{path: filepath.Join(src, mustRel(t, dst, at.path)), offset: at.offset, data: at.data}
			}
			flip(t, filepath.Join(dst, "damaged"))
			s.takeCtimes(t, dst) // as if the disk had lost the byte
			rep := mustRestoreReq(t, RestoreRequest{Root: dst, ID: "x", VerifyAll: all}, s)
			if all {
				sameTree(t, src, dst)
				if rep.Compared != 3 || rep.Intact != 0 || rep.BytesFetched == 0 || rep.BytesFetched > testChunk {
					t.Errorf("report %+v", rep)
				}
				return
			}
			if rep.Compared != 0 || rep.Intact != 3 || rep.BytesFetched != 0 {
				t.Errorf("what looks as recorded was read: %+v", rep)
			}
		})
	}
}

// TestChangeWithRestoredMtimeIsFoundByItsCtime: whoever changes a file and puts
// its mtime back moves its ctime.
func TestChangeWithRestoredMtimeIsFoundByItsCtime(t *testing.T) {
	src, dst := t.TempDir(), t.TempDir()
	sh(t, dst, `head -c 300000 /dev/urandom > changed; echo whole > whole`)
	copyTree(t, dst, src)
	s := snapshotOf(t, dst)
	for h, at := range s.where {
		s.where[h] = spotOf{path: filepath.Join(src, mustRel(t, dst, at.path)), offset: at.offset, data: at.data}
	}
	flip(t, filepath.Join(dst, "changed"))
	rep := mustRestoreReq(t, RestoreRequest{Root: dst, ID: "x"}, s)
	if sameTree(t, src, dst); rep.Compared != 1 || rep.Intact != 1 {
		t.Errorf("report %+v", rep)
	}
}

// takeCtimes makes the listing's ctimes those on disk.
func (s *testSnapshot) takeCtimes(t *testing.T, dir string) {
	t.Helper()
	for i := range s.list {
		var st unix.Stat_t
		if err := unix.Lstat(filepath.Join(dir, s.list[i].entry.Path), &st); err != nil {
			t.Fatal(err)
		}
		s.list[i].entry.ChangeTime = Time{Sec: st.Ctim.Sec, Nsec: uint32(st.Ctim.Nsec)}
	}
}

func mustRestoreReq(t *testing.T, req RestoreRequest, s *testSnapshot) *RestoreReport {
	t.Helper()
	rep, err := connect(t, 1).Restore(t.Context(), req, s)
	if err != nil {
		t.Fatal(err)
	}
	noStaging(t, req.Root)
	return rep
}

// TestWhatIsLeftIsSaid: whatever is in the volume, not in the snapshot, and
// stays, with the reason.
func TestWhatIsLeftIsSaid(t *testing.T) {
	src, dst := t.TempDir(), t.TempDir()
	sh(t, src, `echo a > a`)
	sh(t, dst, `mkdir cache lost+found bad; echo x > cache/x; echo x > bad/x; echo x > extra`)
	rep := mustRestoreReq(t, RestoreRequest{Root: dst, ID: "x", Protected: []string{"/cache"}, ProtectedPaths: []string{"bad"}, KeepExtra: true}, snapshotOf(t, src))
	want := map[string]string{
		"cache": "excluded from the backup", "lost+found": "the filesystem's own",
		"bad": "could not be read when it was saved", "extra": "not in the snapshot, and kept",
	}
	for _, l := range rep.Left {
		if want[l.Path] != l.Reason {
			t.Errorf("%s: %s", l.Path, l.Reason)
		}
		delete(want, l.Path)
	}
	if len(want) > 0 || rep.LeftCount != 4 {
		t.Errorf("not said: %v of %d", want, rep.LeftCount)
	}
}

// TestF22_UndoBringsTheOldBack also after the restore was decided, wherever it
// was killed, and wherever the undoing is killed.
func TestF22_UndoBringsTheOldBack(t *testing.T) {
	for _, point := range []string{"mid-restore", "before-rename", "mid-rename"} {
		t.Run(point, func(t *testing.T) {
			for n := 1; n < 20; n += 4 {
				src, dst, twin := oldAndNew(t)
				s := snapshotOf(t, src)
				died := withDoomedHelper(t, point, n, func(p *Peer) {
					_, _ = p.Restore(t.Context(), RestoreRequest{Root: dst, ID: "killed"}, s)
				})
				if !died {
					if n == 1 {
						t.Error("not killed")
					}
					break
				}
				if got, err := connect(t, 1).Undo(t.Context(), dst, "killed"); err != nil || got != RolledBack {
					t.Fatal(got, err)
				}
				sameTree(t, twin, dst)
				noStaging(t, dst)
				mustRestore(t, dst, s)
				sameTree(t, src, dst)
			}
		})
	}
}

// TestF22_UndoLeavesWhatIsIn: once all of the new data is in, what was replaced
// may be gone already.
func TestF22_UndoLeavesWhatIsIn(t *testing.T) {
	src, dst, _ := oldAndNew(t)
	if !withDoomedHelper(t, "before-rename", 1, func(p *Peer) {
		_, _ = p.Restore(t.Context(), RestoreRequest{Root: dst, ID: "x"}, snapshotOf(t, src))
	}) {
		t.Fatal("not killed")
	}
	tree, err := openBeneath(dst)
	if err != nil {
		t.Fatal(err)
	}
	defer tree.close()
	dir, err := tree.root.openDir(tree.root.fd, StagingPrefix+"x")
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(dir)
	if outcome, _, err := settle(tree, StagingPrefix+"x", dir, false, nil); err != nil || outcome != RolledForward {
		t.Fatal(outcome, err)
	}
	if got, err := connect(t, 1).Undo(t.Context(), dst, "x"); err != nil || got != RolledForward {
		t.Fatal(got, err)
	}
	sameTree(t, src, dst)
	noStaging(t, dst)
}
