package volume

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// drain reads a walk to its end, content too.
func drain(b *testing.B, w *Walk) WalkResult {
	b.Helper()
	defer w.Close()
	buf := make([]byte, 256<<10)
	for {
		ev, err := w.Next()
		if errors.Is(err, io.EOF) {
			return w.Result()
		}
		if err != nil {
			b.Fatal(err)
		}
		if ev.Kind != FileStart {
			continue
		}
		for {
			_, r, err := w.NextSegment()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				b.Fatal(err)
			}
			if _, err := io.CopyBuffer(io.Discard, readerOnly{r}, buf); err != nil {
				b.Fatal(err)
			}
		}
	}
}

// manyFiles makes n files of some 4 KiB, 100 to a directory.
func manyFiles(b *testing.B, n, size int) string {
	b.Helper()
	root := b.TempDir()
	rng := rand.New(rand.NewPCG(1, 2))
	content := make([]byte, 2*size)
	for i := range content {
		content[i] = byte(rng.Uint32())
	}
	for i := range n {
		dir := filepath.Join(root, fmt.Sprintf("d%03d/s%02d", i/1000, i/100%10))
		if i%100 == 0 {
			if err := os.MkdirAll(dir, 0o755); err != nil {
				b.Fatal(err)
			}
		}
		length := 0
		if size > 0 {
			length = rng.IntN(2 * size)
		}
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("file-%06d.dat", i)), content[:length], 0o644); err != nil {
			b.Fatal(err)
		}
	}
	return root
}

// cpu gives the processor time that this process has used, in seconds: on a busy
// machine it says more than the clock.
func cpu(b *testing.B) float64 {
	b.Helper()
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}

func BenchmarkWalkSmallFiles(b *testing.B) {
	const n = 100_000
	root := manyFiles(b, n, 4<<10)
	peer := connect(b, 1)
	before := cpu(b)
	for b.Loop() {
		w, err := peer.Walk(b.Context(), WalkRequest{Root: root}, nil, nil)
		if err != nil {
			b.Fatal(err)
		}
		if res := drain(b, w); res.Files != n {
			b.Fatalf("%+v", res)
		}
	}
	b.ReportMetric((cpu(b)-before)/float64(b.N), "cpu-s/op")
	b.ReportMetric(n*float64(b.N)/b.Elapsed().Seconds(), "files/s")
}

func BenchmarkWalkUnchanged(b *testing.B) {
	const n = 200_000
	root := manyFiles(b, n, 0)
	peer := connect(b, 1)
	var all []Known
	if err := walk(b, peer, root, nil).known()(func(k Known) error {
		all = append(all, k)
		return nil
	}); err != nil {
		b.Fatal(err)
	}
	known := func(yield func(Known) error) error {
		for _, k := range all {
			if err := yield(k); err != nil {
				return err
			}
		}
		return nil
	}
	before := cpu(b)
	for b.Loop() {
		w, err := peer.Walk(b.Context(), WalkRequest{Root: root}, known, nil)
		if err != nil {
			b.Fatal(err)
		}
		if res := drain(b, w); res.Unchanged != n || res.Opened != 0 {
			b.Fatalf("%+v", res)
		}
	}
	b.ReportMetric((cpu(b)-before)/float64(b.N), "cpu-s/op")
	b.ReportMetric(n*float64(b.N)/b.Elapsed().Seconds(), "files/s")
}

func BenchmarkWalkLargeFile(b *testing.B) {
	const size = 1 << 30
	root := b.TempDir()
	content := make([]byte, 1<<20)
	rand.NewChaCha8([32]byte{}).Read(content)
	f, err := os.Create(filepath.Join(root, "large"))
	if err != nil {
		b.Fatal(err)
	}
	for range size / len(content) {
		if _, err := f.Write(content); err != nil {
			b.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		b.Fatal(err)
	}
	peer := connect(b, 1)
	b.SetBytes(size)
	before := cpu(b)
	for b.Loop() {
		w, err := peer.Walk(b.Context(), WalkRequest{Root: root}, nil, nil)
		if err != nil {
			b.Fatal(err)
		}
		if res := drain(b, w); res.Bytes != size {
			b.Fatalf("%+v", res)
		}
	}
	b.ReportMetric((cpu(b)-before)/float64(b.N), "cpu-s/op")
}
