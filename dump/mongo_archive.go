package dump

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc64"
	"slices"
)

// An archive of mongodump: a magic number; a document about the archive and one
// for each collection that will follow, up to a terminator; then blocks, each a
// document that names a collection, documents of it, and a terminator. The last
// block of a collection has no documents, but says that it is the last, and the
// CRC-64 of all documents of the collection. Collections may take turns.
const (
	mongoMagic      = 0x8199e26d
	mongoTerminator = 0xffffffff
)

// Bounds of what an archive makes us remember.
const (
	mongoMaxDocument = 64 << 20 // the server's own is 16 MiB and a little
	mongoMaxHeader   = 1 << 20
	mongoMaxNames    = 64 << 20 // bytes in names of collections
)

// mongoName is a collection.
type mongoName struct{ db, collection string }

func (n mongoName) String() string { return n.db + "." + n.collection }

// mongoCollection is how far a collection has come.
type mongoCollection struct {
	announced bool
	series    bool // its documents come under the name of its buckets
	begun     bool
	ended     bool
	sum       uint64
}

// mongoProof follows an archive as it streams by.
type mongoProof struct {
	table       *crc64.Table
	collections map[mongoName]*mongoCollection
	names       int // bytes
	documents   int64
	err         error

	state   mongoState
	length  [4]byte // of the document under way
	have    int     // bytes of length
	left    int     // bytes of the document that are still to come
	last    byte
	keep    bool         // whether the document is kept, to be read
	kept    bytes.Buffer // its bytes
	size    int          // of the document
	current *mongoCollection
	closing bool // the block has said that it is the last of its collection
}

// mongoState is what comes next.
type mongoState uint8

const (
	mongoAtMagic  mongoState = iota
	mongoAtHead              // the document about the archive
	mongoAtNotice            // a document about a collection, or the terminator
	mongoAtBlock             // the head of a block, or the end of the archive
	mongoInBlock             // a document, or the terminator
)

func newMongoProof() *mongoProof {
	return &mongoProof{table: crc64.MakeTable(crc64.ECMA), collections: map[mongoName]*mongoCollection{}}
}

// Write looks at the next bytes of the archive.
func (p *mongoProof) Write(b []byte) (int, error) {
	n := len(b)
	for len(b) > 0 && p.err == nil {
		if p.left == 0 {
			k := copy(p.length[p.have:], b)
			p.have += k
			b = b[k:]
			if p.have == len(p.length) {
				p.have = 0
				p.err = p.begin(binary.LittleEndian.Uint32(p.length[:]))
			}
			continue
		}
		part := b[:min(p.left, len(b))]
		p.take(part)
		b = b[len(part):]
		if p.left -= len(part); p.left == 0 {
			p.err = p.whole()
		}
	}
	return n, nil
}

// begin begins what the four bytes say: the magic number, a terminator or the
// length of a document.
func (p *mongoProof) begin(word uint32) error {
	switch {
	case p.state == mongoAtMagic:
		if word != mongoMagic {
			return fmt.Errorf("%w: it does not begin as an archive of mongodump", ErrBadDump)
		}
		p.state = mongoAtHead
		return nil
	case word == mongoTerminator:
		return p.terminate()
	case p.closing:
		return fmt.Errorf("%w: there are documents behind the end of a collection", ErrBadDump)
	}
	p.keep = p.state != mongoInBlock
	limit := uint32(mongoMaxDocument)
	if p.state == mongoAtBlock || p.state == mongoAtHead {
		limit = mongoMaxHeader
	}
	if word < 5 || word > limit {
		return fmt.Errorf("%w: a document of %d bytes", ErrBadDump, word)
	}
	p.size, p.left = int(word), int(word)-len(p.length)
	p.kept.Reset()
	p.take(p.length[:])
	return nil
}

// terminate ends the head of the archive, or a block.
func (p *mongoProof) terminate() error {
	switch p.state {
	case mongoAtNotice:
	case mongoInBlock:
		if p.closing {
			p.current.ended = true
		}
	default:
		return fmt.Errorf("%w: a block without a name", ErrBadDump)
	}
	p.state, p.current, p.closing = mongoAtBlock, nil, false
	return nil
}

// take takes bytes of the document under way.
func (p *mongoProof) take(b []byte) {
	p.last = b[len(b)-1]
	if p.keep {
		p.kept.Write(b)
		return
	}
	p.current.sum = crc64.Update(p.current.sum, p.table, b)
}

// whole looks at a document that is complete.
func (p *mongoProof) whole() error {
	if p.last != 0 {
		return fmt.Errorf("%w: a document does not end as one", ErrBadDump)
	}
	if !p.keep {
		p.documents++
		return nil
	}
	fields, err := readBSON(p.kept.Bytes())
	if p.kept.Cap() > mongoMaxHeader {
		p.kept = bytes.Buffer{}
	}
	if err != nil {
		return err
	}
	switch p.state {
	case mongoAtHead:
		p.state = mongoAtNotice
		if v := fields["version"]; v.text != "0.1" {
			return fmt.Errorf("%w: an archive of the unknown version %.20q", ErrBadDump, v.text)
		}
		return nil
	case mongoAtNotice:
		c, err := p.collection(fields)
		if err != nil {
			return err
		}
		c.announced, c.series = true, fields["type"].text == "timeseries"
		return nil
	}
	return p.block(fields)
}

// block begins a block.
func (p *mongoProof) block(fields map[string]bsonValue) error {
	c, err := p.collection(fields)
	if err != nil {
		return err
	}
	name := mongoName{fields["db"].text, fields["collection"].text}
	if c.ended {
		return fmt.Errorf("%w: %s goes on behind its end", ErrBadDump, name)
	}
	c.begun = true
	p.state, p.current, p.closing = mongoInBlock, c, fields["EOF"].number != 0
	if p.closing && uint64(fields["CRC"].number) != c.sum {
		return fmt.Errorf("%w: the documents of %s are not those that mongodump has read: their checksum differs", ErrBadDump, name)
	}
	return nil
}

// collection finds the collection that a document names.
func (p *mongoProof) collection(fields map[string]bsonValue) (*mongoCollection, error) {
	name := mongoName{fields["db"].text, fields["collection"].text}
	if name.collection == "" {
		return nil, fmt.Errorf("%w: a collection has no name", ErrBadDump)
	}
	c, ok := p.collections[name]
	if !ok {
		if p.names += len(name.db) + len(name.collection) + 64; p.names > mongoMaxNames {
			return nil, fmt.Errorf("%w: it has too many collections", ErrBadDump)
		}
		c = &mongoCollection{}
		p.collections[name] = c
	}
	return c, nil
}

// Finish says whether every collection that was announced has come to its end.
func (p *mongoProof) Finish() error {
	switch {
	case p.err != nil:
		return p.err
	case p.state == mongoAtMagic && p.have == 0:
		return ErrEmptyDump
	case p.state != mongoAtBlock || p.have > 0 || p.left > 0:
		return fmt.Errorf("%w: it ends within a block", ErrCutDump)
	}
	for name, c := range p.collections {
		switch {
		case c.ended:
		case c.begun:
			return fmt.Errorf("%w: %s has no end", ErrCutDump, name)
		case c.series && p.collections[mongoName{name.db, "system.buckets." + name.collection}] != nil:
			// whose own end is looked at, too
		default:
			return fmt.Errorf("%w: %s was announced and did not come", ErrCutDump, name)
		}
	}
	return nil
}

// Summary says how much there is.
func (p *mongoProof) Summary() string {
	return fmt.Sprintf("%d collections, %d documents", len(p.collections), p.documents)
}

// bsonValue is what is read of a field: a text, or a number.
type bsonValue struct {
	text   string
	number int64
}

var errBSON = errors.New("a document about the archive cannot be read")

// readBSON reads those fields of a document that mongodump writes about the
// archive which say what it is about. All others only have to be well-formed.
func readBSON(doc []byte) (map[string]bsonValue, error) {
	bad := fmt.Errorf("%w: %w", ErrBadDump, errBSON)
	fields := map[string]bsonValue{}
	for b := doc[4:]; ; {
		kind := b[0]
		if b = b[1:]; kind == 0 {
			if len(b) > 0 {
				return nil, bad
			}
			return fields, nil
		}
		name, rest, ok := bytes.Cut(b, []byte{0})
		if !ok {
			return nil, bad
		}
		v, n := readBSONValue(kind, rest)
		if n < 0 || n >= len(rest) {
			return nil, bad // the document's own zero is still to come
		}
		b = rest[n:]
		if !slices.Contains(mongoFields[:], string(name)) {
			continue // so that what is kept does not grow with the document
		}
		if _, twice := fields[string(name)]; twice {
			return nil, bad
		}
		fields[string(name)] = v
	}
}

// mongoFields are those that are looked at.
var mongoFields = [...]string{"version", "db", "collection", "type", "EOF", "CRC"}

// readBSONValue reads a value and says how long it is; -1: it is none.
func readBSONValue(kind byte, b []byte) (v bsonValue, n int) {
	word := func() int {
		if len(b) < 4 {
			return -1
		}
		return int(int32(binary.LittleEndian.Uint32(b)))
	}
	switch kind {
	case 0x02: // text
		size := word()
		if size < 1 || size > len(b)-4 || b[4+size-1] != 0 {
			return v, -1
		}
		return bsonValue{text: string(b[4 : 4+size-1])}, 4 + size
	case 0x03, 0x04: // document, list
		size := word()
		if size < 5 || size > len(b) {
			return v, -1
		}
		return v, size
	case 0x08: // yes or no
		if len(b) < 1 {
			return v, -1
		}
		return bsonValue{number: int64(b[0])}, 1
	case 0x0a: // nothing
		return v, 0
	case 0x10:
		return bsonValue{number: int64(word())}, 4
	case 0x12:
		if len(b) < 8 {
			return v, -1
		}
		return bsonValue{number: int64(binary.LittleEndian.Uint64(b))}, 8
	case 0x01, 0x09, 0x11: // of eight bytes: number, time, time of the oplog
		return v, 8
	}
	return v, -1
}
