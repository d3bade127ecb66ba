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
	due         int  // bytes until the next trial
	// What came of the trials, older ones counting less: bytes at each level.
	fastSum, usualSum float64
	scratch           []byte
}

const (
	// trialSize is how much of a blob a trial compresses, twice; trialEvery is
	// the data from one to the next.
	trialSize  = 128 << 10
	trialEvery = 2 << 20
	// trialDecay is what a trial's weight becomes with each later one.
	trialDecay = 0.8
	// worthwhile is the part of its size that data must lose for the default
	// level to be taken.
	worthwhile = 0.025
)

// choose gives the encoder for a blob of content.
func (l *leveller) choose(plain []byte) *zstd.Encoder {
	if l.fixed {
		return l.fast
	}
	if l.due -= len(plain); l.due <= 0 && len(plain) >= minTrial && !incompressible(plain) {
		l.due = trialEvery
		l.try(plain[:min(len(plain), trialSize)])
	}
	if l.usualSum < l.fastSum*(1-worthwhile) {
		return l.usual
	}
	return l.fast
}

// minTrial is the smallest blob that says anything about others.
const minTrial = 1 << 10

func (l *leveller) try(piece []byte) {
	l.scratch = l.fast.EncodeAll(piece, l.scratch[:0])
	fast := len(l.scratch)
	l.scratch = l.usual.EncodeAll(piece, l.scratch[:0])
	l.fastSum = l.fastSum*trialDecay + float64(fast)
	l.usualSum = l.usualSum*trialDecay + float64(len(l.scratch))
}
