package repository

import "github.com/klauspost/compress/zstd"

// leveller chooses between zstd's fastest level and its default one, by trying
// both on a piece of the data now and then. Programs and text get smaller by a
// twentieth at the default level, which then is worth its time; records and
// what is half random get no smaller at all.
//
// The IDs of blobs do not depend on it.
type leveller struct {
	fast, usual *zstd.Encoder
	fixed       bool // always fast
	every       int  // bytes from the last trial to the next
	due         int  // bytes until the next trial
	// What came of the trials, older ones counting less: bytes at each level.
	fastSum, usualSum float64
	scratch           []byte
}

const (
	// trialSize is how much of a blob a trial compresses, twice. trialSoon is
	// the data from one to the next; while they agree they become fewer, down
	// to one each trialSeldom.
	trialSize   = 128 << 10
	trialSoon   = 2 << 20
	trialSeldom = 16 << 20
	// trialDecay is what a trial's weight becomes with each later one.
	trialDecay = 0.8
	// worthwhile is the part of its size that data must lose for the default
	// level to be taken: nowhere is more than that given away for speed.
	worthwhile = 0.045
)

// choose gives the encoder for a blob of content.
func (l *leveller) choose(plain []byte) *zstd.Encoder {
	if l.fixed {
		return l.fast
	}
	if l.due -= len(plain); l.due <= 0 && len(plain) >= minTrial && !incompressible(plain) {
		if l.every = min(2*l.every, trialSeldom); !l.try(plain[:min(len(plain), trialSize)]) {
			l.every = trialSoon
		}
		l.due = l.every
	}
	if l.usualPays() {
		return l.usual
	}
	return l.fast
}

func (l *leveller) usualPays() bool { return pays(l.fastSum, l.usualSum) }

func pays(fast, usual float64) bool { return usual < fast*(1-worthwhile) }

// minTrial is the smallest blob that says anything about others.
const minTrial = 1 << 10

// try compresses a piece at both levels, and says whether that alone gives the
// same answer as all trials before.
func (l *leveller) try(piece []byte) (same bool) {
	l.scratch = l.fast.EncodeAll(piece, l.scratch[:0])
	fast := len(l.scratch)
	l.scratch = l.usual.EncodeAll(piece, l.scratch[:0])
	usual := len(l.scratch)
	same = l.fastSum > 0 && l.usualPays() == pays(float64(fast), float64(usual))
	l.fastSum = l.fastSum*trialDecay + float64(fast)
	l.usualSum = l.usualSum*trialDecay + float64(usual)
	return same
}
