package dump

import (
	"encoding/binary"
	"fmt"
	"math"
)

// rdbWalk goes through the keys of an RDB file as it streams by and counts
// them. It knows how long every value is and looks into none. What it does not
// know, such as a kind of value of a newer server, it is lost at, and says so.
//
// It is a machine with a stack of programs: each is a list of operations, done
// so many times. An operation takes at least one byte, so that no length that
// a hostile file claims makes it run without end, and nothing is allocated by
// one.
type rdbWalk struct {
	valkey   bool
	keys     int64
	expiring int64 // of the keys, those that expire
	complete bool  // the end and its trailer were seen
	lost     string

	programs *rdbPrograms
	stack    []rdbFrame
	skip     uint64 // bytes to pass over
	want     int    // bytes to gather
	buf      []byte
	then     func(*rdbWalk, []byte) // once they are there
	do       func(*rdbWalk, uint64) // with the number that is being read
	inText   bool                   // the number is the length of a string
	expires  bool                   // the next key does
	high     uint64                 // the upper bits of the number that is being read
	stored   uint64                 // bytes of a compressed string
}

// rdbFrame is a program under way.
type rdbFrame struct {
	ops  []rdbOp
	pc   int
	left uint64 // how many times more, this one included
}

type rdbOp struct {
	kind rdbKind
	n    uint64                 // of rdbSkip
	do   func(*rdbWalk, uint64) // with the number that was read, if any
}

type rdbKind uint8

const (
	rdbNumber rdbKind = iota // a length, in one to nine bytes
	rdbByte
	rdbText
	rdbSkip
)

// rdbDeep bounds the stack; no value needs half of it.
const rdbDeep = 16

func newRDBWalk() *rdbWalk {
	w := &rdbWalk{programs: newRDBPrograms(), buf: make([]byte, 0, 8), stack: make([]rdbFrame, 0, rdbDeep)}
	w.push(w.programs.top, math.MaxUint64)
	return w
}

func (w *rdbWalk) lose(format string, args ...any) {
	if w.lost == "" {
		w.lost = fmt.Sprintf(format, args...)
	}
}

// write takes what follows the head.
func (w *rdbWalk) write(b []byte) {
	for w.lost == "" {
		switch {
		case w.complete:
			if len(b) > 0 {
				w.lose("it goes on after its end")
			}
			return
		case w.skip > 0:
			if len(b) == 0 {
				return
			}
			n := min(w.skip, uint64(len(b)))
			w.skip -= n
			b = b[n:]
		case len(w.buf) < w.want:
			if len(b) == 0 {
				return
			}
			n := min(w.want-len(w.buf), len(b))
			w.buf = append(w.buf, b[:n]...)
			b = b[n:]
		case w.then != nil:
			then := w.then
			w.then, w.want = nil, 0
			then(w, w.buf)
		default:
			w.next()
		}
	}
}

// gather has then called with the next n bytes, of which it keeps none.
func (w *rdbWalk) gather(n int, then func(*rdbWalk, []byte)) {
	w.want, w.buf, w.then = n, w.buf[:0], then
}

// push has a program done so many times before the current one goes on.
func (w *rdbWalk) push(ops []rdbOp, times uint64) {
	switch {
	case times == 0:
	case len(w.stack) == rdbDeep:
		w.lose("values are nested too deep")
	default:
		w.stack = append(w.stack, rdbFrame{ops: ops, left: times})
	}
}

func (w *rdbWalk) pop() { w.stack = w.stack[:len(w.stack)-1] }

// next begins the next operation.
func (w *rdbWalk) next() {
	f := &w.stack[len(w.stack)-1]
	if f.pc == len(f.ops) {
		f.pc = 0
		if f.left--; f.left == 0 {
			w.pop()
		}
		return
	}
	op := f.ops[f.pc]
	f.pc++
	w.do = op.do
	switch op.kind {
	case rdbSkip:
		w.skip = op.n
	case rdbByte:
		w.gather(1, func(w *rdbWalk, b []byte) { w.number(uint64(b[0])) })
	case rdbText:
		w.inText = true
		w.gather(1, (*rdbWalk).lengthByte)
	case rdbNumber:
		w.inText = false
		w.gather(1, (*rdbWalk).lengthByte)
	}
}

func (w *rdbWalk) number(v uint64) {
	if w.inText {
		w.inText = false
		w.skip = v
		return
	}
	if w.do != nil {
		w.do(w, v)
	}
}

// lengthByte reads the first byte of a length: its two upper bits say how long
// it is, or that a string is written in another way.
func (w *rdbWalk) lengthByte(b []byte) {
	c := b[0]
	switch {
	case c>>6 == 0:
		w.number(uint64(c))
	case c>>6 == 1:
		w.high = uint64(c&0x3f) << 8
		w.gather(1, func(w *rdbWalk, b []byte) { w.number(w.high | uint64(b[0])) })
	case c == 0x80:
		w.gather(4, func(w *rdbWalk, b []byte) { w.number(uint64(binary.BigEndian.Uint32(b))) })
	case c == 0x81:
		w.gather(8, func(w *rdbWalk, b []byte) { w.number(binary.BigEndian.Uint64(b)) })
	case c>>6 == 3 && w.inText:
		w.inText = false
		w.otherText(c & 0x3f)
	default:
		w.lose("a length that begins with %#x", c)
	}
}

// otherText passes over a string that is written as an integer or compressed.
func (w *rdbWalk) otherText(kind byte) {
	switch kind {
	case 0, 1, 2:
		w.skip = 1 << kind
	case 3:
		w.push(w.programs.compressed, 1)
	default:
		w.lose("a string of kind %d", kind)
	}
}

// key counts a key and goes on with its name and value.
func (w *rdbWalk) key(kind uint64) {
	value := w.programs.value(kind, w.valkey)
	if value == nil {
		w.lose("a value of kind %d", kind)
		return
	}
	w.keys++
	if w.expires {
		w.expiring++
		w.expires = false
	}
	w.push(value, 1)
	w.push(w.programs.text, 1)
}

// opcode is what stands between keys, or the kind of the next one.
func (w *rdbWalk) opcode(v uint64) {
	p := w.programs
	switch v {
	case rdbEnd:
		w.gather(rdbTrailer, func(w *rdbWalk, _ []byte) { w.complete = true })
	case 254: // another database
		w.push(p.number, 1)
	case 253: // expires, in seconds
		w.expires, w.skip = true, 4
	case 252: // expires, in milliseconds
		w.expires, w.skip = true, 8
	case 251: // how many keys are to come
		w.push(p.number, 2)
	case 250: // a note
		w.push(p.text, 2)
	case 249: // how often the next key was used
		w.skip = 1
	case 248: // when it was used last
		w.push(p.number, 1)
	case 247: // a module's own
		w.push(p.module, 1)
	case 245: // a library of functions
		w.push(p.text, 1)
	case 244: // a slot of a cluster
		w.push(p.number, 3)
	default:
		w.key(v)
	}
}

// modulePart is what a module's value goes on with.
func (w *rdbWalk) modulePart(v uint64) {
	switch v {
	case 0:
		w.pop()
	case 1, 2:
		w.push(w.programs.number, 1)
	case 3:
		w.skip = 4
	case 4:
		w.skip = 8
	case 5:
		w.push(w.programs.text, 1)
	default:
		w.lose("a part %d of a module's value", v)
	}
}
