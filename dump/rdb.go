package dump

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc64"
	"io"
	"strconv"
)

// An RDB file, as Redis and its kin write it: a magic word with the version in
// digits, opcodes and keys, the opcode of the end, and a CRC-64 of all that
// came before, little-endian. A checksum of zero says that the server has
// checksums off.
const (
	rdbHead    = 9 // "REDIS0010"; Valkey's newer files have "VALKEY080"
	rdbTrailer = 8
	rdbEnd     = 0xff
	rdbOldest  = 5 // the first version with a checksum
)

// rdbPolynomial is the polynomial named after Jones, its bits reversed.
const rdbPolynomial = 0x95ac9329ac4bc9b5

// rdbSum goes on with the checksum as Redis counts it: unlike Go's it begins
// with zero, and nothing is inverted at the end.
func rdbSum(sum uint64, table *crc64.Table, b []byte) uint64 {
	return ^crc64.Update(^sum, table, b)
}

// rdbVersion is what the head of a file says.
type rdbVersion struct {
	valkey bool // its own numbering, from 80 on
	number int
}

func (v rdbVersion) String() string {
	if v.valkey {
		return "Valkey's RDB version " + strconv.Itoa(v.number)
	}
	return "RDB version " + strconv.Itoa(v.number)
}

func parseRDBHead(head []byte) (rdbVersion, bool) {
	digits, ok := bytes.CutPrefix(head, []byte("REDIS"))
	v := rdbVersion{}
	if !ok {
		digits, v.valkey = bytes.CutPrefix(head, []byte("VALKEY"))
	}
	if !ok && !v.valkey || len(head) != rdbHead {
		return v, false
	}
	for _, d := range digits {
		if d < '0' || d > '9' {
			return v, false
		}
		v.number = v.number*10 + int(d-'0')
	}
	return v, v.number > 0
}

// rdbProof judges an RDB file as it streams by. What proves it is its checksum;
// where that is off, that every key can be walked through to the opcode of the
// end. The walk also counts the keys. Memory is a few hundred bytes.
type rdbProof struct {
	size    int64
	head    []byte // the beginning, for the message where it is something else
	version rdbVersion
	isRDB   bool

	table *crc64.Table
	sum   uint64
	held  []byte // the last bytes: the opcode of the end and the trailer
	walk  *rdbWalk
}

func newRDBProof() *rdbProof {
	return &rdbProof{table: crc64.MakeTable(rdbPolynomial), walk: newRDBWalk()}
}

func (p *rdbProof) Write(b []byte) (int, error) {
	n := len(b)
	p.size += int64(n)
	if room := 128 - len(p.head); room > 0 {
		p.head = append(p.head, b[:min(room, n)]...)
	}
	p.hold(b)
	if before := p.size - int64(n); before < rdbHead {
		if p.size < rdbHead {
			return n, nil
		}
		p.version, p.isRDB = parseRDBHead(p.head[:rdbHead])
		p.walk.valkey = p.version.valkey
		b = b[rdbHead-before:]
	}
	if p.isRDB {
		p.walk.write(b)
	}
	return n, nil
}

// hold sums up all but the last bytes, which may be the trailer.
func (p *rdbProof) hold(b []byte) {
	over := len(p.held) + len(b) - (1 + rdbTrailer)
	if over <= 0 {
		p.held = append(p.held, b...)
		return
	}
	first := min(over, len(p.held))
	p.sum = rdbSum(p.sum, p.table, p.held[:first])
	p.sum = rdbSum(p.sum, p.table, b[:over-first])
	p.held = append(p.held[:copy(p.held, p.held[first:])], b[over-first:]...)
}

func (p *rdbProof) Finish() error {
	switch {
	case p.size == 0:
		return ErrEmptyDump
	case !p.isRDB:
		return fmt.Errorf("%w: an RDB file does not begin with %s", ErrBadDump, excerpt(p.head))
	case p.version.number < rdbOldest:
		return fmt.Errorf("%w: %s has no checksum; dump from Redis 2.6 or newer", ErrBadDump, p.version)
	case len(p.held) < 1+rdbTrailer:
		return ErrCutDump
	}
	if binary.LittleEndian.Uint64(p.held[1:]) == 0 {
		return p.finishUnsummed()
	}
	ended := p.held[0] == rdbEnd
	sum := rdbSum(p.sum, p.table, p.held[:1])
	switch {
	case ended && sum == binary.LittleEndian.Uint64(p.held[1:]):
		return nil
	case !p.walk.complete && p.walk.lost == "":
		return fmt.Errorf("%w: it ends after %d keys, in the middle", ErrCutDump, p.walk.keys)
	}
	return fmt.Errorf("%w: the checksum at its end does not fit", ErrBadDump)
}

// finishUnsummed judges a file whose server has checksums off.
func (p *rdbProof) finishUnsummed() error {
	switch {
	case p.walk.complete && p.walk.lost == "":
		return nil
	case p.walk.lost != "":
		return fmt.Errorf("%w: it has no checksum, and cannot be read through either (%s): set rdbchecksum to yes", ErrBadDump, p.walk.lost)
	}
	return fmt.Errorf("%w: it ends after %d keys, in the middle", ErrCutDump, p.walk.keys)
}

func (p *rdbProof) Summary() string {
	s := p.version.String()
	if keys, _, known := p.counted(); known {
		s += fmt.Sprintf(", %d keys", keys)
	}
	if len(p.held) == 1+rdbTrailer && binary.LittleEndian.Uint64(p.held[1:]) == 0 {
		s += ", no checksum: its structure was read through"
	}
	return s
}

// Counts says how many keys there are, where that is known.
func (p *rdbProof) Counts() map[string]int64 {
	keys, _, known := p.counted()
	if !known {
		return nil
	}
	return map[string]int64{"keys": keys}
}

// counted says how many keys there are, and how many of them expire some day.
func (p *rdbProof) counted() (keys, expiring int64, known bool) {
	return p.walk.keys, p.walk.expiring, p.walk.complete && p.walk.lost == ""
}

// rdbMark is the length of the mark that a server which streams without a file
// puts behind an RDB. The clients of several versions write it out with it.
const rdbMark = 40

// rdbTrim passes an RDB on without that mark: 40 hexadecimal digits behind a
// trailer that fits. A server that loads the RDB as the beginning of an
// append-only file would take the mark for a command.
type rdbTrim struct {
	from  io.Reader
	table *crc64.Table
	sum   uint64
	last  byte // the byte before what is held
	buf   []byte
	pos   int // what is passed on next
	ready int // what is behind is held
	end   int
	err   error
}

func newRDBTrim(from io.Reader) io.Reader {
	return &rdbTrim{from: from, table: crc64.MakeTable(rdbPolynomial), buf: make([]byte, 256<<10)}
}

func (t *rdbTrim) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for t.pos == t.ready {
		if t.err != nil {
			return 0, t.err
		}
		t.fill()
	}
	n := copy(p, t.buf[t.pos:t.ready])
	t.pos += n
	return n, nil
}

func (t *rdbTrim) fill() {
	t.end = copy(t.buf, t.buf[t.ready:t.end])
	t.pos, t.ready = 0, 0
	var n int
	n, t.err = t.from.Read(t.buf[t.end:])
	t.end += n
	if t.ready = max(0, t.end-rdbTrailer-rdbMark); t.ready > 0 {
		t.sum = rdbSum(t.sum, t.table, t.buf[:t.ready])
		t.last = t.buf[t.ready-1]
	}
	if !errors.Is(t.err, io.EOF) {
		return
	}
	if held := t.buf[t.ready:t.end]; t.marked(held) {
		t.end -= rdbMark
	}
	t.ready = t.end
}

// marked says whether the last bytes are a trailer and a mark. Without a mark
// the opcode of the end is among them, which is no digit.
func (t *rdbTrim) marked(held []byte) bool {
	if len(held) != rdbTrailer+rdbMark || t.last != rdbEnd {
		return false
	}
	for _, c := range held[rdbTrailer:] {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	sum := binary.LittleEndian.Uint64(held)
	return sum == 0 || sum == t.sum
}
