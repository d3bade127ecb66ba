package volume

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

func spoolOf(t *testing.T, opt Spool) *spool {
	t.Helper()
	s, err := newSpool(opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.close)
	return s
}

func TestSpoolGivesBackWhatItTook(t *testing.T) {
	dir := t.TempDir()
	s := spoolOf(t, Spool{Dir: dir, Memory: 1 << 20, Limit: 8 << 20})
	rng := rand.New(rand.NewPCG(1, 2))
	data := make([]byte, 64<<20)
	rand.NewChaCha8([32]byte{}).Read(data)
	written, read, most := 0, 0, 0
	buf := make([]byte, 300<<10)
	for read < len(data) {
		if written < len(data) && (written == read || written-read < 3<<20 && rng.IntN(2) == 0) {
			n := min(len(data)-written, 1+rng.IntN(300<<10))
			if _, err := s.Write(data[written : written+n]); err != nil {
				t.Fatalf("with %d bytes waiting: %v", written-read, err)
			}
			written += n
			most = max(most, written-read)
			continue
		}
		n, err := s.Read(buf)
		if err != nil || !bytes.Equal(buf[:n], data[read:read+n]) {
			t.Fatalf("at %d: %v", read, err)
		}
		read += n
	}
	if most < 2<<20 {
		t.Fatalf("the file was never used: %d bytes waited", most)
	}
	s.finish(nil)
	if _, err := s.Read(buf); err != io.EOF {
		t.Errorf("at the end: %v", err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("the spool has a name: %v", left)
	}
	if info, err := s.file.Stat(); err != nil || info.Size() > 8<<20 {
		t.Errorf("the file has grown to %d, %v: its slots are not used again", info.Size(), err)
	}
}

func TestSpoolIsSealed(t *testing.T) {
	s := spoolOf(t, Spool{Dir: t.TempDir(), Limit: 1 << 20})
	secret := bytes.Repeat([]byte("plaintext "), 100)
	if _, err := s.Write(secret); err != nil {
		t.Fatal(err)
	}
	raw := make([]byte, 2000)
	n, _ := s.file.ReadAt(raw, 0)
	if n < len(secret) || bytes.Contains(raw, []byte("plaintext")) {
		t.Errorf("%d bytes on disk can be read", n)
	}
	raw[50] ^= 1
	if _, err := s.file.WriteAt(raw[:n], 0); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Read(raw); !errors.Is(err, ErrSpool) {
		t.Errorf("altered on disk: %v", err)
	}
}

func TestSpoolEndsWithItsError(t *testing.T) {
	s := spoolOf(t, Spool{Memory: 1 << 20})
	cause := errors.New("cut")
	s.Write([]byte("data"))
	s.finish(cause)
	got, err := io.ReadAll(s)
	if string(got) != "data" || !errors.Is(err, cause) {
		t.Errorf("%q, %v", got, err)
	}
}

// spooled begins a walk that nobody consumes.
func spooledWalk(t *testing.T, root string, opt Spool) *Walk {
	t.Helper()
	w, err := connect(t, 1).Walk(t.Context(), WalkRequest{Root: root}, nil, &opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	return w
}

// The helper is done, and a service can start, while nothing was consumed yet.
func TestAWalkIsDrainedBeforeItIsConsumed(t *testing.T) {
	root := t.TempDir()
	content := make([]byte, 20<<20)
	rand.NewChaCha8([32]byte{}).Read(content)
	write(t, filepath.Join(root, "f"), content)
	w := spooledWalk(t, root, Spool{Dir: t.TempDir(), Memory: 4 << 20, Limit: 64 << 20})
	<-w.Drained()
	if err := os.RemoveAll(root); err != nil { // the volume is needed no longer
		t.Fatal(err)
	}
	got := collect(t, w)
	if !bytes.Equal(got.content["f"], content) {
		t.Errorf("%d bytes came back", len(got.content["f"]))
	}
}

func TestF33_ASpoolThatIsFullFailsTheWalkAndHoldsNobodyUp(t *testing.T) {
	root := t.TempDir()
	write(t, filepath.Join(root, "f"), make([]byte, 20<<20))
	w := spooledWalk(t, root, Spool{Dir: t.TempDir(), Memory: 1 << 20, Limit: 2 << 20})
	<-w.Drained() // though nobody consumes it
	_, err := tryCollect(w)
	if !errors.Is(err, ErrSpool) {
		t.Errorf("got %v", err)
	}
}

func TestF33_ADiskThatIsFullFailsTheWalkAndHoldsNobodyUp(t *testing.T) {
	needRoot(t)
	dir := t.TempDir()
	if err := unix.Mount("none", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("cannot mount here: %v", err)
	}
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
	root := t.TempDir()
	content := make([]byte, 20<<20)
	rand.NewChaCha8([32]byte{}).Read(content)
	write(t, filepath.Join(root, "f"), content)
	w := spooledWalk(t, root, Spool{Dir: dir, Memory: 1 << 20, Limit: 64 << 20})
	<-w.Drained()
	_, err := tryCollect(w)
	if !errors.Is(err, ErrSpool) || !errors.Is(err, unix.ENOSPC) {
		t.Errorf("got %v", err)
	}
}

func TestASpoolWithoutItsDirectoryFailsTheWalk(t *testing.T) {
	root := t.TempDir()
	write(t, filepath.Join(root, "f"), make([]byte, 1<<20))
	w := spooledWalk(t, root, Spool{Dir: filepath.Join(root, "missing"), Limit: 1 << 20})
	<-w.Drained()
	if _, err := tryCollect(w); !errors.Is(err, ErrSpool) || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}
