package repository

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/ripplebak/ripplebak/storage"
	"github.com/ripplebak/ripplebak/storage/storagetest"
)

// copySource is a repository with three snapshots that have much in common, and
// their files.
func copySource(t testing.TB, s storage.Store) (*Repository, map[ID]map[string][]byte) {
	t.Helper()
	initLeast(t, s, "")
	r := testOpen(t, s, Options{})
	want := map[ID]map[string][]byte{}
	files := map[string][]byte{"same": testData(1, 90_000), "zeros": make([]byte, 600_000)}
	for i := range 3 {
		files["new"] = testData(uint64(10+i), 70_000)
		kept := map[string][]byte{}
		for name, data := range files {
			kept[name] = data
		}
		want[backup(t, r, s.Writer(), files)] = kept
	}
	return r, want
}

// initLeast makes a repository that opens at once.
func initLeast(t testing.TB, s storage.Store, polynomial string) {
	t.Helper()
	err := Init(t.Context(), s.Reader(), s.Writer(), testPassword, InitOptions{KDF: leastKDF(), Polynomial: polynomial})
	if err != nil {
		t.Fatal(err)
	}
}

// copyAll copies all snapshots that are missing, newest first, and returns how
// many it copied.
func copyAll(ctx context.Context, from, to storage.Store, opt CopyOptions) (copied int, stats CopyStats, err error) {
	src, err := Open(ctx, from.Reader(), testPassword, Options{})
	if err != nil {
		return 0, stats, err
	}
	dst, err := Open(ctx, to.Reader(), testPassword, Options{})
	if err != nil {
		return 0, stats, err
	}
	list, bad, err := src.Snapshots(ctx)
	if err == nil && len(bad) > 0 {
		err = bad[0]
	}
	if err != nil {
		return 0, stats, err
	}
	there, _, err := dst.Snapshots(ctx)
	if err != nil {
		return 0, stats, err
	}
	if err := errors.Join(src.LoadIndex(ctx), dst.LoadIndex(ctx)); err != nil {
		return 0, stats, err
	}
	c, err := NewSnapshotCopier(ctx, src, dst, to.Writer(), opt)
	if err != nil {
		return 0, stats, err
	}
	defer func() { err = errors.Join(err, c.Close(context.WithoutCancel(ctx))) }()
	in := FindCopies(there)
	var base *ID
	for i := len(list) - 1; i >= 0; i-- {
		s := &list[i]
		if _, ok := in.Of(s); !ok {
			if _, err := c.Copy(ctx, s, base); err != nil {
				return copied, c.Stats(), err
			}
			copied++
		}
		base = s.Tree
	}
	return copied, c.Stats(), nil
}

// verifyCopy demands that a repository has copies of exactly these snapshots,
// whole.
func verifyCopy(t *testing.T, s storage.Store, want map[ID]map[string][]byte) {
	t.Helper()
	r := testOpen(t, s, Options{})
	list, bad, err := r.Snapshots(t.Context())
	if err != nil || len(bad) > 0 || len(list) != len(want) {
		t.Fatalf("%d snapshots, %v, %v; want %d", len(list), bad, err, len(want))
	}
	for _, c := range list {
		if c.Original == nil || want[*c.Original] == nil || c.Parent != nil || c.Hostname != "h" {
			t.Fatalf("copy %+v", c)
		}
		verifySnapshot(t, r, c.ID, want[*c.Original])
	}
	if report := mustCheck(t, s, CheckOptions{ReadData: true}); !report.OK() {
		t.Errorf("check of the copy: %+v", report.Findings)
	}
}

func TestCopyKeepsBlobsAndSnapshots(t *testing.T) {
	from, to := storagetest.NewMemory(), storagetest.NewMemory()
	src, want := copySource(t, from)
	initLeast(t, to, src.Config().ChunkerPolynomial)
	var told, total atomic.Uint64
	copied, stats, err := copyAll(t.Context(), from, to, CopyOptions{Writer: WriterOptions{Workers: 1}, Progress: func(d, of uint64) {
		told.Add(d)
		total.Store(of)
	}})
	if err != nil || copied != 3 || stats.Blobs == 0 || stats.BytesStored == 0 || told.Load() == 0 || total.Load() == 0 {
		t.Fatalf("%d copied, %+v, %d of %d: %v", copied, stats, told.Load(), total.Load(), err)
	}
	verifyCopy(t, to, want)
	dst := testOpen(t, to, Options{})
	if dst.Config().ID == src.Config().ID || dst.Config().ChunkerPolynomial != src.Config().ChunkerPolynomial {
		t.Errorf("config %+v of %+v", dst.Config(), src.Config())
	}
	if uint64(dst.index.count) != stats.Blobs || dst.index.count != src.index.count {
		t.Errorf("%d blobs, of %d, and %d copied", dst.index.count, src.index.count, stats.Blobs)
	}
	copied, stats, err = copyAll(t.Context(), from, to, CopyOptions{})
	if err != nil || copied != 0 || stats.Blobs != 0 || stats.BytesStored != 0 {
		t.Errorf("again: %d copied, %+v, %v", copied, stats, err)
	}
}

// TestCopyOfChangesIsSmall: with a base, folders that are the same are not even
// loaded; without one, they are looked at, and what is lost there comes back.
func TestCopyOfChangesIsSmall(t *testing.T) {
	from, to := storagetest.NewMemory(), storagetest.NewMemory()
	testInit(t, from, InitOptions{})
	initLeast(t, to, "")
	r := testOpen(t, from, Options{})
	w := testWriter(t, r, from.Writer(), WriterOptions{})
	ids, size := mustWait(t, mustWrite(t, w, CutFile, []byte("content")))
	still := mustSaveTree(t, w, fileNode("file", ids, size))
	one := mustSaveTree(t, w, dirNode("still", still))
	two := mustSaveTree(t, w, dirNode("new", mustSaveTree(t, w)), dirNode("still", still))
	mustSnapshot(t, w, one)
	second := mustSnapshot(t, w, two)
	closeWriter(t, w)
	s, err := r.LoadSnapshot(t.Context(), second)
	if err != nil {
		t.Fatal(err)
	}
	for _, base := range []*ID{nil, &one} {
		dst := testOpen(t, to, Options{})
		c, err := NewSnapshotCopier(t.Context(), r, dst, to.Writer(), CopyOptions{})
		if err != nil {
			t.Fatal(err)
		}
		entries, _, err := c.findMissing(t.Context(), *s.Tree, base)
		want := map[bool]int{true: 4, false: 2}[base == nil] // the content, and trees
		if err != nil || len(entries) != want {
			t.Errorf("with a base %v: %d blobs, %v; want %d", base != nil, len(entries), err, want)
		}
		closeWriter(t, c.w)
	}
}

// TestCopyStopsAndGoesOn: one that is stopped keeps what it has copied.
func TestCopyStopsAndGoesOn(t *testing.T) {
	from, to := storagetest.NewMemory(), storagetest.NewMemory()
	src, want := copySource(t, from)
	initLeast(t, to, "")
	stop := make(chan struct{})
	close(stop)
	if _, _, err := copyAll(t.Context(), from, to, CopyOptions{Stop: stop}); !errors.Is(err, ErrCopyStopped) {
		t.Fatalf("stopped before it began: %v", err)
	}
	stop = make(chan struct{})
	stopped := false
	copied, stats, err := copyAll(t.Context(), from, to, CopyOptions{Stop: stop, Progress: func(done, total uint64) {
		if done == total && !stopped { // the first is copied, and the next is not to begin
			stopped = true
			close(stop)
		}
	}})
	if !errors.Is(err, ErrCopyStopped) || copied != 1 || stats.Blobs == 0 {
		t.Fatalf("%d copied, %+v: %v", copied, stats, err)
	}
	copied, rest, err := copyAll(t.Context(), from, to, CopyOptions{})
	if err != nil || copied != 2 || rest.Blobs+stats.Blobs != uint64(src.index.count) {
		t.Errorf("%d copied, %+v: %v", copied, rest, err)
	}
	verifyCopy(t, to, want)
}

// TestCopyKilledAnywhere: whichever call to the copy's storage is the last, or
// whichever of the source's goes wrong, no snapshot is there without its data,
// and the next copy completes.
func TestCopyKilledAnywhere(t *testing.T) {
	from, empty := storagetest.NewMemory(), storagetest.NewMemory()
	_, want := copySource(t, from)
	initLeast(t, empty, "")
	for _, side := range []string{"source", "copy"} {
		var counted atomic.Int64
		count := storagetest.Fault{Act: storagetest.Call, Times: -1, Do: func() { counted.Add(1) }}
		run := func(f storagetest.Fault, m *storagetest.Memory) error {
			from, to := storage.Store(from), storage.Store(m)
			if side == "source" {
				faulty := storagetest.NewFaulty(t, from)
				faulty.Arm(f)
				from = faulty
			} else {
				faulty := storagetest.NewFaulty(t, to)
				faulty.Arm(f)
				to = faulty
			}
			_, _, err := copyAll(t.Context(), from, to, CopyOptions{Writer: WriterOptions{Uploads: 1, Workers: 1}})
			return err
		}
		err := run(count, empty.Copy())
		calls := int(counted.Load())
		if err != nil || calls < 10 {
			t.Fatalf("%s: %v after %d calls", side, err, calls)
		}
		for _, act := range []storagetest.Action{storagetest.Fail, storagetest.Lose} {
			for n := 1; n <= calls; n++ {
				if testing.Short() && (act == storagetest.Lose || n%4 > 0) {
					continue
				}
				to := empty.Copy()
				if err := run(storagetest.Fault{Act: act, Nth: n, Times: -1}, to); err == nil {
					t.Errorf("%s, call %d: nobody noticed", side, n)
				}
				finishCopy(t, fmt.Sprintf("%s, call %d", side, n), from, to, want)
			}
		}
	}
}

// TestCopyTakesNothingDamaged: what the source has damaged does not get into the
// copy, and the other snapshots do.
func TestCopyTakesNothingDamaged(t *testing.T) {
	for _, act := range []storagetest.Action{storagetest.Cut, storagetest.Corrupt} {
		from, to := storagetest.NewMemory(), storagetest.NewMemory()
		_, want := copySource(t, from)
		initLeast(t, to, "")
		f := storagetest.NewFaulty(t, from)
		f.Arm(storagetest.Fault{Op: storagetest.OpLoad, Kind: storage.PackFile, Act: act, At: 50, Times: -1})
		if _, _, err := copyAll(t.Context(), f, to, CopyOptions{}); err == nil {
			t.Error("nobody noticed")
		}
		if report := mustCheck(t, to, CheckOptions{ReadData: true}); !report.OK() || report.Snapshots > 0 {
			t.Errorf("%+v", report)
		}
		finishCopy(t, "damaged", from, to, want)
	}
}

func finishCopy(t *testing.T, what string, from, to storage.Store, want map[ID]map[string][]byte) {
	t.Helper()
	if report := mustCheck(t, to, CheckOptions{ReadData: true}); !report.OK() {
		t.Fatalf("%s: the copy is damaged: %+v", what, report.Findings)
	}
	if _, _, err := copyAll(t.Context(), from, to, CopyOptions{}); err != nil {
		t.Fatalf("%s: the next copy: %v", what, err)
	}
	verifyCopy(t, to, want)
}

// TestResticKnowsOurCopies: stock restic finds the copy whole, restores from it,
// and has nothing to copy after us, nor we after it.
func TestResticKnowsOurCopies(t *testing.T) {
	if testing.Short() {
		t.Skip("restic runs a dozen times")
	}
	try := tryRestic(t)
	t.Setenv("RESTIC_FROM_PASSWORD", testPassword)
	restic := func(dir string, args ...string) string {
		t.Helper()
		out, err := try(dir, args...)
		if err != nil {
			t.Fatalf("restic %q: %v", args, err)
		}
		return out
	}
	from, fromDir := testLocal(t)
	src, want := copySource(t, from)
	for _, oursFirst := range []bool{true, false} {
		to, toDir := testLocal(t)
		initLeast(t, to, src.Config().ChunkerPolynomial)
		if !oursFirst {
			restic(toDir, "copy", "--from-repo", fromDir)
		}
		copied, stats, err := copyAll(t.Context(), from, to, CopyOptions{})
		if err != nil || (copied == 3) != oursFirst || !oursFirst && copied+int(stats.Blobs) > 0 {
			t.Fatalf("we copied %d, %+v: %v", copied, stats, err)
		}
		before := len(mustFiles(t, toDir))
		restic(toDir, "copy", "--from-repo", fromDir)
		if after := len(mustFiles(t, toDir)); after != before {
			t.Errorf("after us restic had something to copy: %d files, then %d", before, after)
		}
		if out := restic(toDir, "check", "--read-data"); !strings.Contains(out, "no errors were found") {
			t.Errorf("check says:\n%s", out)
		}
		verifyCopy(t, to, want)
		target := filepath.Join(t.TempDir(), "out")
		restic(toDir, "restore", "latest", "--target", target)
		if got, err := os.ReadFile(filepath.Join(target, "same")); err != nil || !bytes.Equal(got, testData(1, 90_000)) {
			t.Errorf("restored: %d bytes, %v", len(got), err)
		}
	}
}

// TestResticFindsKilledCopiesClean: as TestCopyKilledAnywhere, with stock restic
// as the judge of what lies there.
func TestResticFindsKilledCopiesClean(t *testing.T) {
	if testing.Short() {
		t.Skip("restic runs for each call")
	}
	restic := needRestic(t)
	from := storagetest.NewMemory()
	_, want := copySource(t, from)
	for n := 1; ; n++ {
		to, dir := testLocal(t)
		initLeast(t, to, "")
		hit := false
		f := storagetest.NewFaulty(t, to)
		// Reading goes on: what is written ends.
		f.Arm(storagetest.Fault{Op: storagetest.OpSave, Nth: n, Times: -1, Do: func() { hit = true }})
		_, _, err := copyAll(t.Context(), from, f, CopyOptions{Writer: WriterOptions{Uploads: 1, Workers: 1}})
		if err == nil || !hit {
			t.Fatalf("save %d: %v", n, err)
		}
		if out := restic(dir, "check", "--read-data"); !strings.Contains(out, "no errors were found") {
			t.Errorf("killed at save %d, check says:\n%s", n, out)
		}
		if _, _, err := copyAll(t.Context(), from, to, CopyOptions{}); err != nil {
			t.Fatal(err)
		}
		verifyCopy(t, to, want)
		if n == saves(t, from) {
			break
		}
	}
}

// saves is how many files a copy of everything stores.
func saves(t *testing.T, from storage.Store) int {
	t.Helper()
	m := storagetest.NewMemory()
	initLeast(t, m, "")
	n := 0
	f := storagetest.NewFaulty(t, m)
	f.Arm(storagetest.Fault{Op: storagetest.OpSave, Act: storagetest.Call, Times: -1, Do: func() { n++ }})
	if _, _, err := copyAll(t.Context(), from, f, CopyOptions{Writer: WriterOptions{Uploads: 1, Workers: 1}}); err != nil || n < 6 {
		t.Fatalf("%d saves: %v", n, err)
	}
	return n
}

// mustFiles are the files below a directory.
func mustFiles(t testing.TB, dir string) []string {
	t.Helper()
	var out []string
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			out = append(out, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}
