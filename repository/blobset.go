package repository

import (
	"fmt"
	"math/bits"
)

// BlobSet is a set of blobs of one repository: a bit for each that its index
// knows. It holds until the index is loaded anew.
type BlobSet struct {
	index *index
	blobs bitset // by the number of the first entry
}

// NewBlobSet returns an empty set.
func (r *Repository) NewBlobSet() *BlobSet { return &BlobSet{index: r.index} }

// Add adds a blob, and says whether it is new to the set. A blob that no index
// names is ErrNoBlob.
func (s *BlobSet) Add(h BlobHandle) (bool, error) {
	n, _, ok := s.index.first(h)
	if !ok {
		return false, fmt.Errorf("%s: %w", h, ErrNoBlob)
	}
	s.blobs.reach(int(n) + 1)
	return s.blobs.mark(n), nil
}

// Union adds all that another set of the same repository has.
func (s *BlobSet) Union(o *BlobSet) {
	s.blobs.reach(64 * len(o.blobs))
	for i, w := range o.blobs {
		s.blobs[i] |= w
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
	for i, w := range s.blobs {
		for ; w != 0; w &= w - 1 {
			b := s.index.entry(uint32(i*64 + bits.TrailingZeros64(w))).packed()
			t.Blobs++
			t.Stored += uint64(b.length)
			t.Plain += uint64(b.size())
		}
	}
	return t
}
