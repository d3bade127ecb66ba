package repository

import (
	"encoding/hex"
	"strconv"
)

// indexedPack is a pack as an index file lists it.
type indexedPack struct {
	id    ID
	blobs []packedBlob
}

// parsedIndex is the content of an index file. Its slices are used again for
// the next file.
type parsedIndex struct {
	supersedes []ID
	packs      []indexedPack
	blobs      []packedBlob // backs packs[i].blobs
	ends       []int
}

// appendIndexFile encodes an index file.
func appendIndexFile(dst []byte, packs []indexedPack) []byte {
	dst = append(dst, `{"packs":[`...)
	for i := range packs {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, `{"id":"`...)
		dst = hex.AppendEncode(dst, packs[i].id[:])
		dst = append(dst, `","blobs":[`...)
		for j := range packs[i].blobs {
			if j > 0 {
				dst = append(dst, ',')
			}
			dst = appendIndexedBlob(dst, &packs[i].blobs[j])
		}
		dst = append(dst, `]}`...)
	}
	return append(dst, `]}`...)
}

func appendIndexedBlob(dst []byte, b *packedBlob) []byte {
	dst = append(dst, `{"id":"`...)
	dst = hex.AppendEncode(dst, b.ID[:])
	dst = append(dst, `","type":"`...)
	dst = append(dst, b.Type.String()...)
	dst = append(dst, `","offset":`...)
	dst = strconv.AppendUint(dst, uint64(b.offset), 10)
	dst = append(dst, `,"length":`...)
	dst = strconv.AppendUint(dst, uint64(b.length), 10)
	if b.plain != 0 {
		dst = append(dst, `,"uncompressed_length":`...)
		dst = strconv.AppendUint(dst, uint64(b.plain), 10)
	}
	return append(dst, '}')
}

// parse reads an index file.
func (p *parsedIndex) parse(doc []byte) error {
	p.supersedes, p.packs, p.blobs, p.ends = p.supersedes[:0], p.packs[:0], p.blobs[:0], p.ends[:0]
	s := &jsonScanner{b: doc}
	isIndex := false
	err := s.object(func(key []byte) error {
		switch string(key) {
		case "packs":
			isIndex = true
			return s.array(func() error { return p.parsePack(s) })
		case "supersedes":
			return s.array(func() error {
				var id ID
				err := s.id(&id)
				p.supersedes = append(p.supersedes, id)
				return err
			})
		}
		return s.skip()
	})
	if err == nil {
		err = s.end()
	}
	if err != nil {
		return damaged("index at byte %d: %w", s.i, err)
	}
	if !isIndex { // a file of another type, in the wrong place
		return damaged("not an index: it lists no packs")
	}
	start := 0
	for i, end := range p.ends {
		p.packs[i].blobs = p.blobs[start:end]
		start = end
	}
	return nil
}

func (p *parsedIndex) parsePack(s *jsonScanner) error {
	var id ID
	err := s.object(func(key []byte) error {
		switch string(key) {
		case "id":
			return s.id(&id)
		case "blobs":
			return s.array(func() error { return p.parseBlob(s) })
		}
		return s.skip()
	})
	if err != nil {
		return err
	}
	if id.IsZero() {
		return damaged("a pack without an ID")
	}
	p.packs = append(p.packs, indexedPack{id: id})
	p.ends = append(p.ends, len(p.blobs))
	return nil
}

func (p *parsedIndex) parseBlob(s *jsonScanner) error {
	var b packedBlob
	err := s.object(func(key []byte) (err error) {
		switch string(key) {
		case "id":
			return s.id(&b.ID)
		case "type":
			b.Type, err = parseBlobType(s)
		case "offset":
			b.offset, err = s.uint32()
		case "length":
			b.length, err = s.uint32()
		case "uncompressed_length":
			b.plain, err = s.uint32()
		default:
			return s.skip()
		}
		return err
	})
	if err != nil {
		return err
	}
	if b.ID.IsZero() || !b.valid() {
		return damaged("%s has an impossible place", b.BlobHandle)
	}
	p.blobs = append(p.blobs, b)
	return nil
}

func parseBlobType(s *jsonScanner) (BlobType, error) {
	text, err := s.text()
	if err != nil {
		return 0, err
	}
	switch string(text) {
	case "data":
		return DataBlob, nil
	case "tree":
		return TreeBlob, nil
	}
	return 0, damaged("blob type %.20q is not known", text)
}
