package repository

import (
	"sync"
	"sync/atomic"
)

// bufferPool keeps buffers for use again: memory that is touched for the first
// time is slow, and a garbage collector would have to find megabytes of dead
// chunks every few milliseconds. Buffers come in a few sizes.
type bufferPool struct {
	mu   sync.Mutex
	free [len(bufferClasses)][]*buffer
	kept int // bytes in free
}

// Capacities of buffers: small files; small directories; pages and dumps;
// chunks most often, less often, and seldom; packs; the largest chunks, with
// what zstd and sealing may add.
const (
	smallBuffer = 16 << 10
	treeBuffer  = 64 << 10
	pageBuffer  = 512 << 10
	chunkBuffer = 1 << 20
)

var bufferClasses = [...]int{smallBuffer, treeBuffer, pageBuffer, chunkBuffer, 2 << 20, 4 << 20, packCapacity, 8<<20 + 128<<10}

// keepBytes bounds what a pool keeps for later, all classes together.
const keepBytes = packCapacity

// buffer is a piece of memory that several jobs may hold.
type buffer struct {
	data []byte // len is what is used
	refs atomic.Int32
}

func newBufferPool() *bufferPool { return &bufferPool{} }

// classFor returns the smallest class that holds size bytes, -1 for none.
func classFor(size int) int {
	for i, c := range bufferClasses {
		if size <= c {
			return i
		}
	}
	return -1
}

// get returns an empty buffer with room for size bytes and one reference.
func (p *bufferPool) get(size int) *buffer {
	class := classFor(size)
	if class < 0 {
		return freshBuffer(size)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	n := len(p.free[class])
	if n == 0 {
		return freshBuffer(bufferClasses[class])
	}
	b := p.free[class][n-1]
	p.free[class] = p.free[class][:n-1]
	p.kept -= bufferClasses[class]
	b.data = b.data[:0]
	b.refs.Store(1)
	return b
}

func freshBuffer(size int) *buffer {
	b := &buffer{data: make([]byte, 0, size)}
	b.refs.Store(1)
	return b
}

// put drops one reference; the last gives the memory back. What outgrew every
// class is left to the garbage collector.
func (p *bufferPool) put(b *buffer) {
	if b == nil || b.refs.Add(-1) != 0 {
		return
	}
	class := len(bufferClasses) - 1
	if cap(b.data) > bufferClasses[class] {
		return
	}
	for bufferClasses[class] > cap(b.data) {
		if class--; class < 0 {
			return
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.kept+bufferClasses[class] <= keepBytes {
		p.free[class] = append(p.free[class], b)
		p.kept += bufferClasses[class]
	}
}

// roomy returns b emptied, or in its place a buffer with room for size bytes;
// after a large one a usual one, for large ones are seldom.
func (p *bufferPool) roomy(b *buffer, size int) *buffer {
	b.data = b.data[:0]
	if need := max(size, pageBuffer); cap(b.data) < need || cap(b.data) > 4*chunkBuffer && need <= chunkBuffer {
		p.put(b)
		return p.get(need)
	}
	return b
}

// drop forgets the buffers that are not in use.
func (p *bufferPool) drop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.free, p.kept = [len(bufferClasses)][]*buffer{}, 0
}
