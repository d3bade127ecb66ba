package dump

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// An archive of neo4j-admin is a tar that is compressed by zstd, or by gzip
// where the former cannot be; newer ones say which in front.
const (
	neo4jZstd = "DZV1"
	neo4jGzip = "DGV1"

	zstdMagic    = "\x28\xb5\x2f\xfd"
	zstdMaxBlock = 128 << 10
	gzipMagic    = "\x1f\x8b\x08"
	gzipLeast    = 18 // its head and its end
)

// neo4jState is what comes next in an archive.
type neo4jState uint8

const (
	neo4jHead  neo4jState = iota // what it begins with
	neo4jFrame                   // a frame, or the end
	neo4jBlock
	neo4jSum
	neo4jAny // gzip: its end cannot be told from its content
)

// neo4jProof follows the frames and blocks of zstd as they stream by, without
// reading what is in them: what was cut has no last block. Their content is
// proven by neo4j-admin, which has written it, and which compares its sum when
// it loads it.
type neo4jProof struct {
	state  neo4jState
	held   []byte // of what comes next, as long as it is not there in full
	skip   int64  // of content to pass over
	summed bool   // the frame ends with a sum
	last   bool   // the block is its frame's last
	blocks int64
	frames int64
	size   int64
	err    error
}

func newNeo4jProof() *neo4jProof { return &neo4jProof{} }

func (p *neo4jProof) Write(b []byte) (int, error) {
	p.size += int64(len(b))
	for rest := b; len(rest) > 0 && p.err == nil; {
		if p.state == neo4jAny {
			break
		}
		if p.skip > 0 {
			n := min(p.skip, int64(len(rest)))
			p.skip -= n
			rest = rest[n:]
			continue
		}
		// Everything but content is short: byte by byte will do.
		p.held, rest = append(p.held, rest[0]), rest[1:]
		p.take()
	}
	return len(b), nil
}

func (p *neo4jProof) fail(text string) {
	p.err = fmt.Errorf("%w: %s", ErrBadDump, text)
}

// take looks whether enough is held.
func (p *neo4jProof) take() {
	switch p.state {
	case neo4jHead:
		p.head()
	case neo4jFrame:
		p.frame()
	case neo4jBlock:
		p.block()
	case neo4jSum:
		if len(p.held) == 4 {
			p.next(neo4jFrame)
		}
	}
}

func (p *neo4jProof) next(s neo4jState) { p.state, p.held = s, p.held[:0] }

func (p *neo4jProof) head() {
	if len(p.held) < 4 {
		return
	}
	switch h := string(p.held); {
	case h == neo4jZstd:
		p.next(neo4jFrame)
	case h == zstdMagic:
		p.state = neo4jFrame
		p.frame()
	case bytes.HasPrefix(p.held, []byte(gzipMagic)):
		p.next(neo4jAny)
	case h == neo4jGzip:
		p.next(neo4jAny)
	default:
		p.fail("it does not begin as an archive of neo4j-admin")
	}
}

// frame reads the head of a frame.
func (p *neo4jProof) frame() {
	n := len(p.held)
	if n == 4 && string(p.held) != zstdMagic {
		p.fail("what follows the content is no frame")
	}
	if n < 5 {
		return
	}
	d := p.held[4]
	if d&0x08 != 0 {
		p.fail("a frame has a head of an unknown kind")
		return
	}
	single := d&0x20 != 0
	need := 5 + [4]int{0, 1, 2, 4}[d&3] + [4]int{0, 2, 4, 8}[d>>6]
	switch {
	case !single:
		need++ // the size of its window
	case d>>6 == 0:
		need++ // its size in one byte
	}
	if n < need {
		return
	}
	p.summed = d&0x04 != 0
	p.next(neo4jBlock)
}

// block reads the head of a block.
func (p *neo4jProof) block() {
	if len(p.held) < 3 {
		return
	}
	h := binary.LittleEndian.Uint32(append(p.held, 0))
	size := int64(h >> 3)
	switch kind := h >> 1 & 3; {
	case kind == 3 || size > zstdMaxBlock:
		p.fail("a block is of no known kind")
		return
	case kind == 1:
		size = 1 // one byte, that many times
	}
	p.blocks++
	p.skip, p.last = size, h&1 != 0
	switch {
	case !p.last:
		p.next(neo4jBlock)
	case p.summed:
		p.frames++
		p.next(neo4jSum)
	default:
		p.frames++
		p.next(neo4jFrame)
	}
}

// Finish says whether the last frame was ended.
func (p *neo4jProof) Finish() error {
	switch {
	case p.err != nil:
		return p.err
	case p.size == 0:
		return ErrEmptyDump
	case p.state == neo4jAny && p.size >= gzipLeast:
		return nil
	case p.state == neo4jFrame && p.frames > 0 && len(p.held) == 0 && p.skip == 0:
		return nil
	}
	return fmt.Errorf("%w: after %d bytes", ErrCutDump, p.size)
}

// Summary says how large it is.
func (p *neo4jProof) Summary() string {
	if p.state == neo4jAny {
		return fmt.Sprintf("a Neo4j archive of %d bytes, by gzip", p.size)
	}
	return fmt.Sprintf("a Neo4j archive of %d bytes in %d blocks", p.size, p.blocks)
}
