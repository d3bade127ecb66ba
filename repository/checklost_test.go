package repository

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"testing"

	"github.com/ripplebak/ripplebak/storage"
	"github.com/ripplebak/ripplebak/storage/storagetest"
)

// lostPaths is what a report says is lost, as "SNAPSHOT PATH".
func lostPaths(r CheckReport) []string {
	var out []string
	for i := range r.Lost {
		r.Lost[i].Each(func(p LostPath) {
			out = append(out, fmt.Sprintf("%s %s %v %d", r.Lost[i].Snapshot.ID.Short(), p.Path, p.Folder, p.Files))
		})
	}
	return out
}

// nested stores two files in folders as one snapshot, each folder in a tree.
func nested(t *testing.T, r *Repository, w storage.Writer, a, b []byte) ID {
	t.Helper()
	wr := testWriter(t, r, w, WriterOptions{})
	defer closeWriter(t, wr)
	aIDs, aSize := mustWait(t, mustWrite(t, wr, CutFile, a))
	bIDs, bSize := mustWait(t, mustWrite(t, wr, CutFile, b))
	inner := mustSaveTree(t, wr, fileNode("b", bIDs, bSize))
	return mustSnapshot(t, wr, mustSaveTree(t, wr, fileNode("a", aIDs, aSize), dirNode("sub", inner)))
}

// TestCheckNamesWhatIsLost: a check says of every snapshot which files are
// gone, also those in trees that snapshots share, and no others.
func TestCheckNamesWhatIsLost(t *testing.T) {
	mem := storagetest.NewMemory()
	testInit(t, mem, InitOptions{})
	r := testOpen(t, mem, Options{})
	a, b := randomData(1, 300<<10), randomData(2, 300<<10)
	first := backup(t, r, mem.Writer(), map[string][]byte{"only": randomData(3, 300<<10)})
	kept, _ := dataPack(t, mem)
	second := nested(t, r, mem.Writer(), a, b)
	r2 := testOpen(t, mem, Options{})
	third := nested(t, r2, mem.Writer(), randomData(4, 300<<10), b) // shares b and its folder
	if got := lostPaths(mustCheck(t, mem, CheckOptions{ReadData: true})); len(got) != 0 {
		t.Fatalf("of a whole repository: %q", got)
	}

	x := testOpen(t, mem, Options{})
	bPack, ok := x.index.place(BlobHandle{ID: idOf(b)})
	if !ok {
		t.Fatal("b is nowhere")
	}
	h := storage.Handle{Kind: storage.PackFile, Name: bPack.pack.String()}
	if h == kept {
		t.Fatal("the first snapshot's pack is that of b")
	}
	content, _ := mem.Bytes(h)

	// One bit of b: a, in the same pack, is not lost.
	flipped := mem.Copy()
	bad := slices.Clone(content)
	bad[bPack.offset+100] ^= 1
	flipped.Put(h, bad)
	want := []string{second.Short() + " /sub/b false 1", third.Short() + " /sub/b false 1"}
	if got := lostPaths(mustCheck(t, flipped, CheckOptions{ReadData: true})); !sameLost(got, want) {
		t.Errorf("flipped: %q, want %q", got, want)
	}
	if rep := mustCheck(t, flipped, CheckOptions{}); !rep.OK() || len(rep.Lost) != 0 {
		t.Errorf("flipped, not read: %+v", rep)
	}
	// The pack is gone: a is lost from the second.
	gone := mem.Copy()
	gone.Delete(h)
	want = append(want, second.Short()+" /a false 1")
	if got := lostPaths(mustCheck(t, gone, CheckOptions{})); !sameLost(got, want) {
		t.Errorf("gone: %q, want %q", got, want)
	}
	// The trees are gone too, or in no index: the snapshots are lost.
	all := mem.Copy()
	for _, i := range all.Handles(storage.IndexFile) {
		all.Delete(i)
	}
	want = []string{first.Short() + " / true 0", second.Short() + " / true 0", third.Short() + " / true 0"}
	if got := lostPaths(mustCheck(t, all, CheckOptions{})); !sameLost(got, want) {
		t.Errorf("no index: %q, want %q", got, want)
	}
}

func sameLost(got, want []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(want)))
}

// TestCheckFindsAnotherCopy: what has a second place that is whole is not lost,
// though that place was not to be read.
func TestCheckFindsAnotherCopy(t *testing.T) {
	mem := storagetest.NewMemory()
	testInit(t, mem, InitOptions{})
	files := map[string][]byte{"a": randomData(1, 300<<10)}
	blind := testOpen(t, mem, Options{})
	backup(t, testOpen(t, mem, Options{}), mem.Writer(), files)
	first, data := dataPack(t, mem)
	backup(t, blind, mem.Writer(), files) // knows nothing of the first
	mem.Delete(first)
	r := mustCheck(t, mem, CheckOptions{})
	if !hasFinding(r, MissingPack) || len(r.Lost) != 0 {
		t.Errorf("gone: %+v", r)
	}
	mem.Put(first, data)
	for _, h := range mem.Handles(storage.PackFile) {
		if b, _ := mem.Bytes(h); len(b) > 300<<10 {
			b[100] ^= 1
			mem.Put(h, b)
		}
	}
	if r := mustCheck(t, mem, CheckOptions{ReadData: true}); len(r.Lost) != 2 {
		t.Errorf("both damaged: %+v", r)
	}
}

// TestFlakyReadIsNoDamage: what comes wrong once and right the second time is
// the network's fault or the memory's.
func TestFlakyReadIsNoDamage(t *testing.T) {
	mem := storagetest.NewMemory()
	testInit(t, mem, InitOptions{})
	backup(t, testOpen(t, mem, Options{}), mem.Writer(), map[string][]byte{"a": randomData(1, 300<<10)})
	h, _ := dataPack(t, mem)
	s := storagetest.NewFaulty(t, mem)
	s.Arm(storagetest.Fault{Op: storagetest.OpLoad, Kind: storage.PackFile, Name: h.Name, Act: storagetest.Corrupt, At: 500})
	if r := mustCheck(t, s, CheckOptions{ReadData: true}); !r.OK() || !hasFinding(r, FlakyRead) || len(r.Lost) != 0 {
		t.Errorf("%+v", r)
	}
}

// TestDamagedKeyIsFound beside one that still opens the repository.
func TestDamagedKeyIsFound(t *testing.T) {
	mem := storagetest.NewMemory()
	testInit(t, mem, InitOptions{})
	key, _ := mem.Bytes(mem.Handles(storage.KeyFile)[0])
	mem.Put(storage.Handle{Kind: storage.KeyFile, Name: ID{9}.String()}, key)
	if r := mustCheck(t, mem, CheckOptions{}); r.OK() || !hasFinding(r, BadKey) || r.Errors != 1 {
		t.Errorf("%+v", r)
	}
}

func idOf(data []byte) ID { return sha256.Sum256(data) }
