package repository

import (
	"fmt"
	"math/bits"
)

// BlobSet is a set of blobs of one repository: a bit for each that its index
// knows. It holds until the index is loaded anew.
type BlobSet struct {
	index *index
	words []uint64
}

// NewBlobSet returns an empty set.
func (r *Repository) NewBlobSet() *BlobSet { return &BlobSet{index: r.index} }

// Add adds a blob, and says whether it is new to the set. A blob that no index
// names is ErrNoBlob.
func (s *BlobSet) Add(h BlobHandle) (bool, error) {
	n, ok := s.index.number(h)
	if !ok {
		return false, fmt.Errorf("%s: %w", h, ErrNoBlob)
	}
	word, bit := int(n/64), uint64(1)<<(n%64)
	for len(s.words) <= word {
		s.words = append(s.words, 0)
	}
	added := s.words[word]&bit == 0
	s.words[word] |= bit
	return added, nil
}

// Union adds all that another set of the same repository has.
func (s *BlobSet) Union(o *BlobSet) {
	for len(s.words) < len(o.words) {
		s.words = append(s.words, 0)
	}
	for i, w := range o.words {
		s.words[i] |= w
	}
}

// BlobTotals are sums over blobs, in bytes.
type BlobTotals struct {
	Blobs  uint64
	Stored uint64 // as they lie in packs: compressed and sealed
	Plain  uint64
}

// Totals sums up the set.
func (s *BlobSet) Totals() BlobTotals {
	s.index.mu.RLock()
	defer s.index.mu.RUnlock()
	var t BlobTotals
	for i, w := range s.words {
		for ; w != 0; w &= w - 1 {
			b := s.index.entry(uint32(i*64 + bits.TrailingZeros64(w))).packed()
			t.Blobs++
			t.Stored += uint64(b.length)
			t.Plain += uint64(b.size())
		}
	}
	return t
}

// number is the number of a blob's first entry.
func (x *index) number(h BlobHandle) (uint32, bool) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	for slot := x.slots.start(h.ID); ; slot = x.slots.next(slot) {
		n, ok := x.slots.at(slot)
		if !ok {
			return 0, false
		}
		if e := x.entry(n); e.id == h.ID && e.blobType() == h.Type {
			return n, true
		}
	}
}
