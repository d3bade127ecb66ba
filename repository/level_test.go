package repository

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
)

func testLeveller(t *testing.T) *leveller {
	t.Helper()
	fast, err := newEncoder(zstd.SpeedFastest)
	if err != nil {
		t.Fatal(err)
	}
	usual, err := newEncoder(zstd.SpeedDefault)
	if err != nil {
		t.Fatal(err)
	}
	return &leveller{fast: fast, usual: usual}
}

// prose is text of the kind that the default level makes markedly smaller.
func prose(seed uint64, size int) []byte {
	r := rand.New(rand.NewPCG(seed, 1))
	var words []string
	for i := range 3000 {
		words = append(words, fmt.Sprintf("%x", r.Uint64N(1<<(8+i%40))))
	}
	var b strings.Builder
	for b.Len() < size {
		b.WriteString(words[r.IntN(len(words))])
		b.WriteByte(' ')
	}
	return []byte(b.String()[:size])
}

// halfRandom is what no level makes smaller than another.
func halfRandom(seed uint64, size int) []byte {
	b := randomData(seed, size)
	for i := range b {
		if i&32 != 0 {
			b[i] = ' '
		}
	}
	return b
}

func TestTheDefaultLevelIsTakenWhereItPays(t *testing.T) {
	l := testLeveller(t)
	for i := range uint64(8) {
		if got := l.choose(halfRandom(i, 1<<20)); got != l.fast {
			t.Fatalf("half random blob %d: not at the fastest level (%.0f and %.0f bytes)", i, l.fastSum, l.usualSum)
		}
	}
	for i := range uint64(40) { // it must come round
		l.choose(prose(i, 1<<20))
	}
	if got := l.choose(prose(99, 1<<20)); got != l.usual {
		t.Errorf("text: not at the default level (%.0f and %.0f bytes)", l.fastSum, l.usualSum)
	}
	for i := range uint64(40) {
		l.choose(halfRandom(i, 1<<20))
	}
	if got := l.choose(halfRandom(99, 1<<20)); got != l.fast {
		t.Errorf("half random again: not at the fastest level (%.0f and %.0f bytes)", l.fastSum, l.usualSum)
	}
}

func TestTrialsAreFew(t *testing.T) {
	l := testLeveller(t)
	trials, last := 0, 0.0
	for i := range uint64(256) {
		l.choose(halfRandom(i, 256<<10))
		if l.fastSum != last {
			trials, last = trials+1, l.fastSum
		}
	}
	// After 0, 2, 6, 14 and 30 MiB, and from there on each 16 MiB.
	if trials < 5 || trials > 8 {
		t.Errorf("%d trials of %d bytes each for 64 MiB of the same kind, want 5 to 8", trials, trialSize)
	}
}

func TestAFixedLevelIsKept(t *testing.T) {
	l := testLeveller(t)
	l.fixed = true
	for i := range uint64(8) {
		if l.choose(prose(i, 1<<20)) != l.fast || l.fastSum != 0 {
			t.Fatal("a trial was made, or another level taken")
		}
	}
}
