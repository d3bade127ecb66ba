package repository

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ripplebak/ripplebak/storage"
	"github.com/ripplebak/ripplebak/storage/local"
	"github.com/ripplebak/ripplebak/storage/storagetest"
)

const testPassword = "correct horse"

// cheapKDF keeps tests from spending their time in scrypt.
func cheapKDF() KDF { return KDF{N: 1024, R: 8, P: 1} }

func testInit(t testing.TB, s storage.Store, opt InitOptions) {
	t.Helper()
	opt.KDF = cheapKDF()
	if err := Init(t.Context(), s.Reader(), s.Writer(), testPassword, opt); err != nil {
		t.Fatalf("init: %v", err)
	}
}

func testOpen(t testing.TB, s storage.Store, opt Options) *Repository {
	t.Helper()
	r, err := Open(t.Context(), s.Reader(), testPassword, opt)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	if err := r.LoadIndex(t.Context()); err != nil {
		t.Fatalf("load index: %v", err)
	}
	return r
}

// testRepository returns a fresh repository in memory.
func testRepository(t testing.TB) (*Repository, *storagetest.Memory) {
	t.Helper()
	s := storagetest.NewMemory()
	testInit(t, s, InitOptions{})
	return testOpen(t, s, Options{}), s
}

func testLocal(t testing.TB) (storage.Store, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "repo")
	s, err := local.Open(dir, local.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s, dir
}

func testWriter(t testing.TB, r *Repository, w storage.Writer, opt WriterOptions) *Writer {
	t.Helper()
	wr, err := r.NewWriter(context.WithoutCancel(t.Context()), w, opt)
	if err != nil {
		t.Fatal(err)
	}
	return wr
}

func closeWriter(t testing.TB, w *Writer) {
	t.Helper()
	if err := w.Close(context.Background()); err != nil {
		t.Errorf("close writer: %v", err)
	}
}

// testData is a stream of bytes that is the same for the same seed; half of it
// compresses.
func testData(seed uint64, size int) []byte {
	rng := rand.New(rand.NewPCG(seed, 1))
	out := make([]byte, 0, size+64)
	for len(out) < size {
		var line [32]byte
		for i := range line {
			line[i] = byte(rng.Uint32())
		}
		out = append(out, line[:]...)
		out = append(out, "a line that comes again and again"[:32]...)
	}
	return out[:size]
}

func randomData(seed uint64, size int) []byte {
	out := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)}).Read(out)
	return out
}

func mustWait(t testing.TB, c *Content) ([]ID, uint64) {
	t.Helper()
	ids, size, err := c.Wait(t.Context())
	if err != nil {
		t.Fatalf("wait: %v", err)
	}
	return ids, size
}

func mustWrite(t testing.TB, w *Writer, cut Cut, data []byte) *Content {
	t.Helper()
	f := w.NewFile(cut)
	if _, err := f.Write(data); err != nil {
		t.Fatalf("write: %v", err)
	}
	return f.Finish()
}

func testTime() time.Time { return time.Date(2026, 11, 22, 3, 4, 5, 678_900_000, time.UTC) }

// fileNode returns a plausible node for content.
func fileNode(name string, ids []ID, size uint64) *Node {
	return &Node{
		Name: name, Type: NodeFile, Mode: 0o644, ModTime: testTime(), AccessTime: testTime(), ChangeTime: testTime(),
		UID: 1000, GID: 1000, User: "u", Group: "g", Inode: 7, DeviceID: 3, Size: size, Links: 1, Content: ids,
	}
}

func dirNode(name string, tree ID) *Node {
	return &Node{
		Name: name, Type: NodeDir, Mode: os.ModeDir | 0o755, ModTime: testTime(), AccessTime: testTime(),
		ChangeTime: testTime(), Subtree: &tree,
	}
}

func mustSaveTree(t testing.TB, w *Writer, nodes ...*Node) ID {
	t.Helper()
	id, err := w.SaveTree(t.Context(), &Tree{Nodes: nodes})
	if err != nil {
		t.Fatalf("save tree: %v", err)
	}
	return id
}

func mustSnapshot(t testing.TB, w *Writer, tree ID, tags ...string) ID {
	t.Helper()
	id, err := w.SaveSnapshot(t.Context(), &Snapshot{Tree: &tree, Paths: []string{"/p"}, Hostname: "h", Tags: tags})
	if err != nil {
		t.Fatalf("save snapshot: %v", err)
	}
	return id
}

// backup stores files of one directory as a snapshot.
func backup(t testing.TB, r *Repository, sw storage.Writer, files map[string][]byte) ID {
	t.Helper()
	w := testWriter(t, r, sw, WriterOptions{})
	defer closeWriter(t, w)
	var nodes []*Node
	for _, name := range sortedKeys(files) {
		ids, size := mustWait(t, mustWrite(t, w, CutFile, files[name]))
		nodes = append(nodes, fileNode(name, ids, size))
	}
	return mustSnapshot(t, w, mustSaveTree(t, w, nodes...))
}

// fileContent puts a file together again.
func fileContent(t testing.TB, r *Repository, ids []ID) []byte {
	t.Helper()
	var out []byte
	for _, id := range ids {
		data, err := r.LoadBlob(t.Context(), BlobHandle{ID: id}, nil)
		if err != nil {
			t.Fatalf("load: %v", err)
		}
		out = append(out, data...)
	}
	return out
}

// verifySnapshot demands exactly these files in a snapshot.
func verifySnapshot(t testing.TB, r *Repository, id ID, files map[string][]byte) {
	t.Helper()
	s, err := r.LoadSnapshot(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	tree, err := r.LoadTree(t.Context(), *s.Tree)
	if err != nil {
		t.Fatal(err)
	}
	if len(tree.Nodes) != len(files) {
		t.Fatalf("%d nodes, want %d", len(tree.Nodes), len(files))
	}
	for _, n := range tree.Nodes {
		if got := fileContent(t, r, n.Content); !bytes.Equal(got, files[n.Name]) {
			t.Errorf("%s: content differs", n.Name)
		}
	}
}

// needRestic returns how to run stock restic on a repository, or skips.
func needRestic(t testing.TB) func(dir string, args ...string) string {
	t.Helper()
	run := tryRestic(t)
	return func(dir string, args ...string) string {
		t.Helper()
		out, err := run(dir, args...)
		if err != nil {
			t.Fatalf("restic %s: %v\n%s", strings.Join(args, " "), err, out)
		}
		return out
	}
}

func tryRestic(t testing.TB) func(dir string, args ...string) (string, error) {
	t.Helper()
	path, err := exec.LookPath("restic")
	if err != nil {
		if os.Getenv("RIPPLEBAK_REQUIRE_TOOLS") == "1" {
			t.Fatal("restic is required and not installed")
		}
		t.Skip("restic is not installed")
	}
	cacheDir := t.TempDir()
	return func(dir string, args ...string) (string, error) {
		cmd := exec.CommandContext(t.Context(), path, append([]string{"--repo", dir, "--cache-dir", cacheDir}, args...)...)
		cmd.Env = append(os.Environ(), "RESTIC_PASSWORD="+testPassword)
		var out, errOut bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &errOut
		err := cmd.Run()
		if err != nil {
			err = errors.Join(err, errors.New(errOut.String()))
		}
		return out.String(), err
	}
}

// testPolynomial is a polynomial that stock restic once drew.
const testPolynomial polynomial = 0x2a326323ea33ab
