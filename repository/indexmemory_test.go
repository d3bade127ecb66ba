package repository

import (
	"fmt"
	"math/rand/v2"
	"os"
	"regexp"
	"runtime"
	"runtime/debug"
	"strconv"
	"testing"
	"time"

	"github.com/ripplebak/ripplebak/storage"
)

// syntheticPack is a pack of 200 blobs with names drawn at random.
func syntheticPack(rng *rand.ChaCha8) indexedPack {
	var p indexedPack
	fill := func(id *ID) { _, _ = rng.Read(id[:]) }
	fill(&p.id)
	p.blobs = make([]packedBlob, 200)
	offset := uint32(0)
	for i := range p.blobs {
		b := &p.blobs[i]
		fill(&b.ID)
		b.offset, b.length, b.plain = offset, 40_000, 60_000
		offset += b.length
	}
	return p
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// TestIndexMemory: the index takes less than 60 bytes a blob, packs included,
// whatever the number of blobs: its hash table grows in steps.
func TestIndexMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds a large index")
	}
	rng := rand.NewChaCha8([32]byte{1})
	before := heap()
	x := newIndex()
	worst := 0.0
	for range 20 {
		for range 250 {
			x.add([]indexedPack{syntheticPack(rng)})
		}
		each := float64(heap()-before) / float64(x.count)
		worst = max(worst, each)
	}
	t.Logf("%d blobs, at most %.1f bytes each", x.count, worst)
	if worst >= 60 || x.count != 1_000_000 {
		t.Errorf("%d blobs take %.1f bytes each", x.count, worst)
	}
	runtime.KeepAlive(x)
}

// BenchmarkOpenTenMillion opens a repository of ten million blobs in 50,000
// packs, with 200 index files on disk, and reports the peak of the process.
//
//	go test ./repository -run '^$' -bench OpenTenMillion -benchtime 1x
func BenchmarkOpenTenMillion(b *testing.B) {
	s, _ := testLocal(b)
	testInit(b, s, InitOptions{})
	r := testOpen(b, s, Options{})
	rng := rand.NewChaCha8([32]byte{1})
	for range 200 {
		packs := make([]indexedPack, 250)
		for i := range packs {
			packs[i] = syntheticPack(rng)
		}
		if _, err := r.saveUnpacked(b.Context(), s.Writer(), storage.IndexFile, appendIndexFile(nil, packs)); err != nil {
			b.Fatal(err)
		}
	}
	defer debug.SetGCPercent(debug.SetGCPercent(10)) // as the program does
	for b.Loop() {
		debug.FreeOSMemory()
		if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0); err != nil {
			b.Skip("the peak of the process cannot be reset: ", err)
		}
		base := heap()
		start := time.Now()
		opened := testOpen(b, s, Options{})
		took := time.Since(start)
		peak := processPeak(b)
		if opened.index.count != 10_000_000 {
			b.Fatalf("%d blobs", opened.index.count)
		}
		b.ReportMetric(float64(heap()-base)/float64(opened.index.count), "B/blob")
		b.ReportMetric(peak, "peak-MiB")
		b.ReportMetric(took.Seconds(), "open-s")
		if peak >= 1024 {
			b.Errorf("opening took %.0f MiB", peak)
		}
		runtime.KeepAlive(opened)
	}
}

// processPeak is the largest memory that the process had since it was reset,
// in MiB.
func processPeak(b *testing.B) float64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		b.Fatal(err)
	}
	m := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindSubmatch(status)
	if m == nil {
		b.Fatal(fmt.Errorf("no VmHWM in %s", status))
	}
	kb, err := strconv.ParseFloat(string(m[1]), 64)
	if err != nil {
		b.Fatal(err)
	}
	return kb / 1024
}
