package archive

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/ripplebak/ripplebak/repository"
	"github.com/ripplebak/ripplebak/storage/storagetest"
	"github.com/ripplebak/ripplebak/volume"
)

// bench is a repository and a helper.
type bench struct {
	t     testing.TB
	store *storagetest.Memory
	repo  *repository.Repository
	w     *repository.Writer
	peer  *volume.Peer
	root  string
}

func newBench(t testing.TB) *bench {
	t.Helper()
	b := &bench{t: t, store: storagetest.NewMemory(), root: filepath.Join(t.TempDir(), "volume")}
	if err := os.Mkdir(b.root, 0o755); err != nil {
		t.Fatal(err)
	}
	opt := repository.InitOptions{KDF: repository.KDF{N: 1024, R: 8, P: 1}}
	if err := repository.Init(t.Context(), b.store.Reader(), b.store.Writer(), "secret", opt); err != nil {
		t.Fatal(err)
	}
	b.reopen()
	b.connect()
	return b
}

// reopen opens the repository as another process would.
func (b *bench) reopen() {
	b.t.Helper()
	var err error
	if b.repo, err = repository.Open(b.t.Context(), b.store.Reader(), "secret", repository.Options{}); err != nil {
		b.t.Fatal(err)
	}
	if err := b.repo.LoadIndex(b.t.Context()); err != nil {
		b.t.Fatal(err)
	}
	if b.w, err = b.repo.NewWriter(context.WithoutCancel(b.t.Context()), b.store.Writer(), repository.WriterOptions{}); err != nil {
		b.t.Fatal(err)
	}
	w := b.w
	b.t.Cleanup(func() { w.Close(context.Background()) })
}

func (b *bench) connect() {
	b.t.Helper()
	dir, err := os.MkdirTemp("", "rbarc")
	if err != nil {
		b.t.Fatal(err)
	}
	l, err := volume.Listen(filepath.Join(dir, "run"))
	if err != nil {
		b.t.Fatal(err)
	}
	pending := l.Expect(1)
	helper := make(chan error, 1)
	go func() {
		helper <- volume.ServeHelper(context.Background(), volume.HelperOptions{Socket: pending.Socket, Token: pending.Token, Connections: 1})
	}()
	if b.peer, err = pending.Accept(b.t.Context()); err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() {
		b.peer.Close()
		if err := <-helper; err != nil {
			b.t.Errorf("helper: %v", err)
		}
		l.Close()
		os.RemoveAll(dir)
	})
}

// try walks and saves, with a parent and what is remembered of its walk.
func (b *bench) try(parent *repository.ID, trust Trust) (*Result, error) {
	trees := NewTrees(b.repo, b.w)
	var known volume.KnownSource
	if parent != nil {
		known = Known(b.t.Context(), trees, *parent, trust)
	}
	walk, err := b.peer.Walk(b.t.Context(), volume.WalkRequest{Root: b.root}, known, nil)
	if err != nil {
		return nil, err
	}
	defer walk.Close()
	return Save(b.t.Context(), b.w, trees, walk, parent, Options{DeviceID: 7})
}

func (b *bench) save(parent *Result) *Result {
	b.t.Helper()
	var id *repository.ID
	var trust Trust
	if parent != nil {
		id, trust = &parent.Tree, TrustOf(parent.Walk)
	}
	res, err := b.try(id, trust)
	if err != nil {
		b.t.Fatal(err)
	}
	return res
}

// settle waits until files written before count as older than a walk that
// begins now: a tick of the kernel's clock, and the slack.
func settle() { time.Sleep(60 * time.Millisecond) }

func (b *bench) write(path, content string) {
	b.t.Helper()
	path = filepath.Join(b.root, path)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		b.t.Fatal(err)
	}
}

// content reads a file of a tree back.
func (b *bench) content(tree repository.ID, path ...string) string {
	b.t.Helper()
	n, err := b.repo.Resolve(b.t.Context(), tree, path...)
	if err != nil {
		b.t.Fatal(err)
	}
	var out []byte
	for _, id := range n.Content {
		data, err := b.repo.LoadBlob(b.t.Context(), repository.BlobHandle{Type: repository.DataBlob, ID: id}, nil)
		if err != nil {
			b.t.Fatal(err)
		}
		out = append(out, data...)
	}
	if uint64(len(out)) != n.Size {
		b.t.Errorf("%q has %d bytes of content and says %d", path, len(out), n.Size)
	}
	return string(out)
}
