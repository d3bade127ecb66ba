package storagetest

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/ripplebak/ripplebak/storage"
)

func testProvision(t *testing.T, s storage.Store) {
	h := Put(t, s, storage.KeyFile, []byte("kept"))
	if err := s.Writer().Provision(t.Context()); err != nil {
		t.Fatalf("again: %v", err)
	}
	if err := s.Probe(t.Context()); err != nil {
		t.Fatalf("probe: %v", err)
	}
	if got := Get(t, s, h); string(got) != "kept" {
		t.Errorf("the second provision changed a file: %q", got)
	}
	if s.Reader().Location() == "" {
		t.Error("no location")
	}
}

func testRoundTrip(t *testing.T, s storage.Store) {
	for _, k := range storage.Kinds() {
		for i, size := range []int{0, 1, 511, 64 << 10, 1<<20 + 3} {
			if k == storage.ConfigFile && size != 511 {
				continue
			}
			data := Content(uint64(i)+uint64(k)<<8, size)
			h := Put(t, s, k, data)
			if got := Get(t, s, h); !bytes.Equal(got, data) {
				t.Errorf("%s of %d bytes came back other than saved", h, size)
			}
			info, err := s.Reader().Stat(t.Context(), h)
			if want := (storage.Info{Name: h.Name, Size: int64(size)}); err != nil || info != want {
				t.Errorf("stat %s: %+v, %v; want %+v", h, info, err, want)
			}
		}
	}
}

func testRanges(t *testing.T, s storage.Store) {
	data := Content(7, 100_000)
	h := Put(t, s, storage.PackFile, data)
	for _, c := range []struct {
		offset, length int64
		want           []byte
		err            error
	}{
		{0, 0, data, nil},
		{0, -1, data, nil},
		{0, 1, data[:1], nil},
		{0, 100_000, data, nil},
		{99_999, 1, data[99_999:], nil},
		{50_000, 0, data[50_000:], nil},
		{12_345, 54_321, data[12_345:66_666], nil},
		{100_000, 0, nil, nil},
		{0, 100_001, nil, storage.ErrShort},
		{99_999, 2, nil, storage.ErrShort},
		{100_000, 1, nil, storage.ErrShort},
		{100_001, 0, nil, storage.ErrShort},
		{1 << 40, 10, nil, storage.ErrTruncated},
		{-1, 10, nil, storage.ErrInvalid},
	} {
		got, err := load(t.Context(), s, h, c.offset, c.length)
		if c.err != nil {
			wantErr(t, fmt.Sprintf("load %d+%d", c.offset, c.length), err, c.err)
			continue
		}
		if err != nil || !bytes.Equal(got, c.want) {
			t.Errorf("load %d+%d: %d bytes, %v; want %d", c.offset, c.length, len(got), err, len(c.want))
		}
	}
	empty := Put(t, s, storage.PackFile, nil)
	if got, err := load(t.Context(), s, empty, 0, 0); err != nil || len(got) != 0 {
		t.Errorf("empty file: %d bytes, %v", len(got), err)
	}
	_, err := load(t.Context(), s, empty, 0, 1)
	wantErr(t, "one byte of an empty file", err, storage.ErrTruncated)
}

func testAbsent(t *testing.T, s storage.Store) {
	for _, k := range storage.Kinds() {
		h := HandleFor(k, []byte("nobody saved this"))
		_, err := load(t.Context(), s, h, 0, 0)
		wantErr(t, "load "+h.String(), err, storage.ErrNotExist)
		_, err = s.Reader().Stat(t.Context(), h)
		wantErr(t, "stat "+h.String(), err, storage.ErrNotExist)
		if names := Names(t, s, k); len(names) != 0 {
			t.Errorf("an empty place lists %s %v", k, names)
		}
	}
}

func testInvalid(t *testing.T, s storage.Store) {
	good := HandleFor(storage.PackFile, nil).Name
	p := storage.NewPayload([]byte("x"))
	for _, h := range []storage.Handle{
		{}, {Kind: 99, Name: good}, {Kind: storage.ConfigFile, Name: good}, {Kind: storage.PackFile},
		{Kind: storage.PackFile, Name: "../" + good[3:]}, {Kind: storage.PackFile, Name: good[:63]}, {Kind: storage.PackFile, Name: good + "0"},
		{Kind: storage.SnapshotFile, Name: "/" + good[1:]}, {Kind: storage.KeyFile, Name: "A" + good[1:]}, {Kind: storage.IndexFile, Name: good[:63] + "\x00"},
		{Kind: storage.KeyFile, Name: good[:62] + "é"},
	} {
		_, err := load(t.Context(), s, h, 0, 0)
		wantErr(t, "load", err, storage.ErrInvalid)
		_, err = s.Reader().Stat(t.Context(), h)
		wantErr(t, "stat", err, storage.ErrInvalid)
		if h.Kind != storage.ConfigFile {
			wantErr(t, "save", s.Writer().Save(t.Context(), h, p), storage.ErrInvalid)
		}
		wantErr(t, "create", s.Writer().Create(t.Context(), h, p), storage.ErrInvalid)
		wantErr(t, "remove", s.Remover().Remove(t.Context(), h), storage.ErrInvalid)
	}
	wantErr(t, "lock", s.Locker().SaveLock(t.Context(), "../snapshots/"+good[13:], p), storage.ErrInvalid)
	wantErr(t, "unlock", s.Locker().RemoveLock(t.Context(), "../config"), storage.ErrInvalid)
	wantErr(t, "list", s.Reader().List(t.Context(), 0, func(storage.Info) error { return nil }), storage.ErrInvalid)
}

func testSaveAgain(t *testing.T, s storage.Store) {
	data := Content(1, 5000)
	h := Put(t, s, storage.SnapshotFile, data)
	Put(t, s, storage.SnapshotFile, data)
	if got := Get(t, s, h); !bytes.Equal(got, data) {
		t.Error("content changed")
	}
	if names := Names(t, s, storage.SnapshotFile); len(names) != 1 {
		t.Errorf("%d files, want 1", len(names))
	}
}

// source is a payload's content that fails.
type source struct {
	io.ReadSeeker
	left int64 // bytes until err
	err  error
}

func (s *source) Read(p []byte) (int, error) {
	if s.left == 0 {
		return 0, s.err
	}
	n, err := s.ReadSeeker.Read(p[:min(int64(len(p)), s.left)])
	s.left -= int64(n)
	return n, err
}

func (s *source) Close() error { return nil }

func testSources(t *testing.T, s storage.Store) {
	data := Content(3, 300_000)
	good := storage.NewPayload(data)
	failing := func(left int64, err error) func() (io.ReadSeekCloser, error) {
		return func() (io.ReadSeekCloser, error) {
			return &source{ReadSeeker: bytes.NewReader(data), left: left, err: err}, nil
		}
	}
	broken := errors.New("disk on fire")
	longer := good
	longer.Size--
	for name, p := range map[string]storage.Payload{
		"unexpected EOF":  {Size: good.Size, SHA256: good.SHA256, Open: failing(200_000, io.ErrUnexpectedEOF)},
		"EOF":             {Size: good.Size, SHA256: good.SHA256, Open: failing(200_000, io.EOF)},
		"wrapped EOF":     {Size: good.Size, SHA256: good.SHA256, Open: failing(0, fmt.Errorf("read: %w", io.ErrUnexpectedEOF))},
		"error":           {Size: good.Size, SHA256: good.SHA256, Open: failing(299_999, broken)},
		"does not open":   {Size: good.Size, SHA256: good.SHA256, Open: func() (io.ReadSeekCloser, error) { return nil, broken }},
		"more than said":  longer,
		"not what hashed": {Size: good.Size, SHA256: sha256.Sum256([]byte("other")), Open: good.Open},
	} {
		h := HandleFor(storage.PackFile, []byte(name))
		wantErr(t, "save, source: "+name, s.Writer().Save(t.Context(), h, p), storage.ErrSource)
		if _, err := s.Reader().Stat(t.Context(), h); !errors.Is(err, storage.ErrNotExist) {
			t.Errorf("source: %s: something was stored (%v)", name, err)
		}
		config := storage.Handle{Kind: storage.ConfigFile}
		wantErr(t, "create, source: "+name, s.Writer().Create(t.Context(), config, p), storage.ErrSource)
		if _, err := s.Reader().Stat(t.Context(), config); !errors.Is(err, storage.ErrNotExist) {
			t.Errorf("source: %s: a config was stored (%v)", name, err)
		}
	}
	if names := Names(t, s, storage.PackFile); len(names) != 0 {
		t.Errorf("listed after failures: %v", names)
	}
	wantErr(t, "no content", s.Writer().Save(t.Context(), HandleFor(storage.PackFile, nil), storage.Payload{Size: 1}), storage.ErrInvalid)
}
