package repository

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ripplebak/ripplebak/storage"
	"github.com/ripplebak/ripplebak/storage/storagetest"
)

func TestWriterDeduplicates(t *testing.T) {
	r, s := testRepository(t)
	data := testData(3, 4<<20)
	w := testWriter(t, r, s.Writer(), WriterOptions{})
	defer closeWriter(t, w)
	// The same content many times at once: each blob is stored once, also
	// while the first copy is still in flight.
	var all []*Content
	for range 8 {
		all = append(all, mustWrite(t, w, CutFile, data))
	}
	first, _ := mustWait(t, all[0])
	for _, c := range all[1:] {
		if ids, _ := mustWait(t, c); fmt.Sprint(ids) != fmt.Sprint(first) {
			t.Error("equal content, other IDs")
		}
	}
	if err := w.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	st := w.Stats()
	if st.BlobsNew != uint64(len(first)) || st.BytesNew != uint64(len(data)) || st.BytesRead != uint64(8*len(data)) {
		t.Errorf("stats %+v, %d chunks", st, len(first))
	}
	// A second run over the same content stores nothing.
	again := testOpen(t, s, Options{})
	w2 := testWriter(t, again, s.Writer(), WriterOptions{})
	defer closeWriter(t, w2)
	mustWait(t, mustWrite(t, w2, CutFile, data))
	if err := w2.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if st := w2.Stats(); st.BlobsNew != 0 || st.Packs != 0 || st.Indexes != 0 {
		t.Errorf("second run stored %+v", st)
	}
}

func TestWriterEdges(t *testing.T) {
	r, s := testRepository(t)
	w := testWriter(t, r, s.Writer(), WriterOptions{})
	for _, cut := range []Cut{CutFile, CutDump, CutPages} {
		if ids, size := mustWait(t, w.NewFile(cut).Finish()); ids == nil || len(ids) != 0 || size != 0 {
			t.Errorf("empty file: %v, %d", ids, size)
		}
		small, _ := mustWait(t, mustWrite(t, w, cut, testData(1, 3000)))
		if len(small) != 1 {
			t.Errorf("small file in %d chunks", len(small))
		}
		f := w.NewFile(cut)
		if n, err := f.ReadFrom(bytes.NewReader(testData(1, 1<<20))); err != nil || n != 1<<20 {
			t.Errorf("ReadFrom: %d, %v", n, err)
		}
		got, _ := mustWait(t, f.Finish())
		want, _ := mustWait(t, mustWrite(t, w, cut, testData(1, 1<<20)))
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Error("ReadFrom cuts otherwise than Write")
		}
		if _, err := f.Write([]byte{1}); err == nil {
			t.Error("write after the end")
		}
		g := w.NewFile(cut)
		if err := g.Hole(200 << 20); err != nil {
			t.Fatal(err)
		}
		if ids, size := mustWait(t, g.Finish()); size != 200<<20 || len(ids) == 0 {
			t.Errorf("hole: %d in %d", size, len(ids))
		}
		broken := w.NewFile(cut)
		if _, err := broken.ReadFrom(io.MultiReader(strings.NewReader("x"), failingReader{})); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("failing source: %v", err)
		}
		broken.Abandon()
	}
	if _, err := w.SaveTree(t.Context(), &Tree{Nodes: []*Node{{Name: "b"}, {Name: "a"}}}); !errors.Is(err, ErrOrder) {
		t.Errorf("order: %v", err)
	}
	missing := ID{1}
	if _, err := w.SaveSnapshot(t.Context(), &Snapshot{Tree: &missing}); !errors.Is(err, ErrNoBlob) {
		t.Errorf("snapshot of an unknown tree: %v", err)
	}
	closeWriter(t, w)
	closeWriter(t, w)
	if _, err := w.NewFile(CutFile).Write([]byte{1}); !errors.Is(err, ErrClosed) {
		t.Errorf("write after close: %v", err)
	}
}

type failingReader struct{}

func (failingReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// TestPendingBlobs: what a live Writer holds can be read back at any time.
func TestPendingBlobs(t *testing.T) {
	r, s := testRepository(t)
	w := testWriter(t, r, s.Writer(), WriterOptions{})
	defer closeWriter(t, w)
	data := testData(4, 100_000)
	ids, size := mustWait(t, mustWrite(t, w, CutFile, data))
	id := mustSaveTree(t, w, fileNode("f", ids, size))
	check := func(when string) {
		t.Helper()
		tree, err := r.LoadTree(t.Context(), id)
		if err != nil || tree.Find("f") == nil {
			t.Fatalf("%s: %v", when, err)
		}
		if !bytes.Equal(fileContent(t, r, ids), data) {
			t.Errorf("%s: content differs", when)
		}
		var found atomic.Int64
		err = r.LoadBlobs(t.Context(), []BlobHandle{{ID: ids[0]}, {ID: ids[0]}, {Type: TreeBlob, ID: id}}, func(h BlobHandle, b []byte) error {
			found.Add(1)
			return nil
		})
		if found.Load() != 2 {
			t.Errorf("%s: %d blobs came, each counts once", when, found.Load())
		}
		if err != nil {
			t.Errorf("%s: %v", when, err)
		}
	}
	check("in flight")
	for _, p := range w.packers {
		p.closePack()
	}
	if err := w.wait(t.Context(), func() bool { return w.packsLive == 0 }); err != nil {
		t.Fatal(err)
	}
	check("stored, not indexed")
	if err := w.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	check("indexed")
	if _, err := r.LoadTree(t.Context(), ID{5}); !errors.Is(err, ErrNoBlob) {
		t.Errorf("unknown tree: %v", err)
	}
}

// TestPacks: trees and data lie apart, and no pack is larger than it may be.
func TestPacks(t *testing.T) {
	r, s := testRepository(t)
	w := testWriter(t, r, s.Writer(), WriterOptions{})
	mustWait(t, mustWrite(t, w, CutFile, randomData(1, 40<<20)))
	var nodes []*Node
	for i := range 3000 {
		nodes = append(nodes, fileNode(fmt.Sprintf("%05d", i), []ID{{byte(i), byte(i >> 8)}}, 1))
	}
	mustSaveTree(t, w, nodes...)
	mustSaveTree(t, w)
	if err := w.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	closeWriter(t, w)
	sizes := 0
	for _, h := range s.Handles(storage.PackFile) {
		data, _ := s.Bytes(h)
		sizes += len(data)
		if len(data) > packCapacity {
			t.Errorf("%s has %d bytes", h, len(data))
		}
	}
	if want := w.Stats().BytesStored; uint64(sizes) > want {
		t.Errorf("packs have %d bytes, the statistics say %d", sizes, want)
	}
	report, err := r.Check(t.Context(), CheckOptions{ReadData: true})
	if err != nil || !report.OK() || report.Notes != 0 {
		t.Errorf("check: %+v, %v", report, err)
	}
}

// TestHugeTree: a directory larger than a pack is one blob all the same.
func TestHugeTree(t *testing.T) {
	r, s := testRepository(t)
	w := testWriter(t, r, s.Writer(), WriterOptions{})
	defer closeWriter(t, w)
	tree := &Tree{}
	raw := randomData(3, 60_000*32)
	for i := range 60_000 {
		tree.Nodes = append(tree.Nodes, fileNode(fmt.Sprintf("%032x-%06d", i, i), []ID{ID(raw[i*32 : i*32+32])}, 1))
	}
	id := mustSaveTree(t, w, tree.Nodes...)
	if err := w.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	got, err := testOpen(t, s, Options{}).LoadTree(t.Context(), id)
	if err != nil || len(got.Nodes) != 60_000 {
		t.Fatal(err)
	}
}

// TestF24_SourceFails: a pack that the storage cannot take fails the Writer,
// and nothing of the run is visible.
func TestF24_SourceFails(t *testing.T) {
	for _, kind := range []storage.Kind{storage.PackFile, storage.IndexFile, storage.SnapshotFile} {
		t.Run(kind.String(), func(t *testing.T) {
			mem := storagetest.NewMemory()
			testInit(t, mem, InitOptions{})
			s := storagetest.NewFaulty(t, mem)
			s.Arm(storagetest.Fault{Op: storagetest.OpSave, Kind: kind, Err: io.ErrUnexpectedEOF, Times: -1})
			r := testOpen(t, s, Options{})
			w := testWriter(t, r, s.Writer(), WriterOptions{})
			ids, size := mustWait(t, mustWrite(t, w, CutFile, randomData(1, 1<<20)))
			tree := mustSaveTree(t, w, fileNode("f", ids, size))
			_, err := w.SaveSnapshot(t.Context(), &Snapshot{Tree: &tree, Paths: []string{"/"}})
			if !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("snapshot: %v", err)
			}
			if err := w.Close(t.Context()); kind != storage.SnapshotFile && !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("close: %v", err)
			}
			if list, bad, err := testOpen(t, mem, Options{}).Snapshots(t.Context()); len(list)+len(bad) > 0 || err != nil {
				t.Errorf("visible: %v %v %v", list, bad, err)
			}
		})
	}
}

// TestFailureReachesEverybody: after a failed upload nobody waits for ever.
func TestFailureReachesEverybody(t *testing.T) {
	mem := storagetest.NewMemory()
	testInit(t, mem, InitOptions{})
	s := storagetest.NewFaulty(t, mem)
	s.Arm(storagetest.Fault{Op: storagetest.OpSave, Kind: storage.PackFile, Err: storage.ErrNoSpace, Times: -1})
	r := testOpen(t, s, Options{})
	before := runtime.NumGoroutine()
	w := testWriter(t, r, s.Writer(), WriterOptions{})
	f := w.NewFile(CutFile)
	var err error
	for i := uint64(0); err == nil && i < 100; i++ {
		_, err = f.Write(randomData(i, 8<<20))
	}
	if !errors.Is(err, storage.ErrNoSpace) {
		t.Errorf("write: %v", err)
	}
	if _, _, err := f.Finish().Wait(t.Context()); !errors.Is(err, storage.ErrNoSpace) {
		t.Errorf("wait: %v", err)
	}
	if err := w.Flush(t.Context()); !errors.Is(err, storage.ErrNoSpace) {
		t.Errorf("flush: %v", err)
	}
	if err := w.Close(t.Context()); !errors.Is(err, storage.ErrNoSpace) {
		t.Errorf("close: %v", err)
	}
	noLeak(t, before)
}

// noLeak waits for goroutines that were told to end.
func noLeak(t *testing.T, before int) {
	t.Helper()
	for range 1000 {
		if runtime.NumGoroutine() <= before {
			return
		}
		runtime.Gosched()
		time.Sleep(time.Millisecond)
	}
	buf := make([]byte, 1<<16)
	t.Errorf("%d goroutines, %d before:\n%s", runtime.NumGoroutine(), before, buf[:runtime.Stack(buf, true)])
}

// TestStalledStorage: a storage that hangs holds the writer back after a
// bounded amount of data, and the end of the context frees everybody.
func TestStalledStorage(t *testing.T) {
	mem := storagetest.NewMemory()
	testInit(t, mem, InitOptions{})
	s := storagetest.NewFaulty(t, mem)
	stalled := s.Arm(storagetest.Fault{Op: storagetest.OpSave, Kind: storage.PackFile, Act: storagetest.Stall, Times: -1})
	r := testOpen(t, s, Options{Workers: 2})
	before := runtime.NumGoroutine()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(context.WithoutCancel(t.Context()))
		w, err := r.NewWriter(ctx, s.Writer(), WriterOptions{})
		if err != nil {
			t.Fatal(err)
		}
		var written int
		done := make(chan error)
		go func() {
			f := w.NewFile(CutFile)
			for i := uint64(0); ; i++ {
				n, err := f.Write(randomData(i, 1<<20))
				if written += n; err != nil {
					f.Abandon()
					done <- err
					return
				}
			}
		}()
		synctest.Wait()
		if limit := (defaultUploads+1)*packCapacity + 4*queuedBytes; written > limit || written < packCapacity {
			t.Errorf("%d bytes were taken, the limit is %d", written, limit)
		}
		stop := errors.New("stop")
		cancel(stop)
		if err := <-done; !errors.Is(err, stop) {
			t.Errorf("write: %v", err)
		}
		if err := w.Close(t.Context()); !errors.Is(err, stop) {
			t.Errorf("close: %v", err)
		}
	})
	if stalled.Hits() == 0 {
		t.Error("nothing stalled")
	}
	noLeak(t, before)
}

// TestFlushCancelled: the context of a call ends that call only.
func TestFlushCancelled(t *testing.T) {
	r, s := testRepository(t)
	w := testWriter(t, r, s.Writer(), WriterOptions{})
	defer closeWriter(t, w)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	mustWait(t, mustWrite(t, w, CutFile, testData(1, 1000)))
	if err := w.Flush(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("flush: %v", err)
	}
	if _, err := w.SaveTree(ctx, &Tree{}); !errors.Is(err, context.Canceled) {
		t.Errorf("save tree: %v", err)
	}
	if err := w.Flush(t.Context()); err != nil {
		t.Errorf("flush afterwards: %v", err)
	}
}

// TestF26_CrashPoints: the storage as it is at each point, seen by the next
// process: no half snapshot, and the next run goes on from there.
func TestF26_CrashPoints(t *testing.T) {
	files := map[string][]byte{"a": testData(1, 3<<20), "b": randomData(2, 1<<20)}
	r, s := testRepository(t)
	first := backup(t, r, s.Writer(), map[string][]byte{"old": []byte("old")})
	crashed := make(map[string]*storagetest.Memory)
	w := testWriter(t, r, s.Writer(), WriterOptions{CrashPoint: func(name string) { crashed[name] = s.Copy() }})
	var nodes []*Node
	for _, name := range sortedKeys(files) {
		ids, size := mustWait(t, mustWrite(t, w, CutFile, files[name]))
		nodes = append(nodes, fileNode(name, ids, size))
	}
	id := mustSnapshot(t, w, mustSaveTree(t, w, nodes...))
	closeWriter(t, w)

	for _, point := range []string{"after-packs", "after-index", "after-snapshot"} {
		t.Run(point, func(t *testing.T) {
			mem := crashed[point]
			if mem == nil {
				t.Fatal("the point was never reached")
			}
			again := testOpen(t, mem, Options{})
			list, bad, err := again.Snapshots(t.Context())
			want := 1
			if point == "after-snapshot" {
				want = 2
			}
			if err != nil || len(bad) > 0 || len(list) != want {
				t.Fatalf("%d snapshots, %v, %v", len(list), bad, err)
			}
			verifySnapshot(t, again, first, map[string][]byte{"old": []byte("old")})
			if want == 2 {
				verifySnapshot(t, again, id, files)
			}
			next := backup(t, again, mem.Writer(), files)
			verifySnapshot(t, testOpen(t, mem, Options{}), next, files)
			report, err := again.Check(t.Context(), CheckOptions{ReadData: true})
			if err != nil || !report.OK() {
				t.Errorf("check: %+v, %v", report, err)
			}
			if packs := len(mem.Handles(storage.PackFile)); point != "after-packs" && packs != len(s.Handles(storage.PackFile)) {
				t.Errorf("%d packs: the next run stored again what was there", packs)
			}
		})
	}
}

// TestIndexInterval: a long run leaves an index every ten minutes, so that a
// killed first backup resumes.
func TestIndexInterval(t *testing.T) {
	s := storagetest.NewMemory()
	testInit(t, s, InitOptions{})
	now := testTime()
	r := testOpen(t, s, Options{Now: func() time.Time { return now }})
	w := testWriter(t, r, s.Writer(), WriterOptions{})
	now = now.Add(indexInterval + time.Second)
	data := randomData(1, 40<<20)
	mustWait(t, mustWrite(t, w, CutFile, data))
	if err := w.wait(t.Context(), func() bool { return w.active == 0 && w.packsLive == 1 }); err != nil {
		t.Fatal(err)
	}
	err := w.Close(t.Context()) // as good as killed
	if err != nil || len(s.Handles(storage.IndexFile)) == 0 {
		t.Fatalf("no index was written, %v", err)
	}
	again := testOpen(t, s, Options{})
	w2 := testWriter(t, again, s.Writer(), WriterOptions{})
	defer closeWriter(t, w2)
	mustWait(t, mustWrite(t, w2, CutFile, data))
	if err := w2.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if st := w2.Stats(); st.BlobsKnown < 4 {
		t.Errorf("the second run found %d blobs of the first", st.BlobsKnown)
	}
}
