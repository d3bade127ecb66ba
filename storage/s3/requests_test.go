package s3

import (
	"fmt"
	"testing"

	"github.com/ripplebak/ripplebak/storage"
	"github.com/ripplebak/ripplebak/storage/storagetest"
)

// TestRequestsAreThoseThatAreSent: each request that reaches the server is
// counted, by its kind, the pages of a listing too.
func TestRequestsAreThoseThatAreSent(t *testing.T) {
	f := newFake(t)
	for i := range 2500 {
		f.objects["pre/"+storagetest.HandleFor(storage.IndexFile, fmt.Append(nil, i)).Path()] = nil
	}
	var n storage.Requests
	s := f.open(Options{Requests: &n})
	h := storagetest.Put(t, s, storage.PackFile, []byte("some content"))
	storagetest.Get(t, s, h)
	if _, err := s.Reader().Stat(t.Context(), h); err != nil {
		t.Fatal(err)
	}
	if got := len(storagetest.Names(t, s, storage.IndexFile)); got != 2500 {
		t.Errorf("%d names", got)
	}
	if err := s.Remover().Remove(t.Context(), h); err != nil {
		t.Fatal(err)
	}
	want := storage.RequestCounts{Put: 1, Get: 1, Head: 1, List: 3, Delete: 1}
	if got := n.Counts(); got != want || got.Sum() != int64(len(f.seen())) {
		t.Errorf("%s, want %s; %d were seen", got, want, got.Sum())
	}
}
