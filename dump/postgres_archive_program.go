package dump

import (
	"bytes"
	"fmt"
	"math"
	"slices"
)

// The three programs of an archive: what is read in which order, by version.
// Each ends by choosing the next one.

func headerProgram(minor byte) []archiveOp {
	var ops []archiveOp
	if minor >= 15 {
		ops = append(ops, archiveOp{kind: readByte}) // compression algorithm
	} else {
		ops = append(ops, archiveOp{kind: readInt}) // compression level
	}
	for range 7 {
		ops = append(ops, archiveOp{kind: readInt}) // the time of the dump
	}
	return append(ops,
		archiveOp{readText, (*archiveProof).takeDatabase},
		archiveOp{readText, func(p *archiveProof) error { p.server = string(p.text); return nil }},
		archiveOp{readText, func(p *archiveProof) error { p.client = string(p.text); return nil }},
		archiveOp{readInt, (*archiveProof).takeCount},
	)
}

func (p *archiveProof) takeDatabase() error {
	if p.database != "" && string(p.text) != p.database {
		return fmt.Errorf("%w: it is a dump of database %q, not of %q", ErrBadDump, p.text, p.database)
	}
	return nil
}

func (p *archiveProof) takeCount() error {
	if p.number < 0 || p.number > math.MaxInt32 {
		return fmt.Errorf("%w: a table of contents of %d entries", ErrBadDump, p.number)
	}
	p.toc = p.number
	p.program = entryProgram(p.minor)
	return p.nextEntry()
}

func entryProgram(minor byte) []archiveOp {
	ops := []archiveOp{
		{readInt, (*archiveProof).takeEntryID},
		{readInt, func(p *archiveProof) error { p.hasData = p.number != 0; return nil }},
		{kind: readText}, // catalogue's OID
		{kind: readText}, // OID
		{readText, func(p *archiveProof) error { p.lacking.takeTag(p.text); return nil }},
		{readText, func(p *archiveProof) error {
			p.blobs = bytes.Equal(p.text, []byte("BLOBS"))
			p.lacking.takeKind(p.text)
			return nil
		}},
		{readInt, (*archiveProof).takeSection},
		{readText, func(p *archiveProof) error { return p.lacking.takeDefinition(p.text, p.number) }},
		{kind: readText}, // its opposite
		{kind: readText}, // COPY statement
		{readText, func(p *archiveProof) error { p.lacking.takeSchema(p.text); return nil }},
		{kind: readText}, // tablespace
	}
	if minor >= 14 {
		ops = append(ops, archiveOp{kind: readText}) // table access method
	}
	if minor >= 16 {
		ops = append(ops, archiveOp{readInt, func(p *archiveProof) error { p.lacking.takeRelation(p.number); return nil }})
	}
	return append(ops,
		archiveOp{kind: readText}, // owner
		archiveOp{kind: readText}, // with OIDs
		archiveOp{readText, (*archiveProof).takeDependency},
		archiveOp{readOffset, (*archiveProof).takeOffset},
	)
}

func (p *archiveProof) takeEntryID() error {
	if p.number <= 0 || p.number > math.MaxInt32 {
		return fmt.Errorf("%w: an entry with the number %d", ErrBadDump, p.number)
	}
	p.entryID = p.number
	return nil
}

func (p *archiveProof) takeSection() error {
	if p.number < 1 || p.number > 4 {
		return fmt.Errorf("%w: entry %d is of section %d", ErrBadDump, p.entryID, p.number)
	}
	return nil
}

// takeDependency repeats itself until the NULL that ends the list.
func (p *archiveProof) takeDependency() error {
	if !p.null {
		p.pc--
		p.lacking.takeDependency(p.text)
	}
	return nil
}

func (p *archiveProof) takeOffset() error {
	announced := p.number == offsetNotSet || p.number == offsetSet
	if !announced && p.number != offsetNoData || announced != p.hasData {
		return fmt.Errorf("%w: entry %d contradicts itself about having data", ErrBadDump, p.entryID)
	}
	if announced {
		if len(p.announced) == maxAnnounced {
			return fmt.Errorf("%w: more than %d tables", ErrBadDump, maxAnnounced)
		}
		p.announced = append(p.announced, announcedData{id: uint32(p.entryID), blobs: p.blobs})
	}
	p.toc--
	if err := p.lacking.endEntry(p.entryID); err != nil {
		return err
	}
	return p.nextEntry()
}

func (p *archiveProof) nextEntry() error {
	p.pc = 0
	if p.toc > 0 {
		return nil
	}
	p.program, p.inData, p.atBlock = blockProgram(), true, true
	return p.sortAnnounced()
}

// The places in blockProgram that its operations jump to.
const (
	atBlockKind = iota
	atBlockID
	atChunk
	atObject
	atObjectChunk
)

func blockProgram() []archiveOp {
	return []archiveOp{
		atBlockKind:   {readByte, (*archiveProof).takeBlockKind},
		atBlockID:     {readInt, (*archiveProof).takeBlockID},
		atChunk:       {readInt, (*archiveProof).takeChunk},
		atObject:      {readInt, (*archiveProof).takeObject},
		atObjectChunk: {readInt, (*archiveProof).takeChunk},
	}
}

func (p *archiveProof) takeBlockKind() error {
	if p.number != blockData && p.number != blockBlobs {
		return fmt.Errorf("%w: a block of kind %d before byte %d", ErrBadDump, p.number, p.size)
	}
	p.atBlock, p.blobs = false, p.number == blockBlobs
	return nil
}

func (p *archiveProof) takeBlockID() error {
	i, ok := slices.BinarySearchFunc(p.announced, p.number, func(a announcedData, id int64) int { return int(int64(a.id) - id) })
	if !ok {
		return fmt.Errorf("%w: data of entry %d, which announced none", ErrBadDump, p.number)
	}
	p.block = &p.announced[i]
	if p.block.done || p.block.blobs != p.blobs {
		return fmt.Errorf("%w: data of entry %d comes twice or is of another kind than announced", ErrBadDump, p.number)
	}
	if p.blobs {
		p.pc = atObject
	} else {
		p.pc = atChunk
	}
	return nil
}

// takeChunk skips the content of a chunk; its length of zero is the end, of
// the block or of one large object.
func (p *archiveProof) takeChunk() error {
	switch {
	case p.number < 0 || p.number > math.MaxInt32:
		return fmt.Errorf("%w: a chunk of %d bytes", ErrBadDump, p.number)
	case p.number > 0:
		p.pc--
		p.skip = p.number
	case p.blobs:
		p.objects++
		p.pc = atObject
	default:
		p.endBlock()
	}
	return nil
}

// takeObject begins a large object. OIDs above two thousand million are
// written as negative numbers.
func (p *archiveProof) takeObject() error {
	if p.number == 0 {
		p.endBlock()
		return nil
	}
	p.pc = atObjectChunk
	return nil
}

func (p *archiveProof) endBlock() {
	p.block.done = true
	p.done++
	p.pc, p.atBlock = atBlockKind, true
}
