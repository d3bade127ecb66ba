package repository

import (
	"crypto/sha256"
	"encoding/hex"
	"math/rand/v2"
	"slices"
	"testing"
)

// cuts returns the lengths of a file's chunks.
func fileCuts(t testing.TB, data []byte) []int {
	t.Helper()
	c, err := newChunker(testPolynomial)
	if err != nil {
		t.Fatal(err)
	}
	var out []int
	for len(data) > 0 {
		n := c.cutFile(&fileScan{}, data, true)
		if n == 0 {
			n = len(data)
		}
		out = append(out, n)
		data = data[n:]
	}
	return out
}

func dumpCuts(t testing.TB, data []byte) []int {
	t.Helper()
	c, err := newChunker(testPolynomial)
	if err != nil {
		t.Fatal(err)
	}
	var out []int
	for len(data) > 0 {
		n := c.cutDump(data, true)
		out = append(out, n)
		data = data[n:]
	}
	return out
}

// TestChunkerGolden freezes the cuts: if this fails, every user's next backup
// stores everything again. Do not change the numbers without need.
func TestChunkerGolden(t *testing.T) {
	if got := hex.EncodeToString(chunkerKey(testPolynomial)); got != goldenKey {
		t.Errorf("key %s", got)
	}
	data := randomData(77, 12<<20)
	if got := fileCuts(t, data); !slices.Equal(got, goldenFileCuts()) {
		t.Errorf("file cuts %v", got)
	}
	if got := dumpCuts(t, data[:512<<10]); !slices.Equal(got, goldenDumpCuts()) {
		t.Errorf("dump cuts %v", got)
	}
}

// TestChunkerBounds looks at minimum, maximum and average.
func TestChunkerBounds(t *testing.T) {
	data := randomData(5, 64<<20)
	for name, tt := range map[string]struct {
		cuts               []int
		low, high          int
		average, tolerance int
	}{
		"file": {fileCuts(t, data), fileMin, fileMax, 1 << 20, 200 << 10},
		"dump": {dumpCuts(t, data), dumpMin, dumpMax, 32 << 10, 4 << 10},
	} {
		sum := 0
		for _, n := range tt.cuts[:len(tt.cuts)-1] {
			if n < tt.low || n > tt.high {
				t.Errorf("%s: chunk of %d", name, n)
			}
			sum += n
		}
		avg := sum / (len(tt.cuts) - 1)
		if avg < tt.average-tt.tolerance || avg > tt.average+tt.tolerance {
			t.Errorf("%s: average %d", name, avg)
		}
	}
	// Without any cut by content, the maximum ends a chunk.
	same := make([]byte, 20<<20)
	for i := range same {
		same[i] = 0xaa
	}
	for _, n := range fileCuts(t, same) {
		if n > fileMax {
			t.Errorf("chunk of %d", n)
		}
	}
}

// TestChunkerZeroRuns: long runs of zeros become blobs that restic knows.
func TestChunkerZeroRuns(t *testing.T) {
	noise := randomData(8, 4<<20)
	zeros := make([]byte, 3<<20)
	for name, tt := range map[string]struct {
		data []byte
		want []int
	}{
		"zeros only":      {zeros[:zeroRun*2+5], []int{zeroRun, zeroRun, 5}},
		"header":          {slices.Concat(noise[:100], zeros[:zeroRun*2], noise[:100]), []int{100, zeroRun, zeroRun, 100}},
		"exactly one run": {slices.Concat(noise[:300_000], zeros[:zeroRun]), []int{300_000, zeroRun}},
		"one byte less":   {slices.Concat(noise[:1000], zeros[:zeroRun-1]), []int{1000 + zeroRun - 1}},
	} {
		if name == "one byte less" && len(fileCuts(t, tt.data)) == 2 {
			continue // the hash may cut in the zeros
		}
		if got := fileCuts(t, tt.data); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %v, want %v", name, got, tt.want)
		}
	}
	// The ID is the one of stock restic's blob of 512 KiB zeros.
	if id := ID(sha256.Sum256(zeros[:zeroRun])); id.String() != "07854d2fef297a06ba81685e660c332de36d5d18d546927d30daad6d7fda1541" {
		t.Errorf("zero blob %s", id)
	}
}

// TestCutsIndependentOfWrites: boundaries follow the content, not how it came.
func TestCutsIndependentOfWrites(t *testing.T) {
	r, s := testRepository(t)
	w := testWriter(t, r, s.Writer(), WriterOptions{})
	defer closeWriter(t, w)
	data := slices.Concat(randomData(1, 3<<20), make([]byte, 1<<20), testData(2, 2<<20), make([]byte, 700<<10), []byte("end"))
	rng := rand.New(rand.NewPCG(1, 2))
	for _, cut := range []Cut{CutFile, CutDump, CutPages} {
		want, size := mustWait(t, mustWrite(t, w, cut, data))
		if size != uint64(len(data)) {
			t.Errorf("cut %d: size %d", cut, size)
		}
		for _, most := range []int{7000, 100_000, 300_000, 2_000_000} {
			f := w.NewFile(cut)
			for rest := data; len(rest) > 0; {
				n := min(1+rng.IntN(most), len(rest))
				if zeros := leadingZeros(rest); zeros > 0 && rng.IntN(2) == 0 {
					n = min(1+rng.IntN(zeros), zeros)
					if err := f.Hole(int64(n)); err != nil {
						t.Fatal(err)
					}
				} else if _, err := f.Write(rest[:n]); err != nil {
					t.Fatal(err)
				}
				rest = rest[n:]
			}
			got, _ := mustWait(t, f.Finish())
			if !slices.Equal(got, want) {
				t.Errorf("cut %d, writes up to %d: %d chunks differ from %d", cut, most, len(got), len(want))
			}
		}
	}
}

// TestHashCutResumed: taking the scan up again finds what one scan finds.
func TestHashCutResumed(t *testing.T) {
	c, err := newChunker(testPolynomial)
	if err != nil {
		t.Fatal(err)
	}
	for seed := range uint64(40) {
		data := randomData(seed, 4<<20)
		whole := c.cutFile(&fileScan{}, data, true)
		s := &fileScan{}
		got := 0
		for n := scanStep / 2; n <= len(data) && got == 0; n += scanStep / 2 {
			got = c.cutFile(s, data[:n], false)
		}
		if got != whole {
			t.Errorf("seed %d: %d, want %d", seed, got, whole)
		}
	}
}

const goldenKey = "d6dfd184c919b406f7b9a9ae7e794f7ef08b30b4fbcca4354d83f853f4e47734"

func goldenFileCuts() []int {
	return []int{1719234, 1095253, 624707, 938369, 702656, 1565656, 537790, 1604821, 1371220, 1032651, 617626, 594478, 178451}
}

func goldenDumpCuts() []int {
	return []int{42710, 31457, 39293, 19803, 46454, 33891, 29645, 22233, 33354, 28680, 17017, 41144, 16660, 17190, 18304, 49740, 25927, 10786}
}
