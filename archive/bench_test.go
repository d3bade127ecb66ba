package archive

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// BenchmarkUnchanged is a whole run over a volume in which nothing changed: the
// parent's trees decoded, the walk, and the root's tree found again.
func BenchmarkUnchanged(b *testing.B) {
	const n = 200_000
	v := newBench(b)
	for i := range n {
		dir := filepath.Join(v.root, fmt.Sprintf("d%03d/s%02d", i/1000, i/100%10))
		if i%100 == 0 {
			if err := os.MkdirAll(dir, 0o755); err != nil {
				b.Fatal(err)
			}
		}
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("file-%06d.dat", i)), []byte{byte(i), byte(i >> 8)}, 0o644); err != nil {
			b.Fatal(err)
		}
	}
	settle()
	first := v.save(nil)
	if first.Walk.Started.IsZero() {
		b.Skip("nothing is trusted on this filesystem: set TMPDIR to a disk")
	}
	if err := v.w.Flush(b.Context()); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if res := v.save(first); res.Unchanged != n || res.Tree != first.Tree {
			b.Fatalf("%+v", res)
		}
	}
}
