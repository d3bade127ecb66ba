package storage_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"

	"github.com/ripplebak/ripplebak/storage"
	"github.com/ripplebak/ripplebak/storage/storagetest"
)

// lying is a backend whose answers are not what it says.
type lying struct {
	storage.Backend
	data  []byte
	says  int64
	names []string
}

func (l lying) Load(context.Context, storage.Handle, int64, int64) (io.ReadCloser, int64, error) {
	return io.NopCloser(bytes.NewReader(l.data)), l.says, nil
}

func (l lying) List(_ context.Context, _ storage.Kind, fn func(storage.Info) error) error {
	for _, n := range l.names {
		if err := fn(storage.Info{Name: n}); err != nil {
			return err
		}
	}
	return nil
}

func TestF27_EOFIsProven(t *testing.T) {
	h := storagetest.HandleFor(storage.PackFile, nil)
	for _, c := range []struct {
		has, says, asked int64
		want             int64
		err              error
	}{
		{10, 10, 0, 10, nil},
		{10, 10, 10, 10, nil},
		{10, 10, 4, 4, nil},                  // sends more than was asked for
		{20, 10, 0, 10, nil},                 // sends more than it says
		{9, 10, 0, 9, storage.ErrShort},      // ends early
		{0, 10, 10, 0, storage.ErrShort},     // says nothing at all
		{5, 5, 10, 0, storage.ErrTruncated},  // has less than was asked for
		{10, -1, 0, 0, storage.ErrTruncated}, // does not know
	} {
		s := storage.New(lying{data: make([]byte, c.has), says: c.says})
		rc, err := s.Reader().Load(t.Context(), h, 0, c.asked)
		var got []byte
		if err == nil {
			got, err = io.ReadAll(rc)
		}
		if !errors.Is(err, c.err) || int64(len(got)) != c.want {
			t.Errorf("%+v: %d bytes, %v", c, len(got), err)
		}
	}
}

func TestF32_EachNameOnce(t *testing.T) {
	name := func(s string) string { return storagetest.HandleFor(storage.PackFile, []byte(s)).Name }
	a, b, c := name("a"), name("b"), name("c")
	s := storage.New(lying{names: []string{a, a, "README", b, c, a, "", c, b, a + "x", c, c}})
	if got := storagetest.Names(t, s, storage.PackFile); len(got) != 3 {
		t.Errorf("got %v", got)
	}
	var many []string
	for i := range 2000 {
		many = append(many, storagetest.HandleFor(storage.PackFile, []byte{byte(i), byte(i >> 8)}).Name)
	}
	s = storage.New(lying{names: append(many, many...)})
	if got := storagetest.Names(t, s, storage.PackFile); len(got) != 2000 {
		t.Errorf("got %d names, want 2000", len(got))
	}
}
