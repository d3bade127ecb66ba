package dump

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
)

// archiveProof judges PostgreSQL's custom archive format as it streams by.
//
// The format, as it can be observed: a header, a table of contents of a known
// number of entries, then one block for each entry that announced data. A
// block is its kind, the entry's number, and chunks, each with its length in
// front; a length of zero ends the block. Large objects of one entry share a
// block and have their OID in front, an OID of zero being the end. There is no
// end record: that the archive is whole is known from the table of contents
// alone, so what counts is that every entry that announced data had its block
// begin and end, and that nothing is open or left over.
//
// Integers are a sign byte and a magnitude, little-endian; strings have their
// length in front, a negative one being NULL.
//
// Memory is a few bytes for each entry with data, and bounded.
type archiveProof struct {
	database string // expected in the header; empty: any
	err      error
	size     int64  // bytes seen
	head     []byte // their beginning, for the message where it is something else

	// The reader: skip bytes, then gather want bytes, then perform the
	// operation at pc of the program.
	program []archiveOp
	pc      int
	inText  bool // the length of a string is read, its bytes are being gathered
	skip    int64
	want    int
	buf     []byte
	number  int64  // the last integer
	text    []byte // the last string, its beginning
	null    bool   // the last string was NULL

	minor      byte
	intSize    int
	offsetSize int
	server     string
	client     string

	toc     int64 // entries still to come
	entryID int64
	hasData bool
	blobs   bool
	inData  bool // the table of contents is read
	atBlock bool // between two blocks: the only place where an archive may end

	lacking *lackingData // judges tables without data; nil: nobody asked

	announced []announcedData // sorted by id once the table of contents is read
	done      int
	block     *announcedData
	objects   int64
}

// announcedData is an entry of the table of contents that has a block.
type announcedData struct {
	id    uint32
	blobs bool
	done  bool
}

type archiveOp struct {
	kind archiveKind
	do   func(*archiveProof) error // after the value is read; may change pc
}

type archiveKind uint8

const (
	readByte archiveKind = iota
	readInt
	readText
	readOffset
)

const (
	archiveMagic    = "PGDMP"
	archiveStart    = len(archiveMagic) + 6 // version (3), sizes of integers and offsets, format
	archiveCustom   = 1
	archiveMinMinor = 12 // PostgreSQL 9.0
	archiveMaxMinor = 16 // PostgreSQL 17 and 18
	blockData       = 1
	blockBlobs      = 3
	offsetNotSet    = 1 // has data, somewhere behind
	offsetSet       = 2 // has data, at this place
	offsetNoData    = 3
	maxText         = 256
	maxDefinition   = 64 << 10
	maxHead         = 160
	maxAnnounced    = 4 << 20 // tables with data in one database
)

func newArchiveProof(database string) *archiveProof {
	return &archiveProof{database: database, want: archiveStart}
}

// Write takes the next bytes. What is wrong is for Finish to say.
func (p *archiveProof) Write(b []byte) (int, error) {
	n := len(b)
	p.size += int64(n)
	if room := maxHead - len(p.head); room > 0 {
		p.head = append(p.head, b[:min(room, n)]...)
	}
	for len(b) > 0 && p.err == nil {
		if p.skip > 0 {
			k := min(p.skip, int64(len(b)))
			p.skip -= k
			b = b[k:]
			continue
		}
		k := min(p.want-len(p.buf), len(b))
		p.buf = append(p.buf, b[:k]...)
		b = b[k:]
		p.advance()
	}
	return n, nil
}

// advance performs the current operation once the bytes for it are there.
func (p *archiveProof) advance() {
	if len(p.buf) < p.want {
		return
	}
	if p.program == nil {
		p.err = p.start(p.buf)
	} else {
		p.err = p.perform(p.program[p.pc])
	}
	if p.err != nil {
		return
	}
	p.buf = p.buf[:0]
	if !p.inText {
		p.want = p.widthOf(p.program[p.pc].kind)
	}
}

func (p *archiveProof) widthOf(kind archiveKind) int {
	switch kind {
	case readByte:
		return 1
	case readOffset:
		return 1 + p.offsetSize
	default:
		return 1 + p.intSize
	}
}

// perform takes the gathered bytes as the value of an operation. A string
// comes in two goes: its length, then its bytes.
func (p *archiveProof) perform(op archiveOp) error {
	switch {
	case p.inText:
		p.inText = false
		p.text = append(p.text[:0], p.buf...)
	case op.kind == readByte || op.kind == readOffset:
		p.number = int64(p.buf[0])
	default:
		n, err := p.integer(p.buf)
		if err != nil {
			return err
		}
		p.number = n
		if op.kind == readText {
			if n < -1 {
				return fmt.Errorf("%w: a string of %d bytes at byte %d", ErrBadDump, n, p.size)
			}
			p.text, p.null = p.text[:0], n < 0
			if n > 0 {
				p.inText, p.want = true, int(min(n, p.textLimit()))
				return nil
			}
		}
	}
	if limit := p.textLimit(); op.kind == readText && p.number > limit {
		p.skip = p.number - limit
	}
	p.pc++
	if op.do == nil {
		return nil
	}
	return op.do(p)
}

// textLimit is how much of a string is kept: where tables may lack their data,
// enough to see definitions.
func (p *archiveProof) textLimit() int64 {
	if p.lacking != nil && (p.lacking.table || p.lacking.reference) {
		return maxDefinition
	}
	return maxText
}

func (p *archiveProof) integer(b []byte) (int64, error) {
	var n uint64
	for i := len(b) - 1; i > 0; i-- {
		n = n<<8 | uint64(b[i])
	}
	if n > 1<<62 || b[0] > 1 {
		return 0, fmt.Errorf("%w: an impossible number before byte %d", ErrBadDump, p.size)
	}
	if b[0] == 1 {
		return -int64(n), nil
	}
	return int64(n), nil
}

// start reads what the sizes of everything else depend on.
func (p *archiveProof) start(b []byte) error {
	if !bytes.HasPrefix(b, []byte(archiveMagic)) {
		return errForeign
	}
	major, minor := b[5], b[6]
	if major != 1 || minor < archiveMinMinor || minor > archiveMaxMinor {
		return fmt.Errorf("%w: archive format %d.%d; 1.%d to 1.%d are known", ErrBadDump, major, minor, archiveMinMinor, archiveMaxMinor)
	}
	p.minor, p.intSize, p.offsetSize = minor, int(b[8]), int(b[9])
	if p.intSize != 4 && p.intSize != 8 || p.offsetSize != 4 && p.offsetSize != 8 {
		return fmt.Errorf("%w: integers of %d and offsets of %d bytes", ErrBadDump, b[8], b[9])
	}
	if b[10] != archiveCustom {
		return fmt.Errorf("%w: not the custom format but number %d", ErrBadDump, b[10])
	}
	p.program, p.pc = headerProgram(minor), 0
	return nil
}

// errForeign says that the beginning is not that of an archive.
var errForeign = errors.New("not an archive")

func (p *archiveProof) foreign() error {
	return fmt.Errorf("%w: not an archive by pg_dump; it begins with %s", ErrBadDump, excerpt(p.head))
}

// Finish says whether the archive was whole.
func (p *archiveProof) Finish() error {
	switch {
	case errors.Is(p.err, errForeign):
		return p.foreign()
	case p.err != nil:
		return p.err
	case p.size == 0:
		return ErrEmptyDump
	case p.program == nil:
		if n := min(len(p.head), len(archiveMagic)); string(p.head[:n]) == archiveMagic[:n] {
			return fmt.Errorf("%w: it ends after %d bytes, in its header", ErrCutDump, p.size)
		}
		return p.foreign()
	case !p.inData:
		return fmt.Errorf("%w: it ends after %d bytes, in its table of contents", ErrCutDump, p.size)
	case !p.atBlock || p.skip > 0 || len(p.buf) > 0:
		return fmt.Errorf("%w: it ends after %d bytes, in the middle of a table; %d of %d have their data", ErrCutDump, p.size, p.done, len(p.announced))
	case p.done < len(p.announced):
		return fmt.Errorf("%w: it ends after %d bytes, between two tables; %d of %d have their data", ErrCutDump, p.size, p.done, len(p.announced))
	}
	return p.lacking.finish()
}

// Summary says what the archive is.
func (p *archiveProof) Summary() string {
	return fmt.Sprintf("pg_dump %s of PostgreSQL %s, archive 1.%d: data of %d tables, %d large objects", p.client, p.server, p.minor, p.done, p.objects)
}

// Counts says how many tables, and the like, have data.
func (p *archiveProof) Counts() map[string]int64 {
	return map[string]int64{"tables": int64(p.done), "large_objects": p.objects}
}

// sortAnnounced makes the entries with data fit for look-up.
func (p *archiveProof) sortAnnounced() error {
	slices.SortFunc(p.announced, func(a, b announcedData) int { return cmp.Compare(a.id, b.id) })
	for i := 1; i < len(p.announced); i++ {
		if p.announced[i].id == p.announced[i-1].id {
			return fmt.Errorf("%w: entry %d stands twice in the table of contents", ErrBadDump, p.announced[i].id)
		}
	}
	return nil
}
