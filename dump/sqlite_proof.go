package dump

import (
	"encoding/binary"
	"fmt"
)

// sqliteProof holds a copy of a database against its own header. What is in its
// pages was checked where it was made, and again where it is put.
type sqliteProof struct {
	head [sqliteHead]byte
	size int64
}

// sqliteHead is the size of the header.
const sqliteHead = 100

func (p *sqliteProof) Write(b []byte) (int, error) {
	if p.size < sqliteHead {
		copy(p.head[p.size:], b)
	}
	p.size += int64(len(b))
	return len(b), nil
}

// Finish says whether the file has as many pages as its header says.
func (p *sqliteProof) Finish() error {
	switch {
	case p.size == 0:
		return ErrEmptyDump
	case p.size < sqliteHead:
		return fmt.Errorf("%w: it has %d bytes", ErrCutDump, p.size)
	case string(p.head[:16]) != "SQLite format 3\x00":
		return fmt.Errorf("%w: it is no SQLite database", ErrBadDump)
	}
	page, pages := p.pages()
	switch {
	case page < 512 || page&(page-1) != 0:
		return fmt.Errorf("%w: its pages have %d bytes", ErrBadDump, page)
	case p.size < page*pages:
		return fmt.Errorf("%w: it has %d bytes, and says that it has %d pages of %d", ErrCutDump, p.size, pages, page)
	case p.size > page*pages:
		return fmt.Errorf("%w: it has %d bytes, and says that it has %d pages of %d", ErrBadDump, p.size, pages, page)
	}
	return nil
}

// pages are the size and the number of the pages, as the header says.
func (p *sqliteProof) pages() (size, n int64) {
	size = int64(binary.BigEndian.Uint16(p.head[16:]))
	if size == 1 {
		size = 64 << 10
	}
	return size, int64(binary.BigEndian.Uint32(p.head[28:]))
}

func (p *sqliteProof) Summary() string {
	size, n := p.pages()
	return fmt.Sprintf("a SQLite database of %d pages of %d bytes", n, size)
}
