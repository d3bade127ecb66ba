package repository

import (
	"encoding/binary"
	"slices"
	"sync"
)

// index knows where every blob lies. It keeps 48 bytes an entry in blocks that
// are never moved, and a hash table of four bytes a slot, at most three
// quarters full: between 53 and 59 bytes a blob, packs apart.
//
// A blob may have several places; each is an entry.
type index struct {
	mu      sync.RWMutex
	blocks  [][]indexEntry
	count   int
	slots   slotTable
	packs   []ID
	packTab slotTable
}

// indexEntry is the place of a blob. The top bit of length is its type.
type indexEntry struct {
	id     ID
	pack   uint32 // position in index.packs
	offset uint32
	length uint32
	plain  uint32
}

const (
	indexBlock = 4096
	treeBit    = 1 << 31
)

func (e *indexEntry) blobType() BlobType { return BlobType(e.length >> 31) }

func (e *indexEntry) packed() packedBlob {
	return packedBlob{
		BlobHandle: BlobHandle{Type: e.blobType(), ID: e.id},
		offset:     e.offset, length: e.length &^ treeBit, plain: e.plain,
	}
}

// blobPlace is one place of a blob.
type blobPlace struct {
	packedBlob
	pack ID
}

func newIndex() *index { return &index{} }

func (x *index) entry(n uint32) *indexEntry {
	return &x.blocks[n/indexBlock][n%indexBlock]
}

// find calls fn for each entry of a blob until it returns false.
func (x *index) find(h BlobHandle, fn func(*indexEntry) bool) {
	x.findNumber(h, func(_ uint32, e *indexEntry) bool { return fn(e) })
}

// findNumber is find for those who need the entry's number too.
func (x *index) findNumber(h BlobHandle, fn func(uint32, *indexEntry) bool) {
	for slot := x.slots.start(h.ID); ; slot = x.slots.next(slot) {
		n, ok := x.slots.at(slot)
		if !ok {
			return
		}
		e := x.entry(n)
		if e.id == h.ID && e.blobType() == h.Type && !fn(n, e) {
			return
		}
	}
}

// has says whether a blob is known.
func (x *index) has(h BlobHandle) bool {
	_, ok := x.size(h)
	return ok
}

// size returns the plain size of a blob.
func (x *index) size(h BlobHandle) (size uint32, ok bool) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	x.find(h, func(e *indexEntry) bool {
		b := e.packed()
		size, ok = b.size(), true
		return false
	})
	return size, ok
}

// place returns the first place of a blob.
func (x *index) place(h BlobHandle) (p blobPlace, ok bool) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	x.find(h, func(e *indexEntry) bool {
		p, ok = blobPlace{packedBlob: e.packed(), pack: x.packs[e.pack]}, true
		return false
	})
	return p, ok
}

// places returns all places of a blob.
func (x *index) places(h BlobHandle) (out []blobPlace) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	x.find(h, func(e *indexEntry) bool {
		out = append(out, blobPlace{packedBlob: e.packed(), pack: x.packs[e.pack]})
		return true
	})
	return out
}

// add takes packs in. What is there already is not taken twice.
func (x *index) add(packs []indexedPack) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for i := range packs {
		n, known := x.addPack(packs[i].id)
		for j := range packs[i].blobs {
			x.addBlob(&packs[i].blobs[j], n, known)
		}
	}
}

func (x *index) addPack(id ID) (n uint32, known bool) {
	if n, known = x.findPack(id); known {
		return n, true
	}
	n = uint32(len(x.packs))
	x.packs = append(x.packs, id)
	x.packTab.insert(n, id, func(n uint32) ID { return x.packs[n] })
	return n, false
}

func (x *index) addBlob(b *packedBlob, pack uint32, packKnown bool) {
	length := b.length
	if b.Type == TreeBlob {
		length |= treeBit
	}
	e := indexEntry{id: b.ID, pack: pack, offset: b.offset, length: length, plain: b.plain}
	if packKnown {
		twice := false
		x.find(b.BlobHandle, func(old *indexEntry) bool {
			twice = *old == e
			return !twice
		})
		if twice {
			return
		}
	}
	n := uint32(x.count)
	if x.count%indexBlock == 0 {
		x.blocks = append(x.blocks, make([]indexEntry, indexBlock))
	}
	x.count++
	*x.entry(n) = e
	x.slots.insert(n, b.ID, func(n uint32) ID { return x.entry(n).id })
}

// reset forgets everything.
func (x *index) reset() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.blocks, x.count, x.packs = nil, 0, nil
	x.slots, x.packTab = slotTable{}, slotTable{}
}

// hasPack says whether an index file names the pack.
func (x *index) hasPack(id ID) bool {
	_, ok := x.packNumber(id)
	return ok
}

// packNumber returns the position of a pack.
func (x *index) packNumber(id ID) (uint32, bool) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.findPack(id)
}

func (x *index) findPack(id ID) (uint32, bool) {
	for slot := x.packTab.start(id); ; slot = x.packTab.next(slot) {
		n, ok := x.packTab.at(slot)
		if !ok || x.packs[n] == id {
			return n, ok
		}
	}
}

// packCount returns the number of packs.
func (x *index) packCount() int {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return len(x.packs)
}

// packID returns the ID of the pack at a position.
func (x *index) packID(n uint32) ID {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.packs[n]
}

// byPack sorts the entries of the first count packs by pack, at four bytes an
// entry, and returns a function that lists the blobs of one by offset.
func (x *index) byPack(count int) func(pack int) []packedBlob {
	x.mu.RLock()
	defer x.mu.RUnlock()
	starts := make([]uint32, count+1)
	for n := range uint32(x.count) {
		if p := int(x.entry(n).pack); p < count {
			starts[p+1]++
		}
	}
	for p := range count {
		starts[p+1] += starts[p]
	}
	order := make([]uint32, starts[count])
	next := slices.Clone(starts[:count])
	for n := range uint32(x.count) {
		if p := int(x.entry(n).pack); p < count {
			order[next[p]] = n
			next[p]++
		}
	}
	return func(pack int) []packedBlob {
		x.mu.RLock()
		defer x.mu.RUnlock()
		blobs := make([]packedBlob, 0, starts[pack+1]-starts[pack])
		for _, n := range order[starts[pack]:starts[pack+1]] {
			blobs = append(blobs, x.entry(n).packed())
		}
		slices.SortFunc(blobs, byOffset)
		return blobs
	}
}

// each calls fn for every entry, in order of insertion.
func (x *index) each(fn func(e *indexEntry)) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	for n := range uint32(x.count) {
		fn(x.entry(n))
	}
}

// slotTable is an open-addressing hash table of numbers whose IDs lie
// elsewhere. IDs are hashes themselves, so eight of their bytes are the key.
type slotTable struct {
	slots []uint32 // number+1, 0 is free
	used  int
}

func (t *slotTable) start(id ID) int {
	if len(t.slots) == 0 {
		return 0
	}
	return int(binary.LittleEndian.Uint64(id[:8]) % uint64(len(t.slots)))
}

func (t *slotTable) next(slot int) int {
	if slot++; slot == len(t.slots) {
		return 0
	}
	return slot
}

func (t *slotTable) at(slot int) (uint32, bool) {
	if len(t.slots) == 0 || t.slots[slot] == 0 {
		return 0, false
	}
	return t.slots[slot] - 1, true
}

// insert adds number n with its ID; idOf finds the IDs of those before.
func (t *slotTable) insert(n uint32, id ID, idOf func(uint32) ID) {
	if 4*(t.used+1) > 3*len(t.slots) {
		t.grow(idOf)
	}
	t.used++
	t.set(n, id)
}

func (t *slotTable) set(n uint32, id ID) {
	slot := t.start(id)
	for t.slots[slot] != 0 {
		slot = t.next(slot)
	}
	t.slots[slot] = n + 1
}

// grow makes room for half as much again.
func (t *slotTable) grow(idOf func(uint32) ID) {
	old := t.slots
	t.slots = make([]uint32, max(64, len(old)+len(old)/2))
	for _, v := range old {
		if v != 0 {
			t.set(v-1, idOf(v-1))
		}
	}
}

// first returns a blob's first entry, and its number.
func (x *index) first(h BlobHandle) (number uint32, b packedBlob, ok bool) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	x.findNumber(h, func(n uint32, e *indexEntry) bool {
		number, b, ok = n, e.packed(), true
		return false
	})
	return number, b, ok
}
