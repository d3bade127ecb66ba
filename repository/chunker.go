package repository

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	chunkers "github.com/PlakarKorp/go-cdc-chunkers"
	"github.com/PlakarKorp/go-cdc-chunkers/chunkers/fastcdc"
)

// Cut says how a file is cut into chunks. Where the boundaries lie is the
// writer's choice in this format; but unless they stay the same from one run
// to the next, nothing is recognised. A change here costs every user one full
// backup.
type Cut uint8

const (
	// CutFile is for ordinary files: by content, 512 KiB to 8 MiB, 1 MiB on
	// average. A file below 512 KiB is one blob. Runs of zeros of 512 KiB and
	// more become blobs of 512 KiB of zeros, which stock restic's --sparse
	// knows, for its own chunker makes the same.
	CutFile Cut = iota
	// CutDump is for database dumps, in which a small change stays small: by
	// content, 16 KiB to 128 KiB, 32 KiB on average.
	CutDump
	// CutPages is for files that change in place: every 64 KiB, so that cuts
	// lie on pages of whatever size. Smaller ones would store less again
	// after scattered writes and cost more in index and trees; 64 KiB is to
	// be settled by measurement. 512 KiB of zeros at a multiple of 512 KiB
	// are one blob.
	CutPages
)

const (
	fileMin = 512 << 10
	fileAvg = fileMin // on top of the minimum
	fileMax = 8 << 20

	dumpMin = 16 << 10
	dumpAvg = dumpMin // on top of the minimum
	dumpMax = 128 << 10

	pageSize = 64 << 10

	// zeroRun is the size of the blobs that long runs of zeros become.
	zeroRun = 512 << 10

	// scanStep is how many bytes are looked at, at a time, for the end of a
	// chunk. It divides fileMax and zeroRun.
	scanStep = 128 << 10
)

// chunker finds the ends of chunks by FastCDC, with tables keyed by the
// repository's polynomial, so that sizes of blobs tell little of their
// content. It has no state that changes.
type chunker struct {
	file, dump fastcdc.FastCDC
	key        []byte
}

// chunkerKey makes the key of our chunker from restic's polynomial.
func chunkerKey(p polynomial) []byte {
	seed := binary.BigEndian.AppendUint64([]byte("ripplebak fastcdc 1 "), uint64(p))
	key := sha256.Sum256(seed)
	return key[:]
}

func newChunker(p polynomial) (*chunker, error) {
	c := &chunker{key: chunkerKey(p)}
	if err := c.file.Setup(&chunkers.ChunkerOpts{MinSize: fileMin, NormalSize: fileAvg, MaxSize: fileMax, Key: c.key}); err != nil {
		return nil, fmt.Errorf("set up the chunker: %w", err)
	}
	if err := c.dump.Setup(&chunkers.ChunkerOpts{MinSize: dumpMin, NormalSize: dumpAvg, MaxSize: dumpMax, Key: c.key}); err != nil {
		return nil, fmt.Errorf("set up the chunker: %w", err)
	}
	return c, nil
}

// cutDump returns the length of the first chunk of data, 0 where more data is
// needed to tell.
func (c *chunker) cutDump(data []byte, final bool) int {
	opts := chunkers.ChunkerOpts{MinSize: dumpMin, NormalSize: dumpAvg, MaxSize: dumpMax}
	n := c.dump.Algorithm(&opts, data, len(data))
	if n == len(data) && n < dumpMax && !final {
		return 0
	}
	return n
}

// fileScan is how far a chunk of an ordinary file was looked at.
type fileScan struct {
	scanned int // no end before this
	zeros   int // start of the run of zeros that ends at scanned
}

// cutFile looks for the end of the chunk that begins data, whose first
// s.scanned bytes were looked at before. It returns 0 where more data is
// needed. final says that no more will come; then 0 means that all of data is
// one chunk. The result depends on the content only, not on how it came.
//
// A chunk ends where the hash says so, or where a run of zeros of zeroRun
// bytes begins, if that run is complete first. A chunk that begins with such a
// run is that run.
func (c *chunker) cutFile(s *fileScan, data []byte, final bool) int {
	for s.scanned < len(data) {
		end := min(s.scanned+scanStep, len(data))
		if end-s.scanned < scanStep && !final {
			return 0
		}
		cut := c.hashCut(s.scanned, data[:end])
		if start, ok := s.run(data[:end]); ok && (cut == 0 || start+zeroRun <= cut) {
			if start == 0 {
				return zeroRun
			}
			return start
		}
		if cut != 0 {
			return cut
		}
		if end == fileMax {
			return fileMax
		}
		s.scanned = end
	}
	return 0
}

// hashWindow is how many bytes before a position decide on a cut there.
const hashWindow = 64

// hashCut returns where the hash ends the chunk, of which the first scanned
// bytes have no end, or 0. Scanning is taken up hashWindow bytes before, where
// the hash begins anew; a hit within those is no cut, and then all is scanned.
func (c *chunker) hashCut(scanned int, data []byte) int {
	if len(data) <= fileMin {
		return 0
	}
	opts := chunkers.ChunkerOpts{MinSize: max(fileMin, scanned-hashWindow), NormalSize: fileAvg, MaxSize: fileMax}
	n := c.file.Algorithm(&opts, data, len(data))
	if n < scanned {
		opts.MinSize, opts.NormalSize = fileMin, fileAvg
		n = c.file.Algorithm(&opts, data, len(data))
	}
	if n == len(data) {
		return 0
	}
	return n
}

// run tells where a run of zeroRun zeros begins that is complete within data,
// of which the part from s.scanned on is new.
func (s *fileScan) run(data []byte) (start int, ok bool) {
	fresh := data[s.scanned:]
	lead := leadingZeros(fresh)
	if s.scanned+lead-s.zeros >= zeroRun {
		return s.zeros, true
	}
	if lead < len(fresh) {
		s.zeros = len(data) - trailingZeros(fresh)
	}
	return 0, false
}

func leadingZeros(b []byte) int {
	n := 0
	for len(b)-n >= 8 && binary.LittleEndian.Uint64(b[n:]) == 0 {
		n += 8
	}
	for n < len(b) && b[n] == 0 {
		n++
	}
	return n
}

func trailingZeros(b []byte) int {
	n := len(b)
	for n >= 8 && binary.LittleEndian.Uint64(b[n-8:]) == 0 {
		n -= 8
	}
	for n > 0 && b[n-1] == 0 {
		n--
	}
	return len(b) - n
}
