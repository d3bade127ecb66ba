package repository

import (
	"errors"
	"testing"
)

// TestHasAllCountsEachName: a tree that is there twice counts twice, as it will
// take space twice; content that is missing is an error.
func TestHasAllCountsEachName(t *testing.T) {
	r, s := testRepository(t)
	w := testWriter(t, r, s.Writer(), WriterOptions{})
	ids, size := mustWait(t, mustWrite(t, w, CutFile, []byte("ten bytes!")))
	below := mustSaveTree(t, w, fileNode("a", ids, size), fileNode("b", append(ids, ids...), 2*size), &Node{Name: "c", Type: NodeSymlink, LinkTarget: "a"})
	root := mustSaveTree(t, w, dirNode("one", below), dirNode("two", below), fileNode("z", ids, size))
	bad := mustSaveTree(t, w, dirNode("one", below), fileNode("x", []ID{{1}}, size))
	if err := w.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	closeWriter(t, w)
	r = testOpen(t, s, Options{})
	if got, err := r.HasAll(t.Context(), root); err != nil || got != (Extent{Bytes: 70, Files: 7, Dirs: 2}) {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := r.HasAll(t.Context(), bad); !errors.Is(err, ErrNoBlob) {
		t.Errorf("content that is missing: %v", err)
	}
	if got := (Extent{Bytes: most, Files: most}).Plus(Extent{Bytes: most, Dirs: 1}); got != (Extent{Bytes: most, Files: most, Dirs: 1}) {
		t.Errorf("beyond all numbers: %+v", got)
	}
}
