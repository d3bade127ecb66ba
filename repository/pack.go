package repository

import (
	"encoding/binary"
)

// A pack is sealed blob after sealed blob, then the sealed header, then the
// header's length in four bytes, little-endian. The header has one entry for
// each blob in order: a type byte, the sealed length, for compressed blobs the
// plain length, and the ID of the plaintext.
const (
	entryPlain      = 1 + 4 + 32
	entryCompressed = 1 + 4 + 4 + 32
	headerTail      = 4

	// maxBlobSize bounds the plain size of one blob. Chunks have at most
	// 8 MiB; trees of huge directories are larger.
	maxBlobSize = 1 << 30
	// maxPackHeader bounds a header: some 400,000 blobs.
	maxPackHeader = 16 << 20
)

// Types in a pack's header.
const (
	packedData           = 0
	packedTree           = 1
	packedCompressedData = 2
	packedCompressedTree = 3
)

// packedBlob says where in a pack a blob lies.
type packedBlob struct {
	BlobHandle
	offset uint32
	length uint32 // sealed
	plain  uint32 // plain length of a compressed blob, 0 where it is stored plainly
}

// size returns the plaintext's length.
func (b *packedBlob) size() uint32 {
	if b.plain != 0 {
		return b.plain
	}
	return b.length - sealOverhead
}

// valid refuses what no writer can have meant.
func (b *packedBlob) valid() bool {
	return b.length >= sealOverhead && b.length <= maxBlobSize+sealOverhead && b.plain <= maxBlobSize &&
		b.offset <= b.offset+b.length
}

// appendHeader encodes the header of a pack.
func appendHeader(dst []byte, blobs []packedBlob) []byte {
	for i := range blobs {
		b := &blobs[i]
		kind := byte(b.Type)
		if b.plain != 0 {
			kind |= packedCompressedData
		}
		dst = append(dst, kind)
		dst = binary.LittleEndian.AppendUint32(dst, b.length)
		if b.plain != 0 {
			dst = binary.LittleEndian.AppendUint32(dst, b.plain)
		}
		dst = append(dst, b.ID[:]...)
	}
	return dst
}

// headerSize returns the sealed size of the header and its length for blobs.
func headerSize(blobs []packedBlob) int64 {
	n := int64(sealOverhead + headerTail)
	for i := range blobs {
		if blobs[i].plain != 0 {
			n += entryCompressed
		} else {
			n += entryPlain
		}
	}
	return n
}

// decodeHeader reads a decrypted header of a pack whose blobs take body bytes.
func decodeHeader(plain []byte, body int64) ([]packedBlob, error) {
	blobs := make([]packedBlob, 0, min(len(plain)/entryPlain, maxPackHeader/entryPlain))
	var offset int64
	for len(plain) > 0 {
		b, n, err := decodeEntry(plain)
		if err != nil {
			return nil, err
		}
		plain = plain[n:]
		b.offset = uint32(offset)
		offset += int64(b.length)
		if !b.valid() || offset > body {
			return nil, damaged("pack header: %s does not fit into the pack", b.BlobHandle)
		}
		blobs = append(blobs, b)
	}
	if offset != body {
		return nil, damaged("pack header: blobs take %d bytes, the pack has %d", offset, body)
	}
	return blobs, nil
}

// decodeEntry reads the first entry and returns its size.
func decodeEntry(p []byte) (b packedBlob, n int, err error) {
	n = entryPlain
	switch p[0] {
	case packedData, packedTree:
	case packedCompressedData, packedCompressedTree:
		n = entryCompressed
	default:
		return b, 0, damaged("pack header: blob type %d is not known", p[0])
	}
	if len(p) < n {
		return b, 0, damaged("pack header: it ends within an entry")
	}
	b.Type = BlobType(p[0] & 1)
	b.length = binary.LittleEndian.Uint32(p[1:])
	if n == entryCompressed {
		if b.plain = binary.LittleEndian.Uint32(p[5:]); b.plain == 0 {
			return b, 0, damaged("pack header: a compressed blob of no bytes")
		}
	}
	copy(b.ID[:], p[n-32:])
	return b, n, nil
}
