package s3

import (
	"io"
	"testing"

	"github.com/ripplebak/ripplebak/storage"
	"github.com/ripplebak/ripplebak/storage/storagetest"
)

func BenchmarkVersity(b *testing.B) {
	g := storagetest.StartGateway(b, b.TempDir())
	addr, err := ParseAddress("http://" + g.Host + "/bucket")
	if err != nil {
		b.Fatal(err)
	}
	s, err := Open(addr, g.Env, Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	if err := s.Writer().Provision(b.Context()); err != nil {
		b.Fatal(err)
	}
	data := storagetest.Content(1, 16<<20)
	h, p := storagetest.HandleFor(storage.PackFile, data), storage.NewPayload(data)
	b.Run("Save", func(b *testing.B) {
		b.SetBytes(p.Size)
		for b.Loop() {
			if err := s.Writer().Save(b.Context(), h, p); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("Load", func(b *testing.B) {
		b.SetBytes(p.Size)
		for b.Loop() {
			rc, err := s.Reader().Load(b.Context(), h, 0, 0)
			if err != nil {
				b.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, rc); err != nil {
				b.Fatal(err)
			}
			if err := rc.Close(); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// The MD5, which costs as much as the transfer on a fast network, is computed
// only until the server has shown that it checks SHA-256.
func TestMD5IsSpared(t *testing.T) {
	g := storagetest.StartGateway(t, t.TempDir())
	addr, err := ParseAddress("http://" + g.Host + "/bucket")
	if err != nil {
		t.Fatal(err)
	}
	b, err := open(addr, g.Env, Options{})
	if err != nil {
		t.Fatal(err)
	}
	s := storage.New(b)
	if err := s.Writer().Provision(t.Context()); err != nil {
		t.Fatal(err)
	}
	storagetest.Put(t, s, storage.PackFile, []byte("x"))
	if b.needMD5.Load() {
		t.Error("the server's checksum was not recognised")
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
