package dump

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"hash/fnv"
)

// A snapshot is the database file of a member, a bolt database whose first two
// pages each say how many pages it has, and after it the SHA-256 of that file.
const (
	boltMagic   = 0xED0CDAED
	boltMeta    = 16 // where the description begins in its page
	boltSummed  = 56 // bytes of it before their sum
	boltMinPage = 512
	boltMaxPage = 64 << 10
)

// etcdProof judges a snapshot as it streams by. What proves it is the sum at
// its end. Memory is bounded by the size of a page.
type etcdProof struct {
	size int64
	head []byte // the first two descriptions
	sum  hash.Hash
	held []byte // the last bytes, which may be the sum
}

func newEtcdProof() *etcdProof { return &etcdProof{sum: sha256.New()} }

func (p *etcdProof) Write(b []byte) (int, error) {
	n := len(b)
	p.size += int64(n)
	if room := boltMaxPage + boltMeta + boltSummed + 8 - len(p.head); room > 0 {
		p.head = append(p.head, b[:min(room, n)]...)
	}
	over := len(p.held) + n - sha256.Size
	if over <= 0 {
		p.held = append(p.held, b...)
		return n, nil
	}
	first := min(over, len(p.held))
	p.sum.Write(p.held[:first]) // a hash takes all
	p.sum.Write(b[:over-first])
	p.held = append(p.held[:copy(p.held, p.held[first:])], b[over-first:]...)
	return n, nil
}

func (p *etcdProof) Finish() error {
	if p.size == 0 {
		return ErrEmptyDump
	}
	page, pages, ok := p.pages()
	switch {
	case !ok && p.size < boltMeta+boltSummed+8:
		return fmt.Errorf("%w: of %d bytes", ErrCutDump, p.size)
	case !ok:
		return fmt.Errorf("%w: it does not begin as a database of etcd", ErrBadDump)
	case p.size < 2*page+sha256.Size || pages > uint64((p.size-sha256.Size)/page):
		return fmt.Errorf("%w: it has %d bytes, and says that it has %d pages of %d", ErrCutDump, p.size, pages, page)
	case (p.size-sha256.Size)%page != 0:
		return fmt.Errorf("%w: after %d bytes there is no end of a page", ErrCutDump, p.size)
	case !bytes.Equal(p.sum.Sum(nil), p.held):
		return fmt.Errorf("%w: the SHA-256 at its end is that of something else", ErrBadDump)
	}
	return nil
}

// pages is the size of a page and how many of them there are, as the newer
// description says whose sum is right.
func (p *etcdProof) pages() (page int64, pages uint64, ok bool) {
	var newest uint64
	read := func(at int64) {
		if at+boltMeta+boltSummed+8 > int64(len(p.head)) {
			return
		}
		m := p.head[at+boltMeta:]
		sum := fnv.New64a()
		sum.Write(m[:boltSummed]) // a hash takes all
		size, count, id := binary.LittleEndian.Uint32(m[8:]), binary.LittleEndian.Uint64(m[40:]), binary.LittleEndian.Uint64(m[48:])
		right := binary.LittleEndian.Uint32(m) == boltMagic && binary.LittleEndian.Uint64(m[boltSummed:]) == sum.Sum64()
		if right && size >= boltMinPage && size <= boltMaxPage && size&(size-1) == 0 && (!ok || id > newest) {
			page, pages, newest, ok = int64(size), count, id, true
		}
	}
	read(0)
	if ok {
		read(page)
		return page, pages, ok
	}
	for at := int64(boltMinPage); at <= boltMaxPage && !ok; at *= 2 {
		read(at)
	}
	return page, pages, ok
}

// Summary says how large it is.
func (p *etcdProof) Summary() string { return fmt.Sprintf("an etcd snapshot of %d bytes", p.size) }
