package storage

import (
	"bytes"
	"sort"
)

// nameSet remembers the names of a listing. Listings come in order nearly
// always, so they are kept as a sorted list at 32 bytes each; what comes out
// of order goes into a map.
type nameSet struct {
	sorted [][32]byte
	others map[[32]byte]struct{}
}

// add is false for a name that was added before.
func (s *nameSet) add(name string) bool {
	n := id(name)
	last := len(s.sorted) - 1
	if last < 0 || bytes.Compare(s.sorted[last][:], n[:]) < 0 {
		if _, ok := s.others[n]; ok {
			return false
		}
		s.sorted = append(s.sorted, n)
		return true
	}
	i := sort.Search(len(s.sorted), func(i int) bool { return bytes.Compare(s.sorted[i][:], n[:]) >= 0 })
	if s.sorted[i] == n {
		return false
	}
	if _, ok := s.others[n]; ok {
		return false
	}
	if s.others == nil {
		s.others = make(map[[32]byte]struct{})
	}
	s.others[n] = struct{}{}
	return true
}
