package volume

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"testing"

	"golang.org/x/sys/unix"
)

// benchSource lists files whose content is cut from one buffer, so that what is
// measured is the restore and not its source.
type benchSource struct {
	files, dirs int
	size        func(i int) int
	buf         []byte
}

// benchBlob is the most that one blob of a benchmark has.
const benchBlob = 1 << 20

func newBenchSource(files, dirs int, size func(int) int) *benchSource {
	return &benchSource{files: files, dirs: dirs, size: size, buf: []byte(noise(1, 2*benchBlob))}
}

func (s *benchSource) Entries(_ context.Context, yield func(Entry, []Blob) error) error {
	if err := yield(dirAt("").entry, nil); err != nil {
		return err
	}
	for d := range s.dirs {
		dir := fmt.Sprintf("dir-%05d", d)
		if err := yield(dirAt(dir).entry, nil); err != nil {
			return err
		}
		for i := d; i < s.files; i += s.dirs {
			f := fileAt(fmt.Sprintf("%s/file-%07d", dir, i), s.blobs(i)...)
			f.entry.ModTime = Time{Sec: 1_600_000_000 + int64(i)}
			if err := yield(f.entry, f.blobs); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *benchSource) blobs(i int) []Blob {
	var out []Blob
	for left, n := s.size(i), 0; left > 0; n++ {
		part := min(left, benchBlob)
		id := sha256.Sum256(fmt.Appendf(nil, "%d %d", i, n))
		out = append(out, Blob{ID: id, Length: uint32(part)})
		left -= part
	}
	return out
}

func (s *benchSource) Fetch(_ context.Context, want []Blob, put func(Blob, []byte) error) error {
	for _, b := range want {
		at := int(b.ID[0]) << 12
		if err := put(b, s.buf[at%benchBlob:][:b.Length]); err != nil {
			return err
		}
	}
	return nil
}

func smallSize(i int) int { return 1<<10 + i*7919%(19<<10) }

// BenchmarkRestoreSmallFiles restores 100,000 files of 1 to 20 KiB into an empty
// directory, synced.
func BenchmarkRestoreSmallFiles(b *testing.B) {
	benchRestore(b, newBenchSource(100_000, 500, smallSize))
}

// BenchmarkRestoreBigFiles restores 2 GiB in 8 files.
func BenchmarkRestoreBigFiles(b *testing.B) {
	benchRestore(b, newBenchSource(8, 1, func(int) int { return 256 << 20 }))
}

func benchRestore(b *testing.B, s *benchSource) {
	total := 0
	for i := range s.files {
		total += s.size(i)
	}
	b.SetBytes(int64(total))
	for b.Loop() {
		b.StopTimer()
		dir := benchDir(b)
		p := connect(b, 1)
		b.StartTimer()
		if _, err := p.Restore(b.Context(), RestoreRequest{Root: dir, ID: "bench"}, s); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		if err := os.RemoveAll(dir); err != nil {
			b.Fatal(err)
		}
		unix.Sync()
		b.StartTimer()
	}
}

func benchDir(b *testing.B) string {
	b.Helper()
	dir, err := os.MkdirTemp("", "rbbench")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// BenchmarkUntarSmallFiles is what tar takes for the same, synced.
func BenchmarkUntarSmallFiles(b *testing.B) {
	s := newBenchSource(100_000, 500, smallSize)
	src := benchDir(b)
	if _, err := connect(b, 1).Restore(b.Context(), RestoreRequest{Root: src, ID: "bench"}, s); err != nil {
		b.Fatal(err)
	}
	tarball := benchDir(b) + "/t.tar"
	if out, err := exec.Command("tar", "-C", src, "-cf", tarball, ".").CombinedOutput(); err != nil {
		b.Fatalf("%v %s", err, out)
	}
	for b.Loop() {
		b.StopTimer()
		dir := benchDir(b)
		unix.Sync()
		b.StartTimer()
		if out, err := exec.Command("sh", "-c", `tar -C "$1" -xf "$2" && sync -f "$1"`, "sh", dir, tarball).CombinedOutput(); err != nil {
			b.Fatalf("%v %s", err, out)
		}
		b.StopTimer()
		if err := os.RemoveAll(dir); err != nil {
			b.Fatal(err)
		}
		unix.Sync()
		b.StartTimer()
	}
}
