package repository

// bitset is a set of numbers below a bound, at a bit each.
type bitset []uint64

func newBitset(n int) bitset { return make(bitset, (n+63)/64) }

func (b bitset) has(n uint32) bool { return b[n/64]&(1<<(n%64)) != 0 }
func (b bitset) set(n uint32)      { b[n/64] |= 1 << (n % 64) }

// mark adds a number and says whether it is new.
func (b bitset) mark(n uint32) bool {
	fresh := !b.has(n)
	b.set(n)
	return fresh
}

// reach raises the bound to n where it is lower.
func (b *bitset) reach(n int) {
	for len(*b) < (n+63)/64 {
		*b = append(*b, 0)
	}
}
