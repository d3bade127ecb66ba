package storage_test

import (
	"testing"

	"github.com/ripplebak/ripplebak/storage"
	"github.com/ripplebak/ripplebak/storage/storagetest"
)

func TestCountRequests(t *testing.T) {
	var n storage.Requests
	s := storage.CountRequests(storagetest.NewMemory(), &n)
	h := storagetest.Put(t, s, storage.PackFile, []byte("x"))
	storagetest.Put(t, s, storage.ConfigFile, []byte("x"))
	storagetest.Get(t, s, h)
	storagetest.Names(t, s, storage.PackFile)
	if _, err := s.Reader().Stat(t.Context(), h); err != nil {
		t.Fatal(err)
	}
	if err := s.Probe(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.Remover().Remove(t.Context(), h); err != nil {
		t.Fatal(err)
	}
	want := storage.RequestCounts{Put: 2, Get: 1, Head: 2, List: 1, Delete: 1}
	if got := n.Counts(); got != want || got.String() != "2 PUT, 1 GET, 2 HEAD, 1 LIST, 1 DELETE" || got.Sum() != 7 {
		t.Errorf("%s, want %s", got, want)
	}
	var none *storage.Requests
	if got := none.Counts(); got.Sum() != 0 || got.String() != "nothing" {
		t.Errorf("without a counter: %s", got)
	}
}
