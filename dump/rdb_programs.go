package dump

import "math"

// rdbPrograms say what the values of each kind consist of.
type rdbPrograms struct {
	top, text, number, compressed, module []rdbOp

	list, set, zset, hash, zset2, quicklist, streams, streams2, streams3 []rdbOp
	hashExpiring, hashExpiringPacked, hashExpiringValkey                 []rdbOp
}

func newRDBPrograms() *rdbPrograms {
	text, number := rdbOp{kind: rdbText}, rdbOp{kind: rdbNumber}
	skip := func(n uint64) rdbOp { return rdbOp{kind: rdbSkip, n: n} }
	// times is a number, and so many times what follows it.
	times := func(body ...rdbOp) rdbOp {
		return rdbOp{kind: rdbNumber, do: func(w *rdbWalk, n uint64) { w.push(body, n) }}
	}
	part := []rdbOp{{kind: rdbNumber, do: (*rdbWalk).modulePart}}
	score := rdbOp{kind: rdbByte, do: func(w *rdbWalk, n uint64) {
		if n < 253 { // not infinite, nor no number
			w.skip = n
		}
	}}
	return &rdbPrograms{
		top: []rdbOp{{kind: rdbByte, do: (*rdbWalk).opcode}}, text: []rdbOp{text}, number: []rdbOp{number},
		// Two lengths, of which the first is that of what is stored.
		compressed: []rdbOp{
			{kind: rdbNumber, do: func(w *rdbWalk, n uint64) { w.stored = n }},
			{kind: rdbNumber, do: func(w *rdbWalk, _ uint64) { w.skip = w.stored }},
		},
		module: []rdbOp{{kind: rdbNumber, do: func(w *rdbWalk, _ uint64) { w.push(part, math.MaxUint64) }}},

		list: []rdbOp{times(text)}, set: []rdbOp{times(text)}, hash: []rdbOp{times(text, text)},
		zset: []rdbOp{times(text, score)}, zset2: []rdbOp{times(text, skip(8))}, quicklist: []rdbOp{times(number, text)},
		streams: rdbStream(1), streams2: rdbStream(2), streams3: rdbStream(3),
		hashExpiring:       []rdbOp{skip(8), times(number, text, text)},
		hashExpiringPacked: []rdbOp{skip(8), text},
		hashExpiringValkey: []rdbOp{times(text, text, skip(8))},
	}
}

// rdbStream is a stream, of which there are three versions: its nodes, counts
// and IDs, and the groups with what was delivered to their consumers.
func rdbStream(version int) []rdbOp {
	text, number := rdbOp{kind: rdbText}, rdbOp{kind: rdbNumber}
	id, moment := rdbOp{kind: rdbSkip, n: 16}, rdbOp{kind: rdbSkip, n: 8}
	times := func(body []rdbOp) rdbOp {
		return rdbOp{kind: rdbNumber, do: func(w *rdbWalk, n uint64) { w.push(body, n) }}
	}
	consumer := []rdbOp{text, moment}
	if version >= 3 {
		consumer = append(consumer, moment)
	}
	consumer = append(consumer, times([]rdbOp{id}))
	group := []rdbOp{text, number, number}
	ops := []rdbOp{times([]rdbOp{text, text}), number, number, number}
	if version >= 2 {
		group = append(group, number)
		ops = append(ops, number, number, number, number, number)
	}
	group = append(group, times([]rdbOp{id, moment, number}), times(consumer))
	return append(ops, times(group))
}

// value is the program of a kind of value; nil for one that is not known. The
// numbers from 22 on mean different things to Redis and Valkey.
func (p *rdbPrograms) value(kind uint64, valkey bool) []rdbOp {
	switch kind {
	case 0, 9, 10, 11, 12, 13, 16, 17, 20: // one string, or a value packed into one
		return p.text
	case 1, 14:
		return p.list
	case 2:
		return p.set
	case 3:
		return p.zset
	case 4:
		return p.hash
	case 5:
		return p.zset2
	case 7:
		return p.module
	case 15:
		return p.streams
	case 18:
		return p.quicklist
	case 19:
		return p.streams2
	case 21:
		return p.streams3
	case 22:
		if valkey {
			return p.hashExpiringValkey
		}
	case 24:
		if !valkey {
			return p.hashExpiring
		}
	case 25:
		if !valkey {
			return p.hashExpiringPacked
		}
	}
	return nil
}
