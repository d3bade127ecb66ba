package archive

import (
	"bytes"
	"encoding/binary"

	"github.com/ripplebak/ripplebak/repository"
	"github.com/ripplebak/ripplebak/volume"
)

const (
	// headSize is how much of a file's beginning is looked at.
	headSize = 8 << 10
	// smallestPaged is the size below which a file is not worth pages: it is a
	// few chunks anyway.
	smallestPaged = 1 << 20
	// largeInPlace is the size from which a file that was changed in place is
	// cut into pages, whatever it is.
	largeInPlace = 256 << 20
	// pagedChunk is the most that the chunks of a paged file have on average.
	pagedChunk = 128 << 10
	// smallestDisk is the size below which a boot sector does not make a file
	// the image of a disk.
	smallestDisk = 64 << 20
)

// chooseCut says how a file is cut: into pages when its header says that it
// changes by pages, or when it is large and has been changed in place; before is
// its node in the parent snapshot, if any.
func chooseCut(e *volume.Entry, head []byte, before *repository.Node) repository.Cut {
	if e.Size < smallestPaged {
		return repository.CutFile
	}
	if pageStructured(head, e.Size) {
		return repository.CutPages
	}
	if e.Size >= largeInPlace && before != nil && before.Type == repository.NodeFile && before.Inode == e.Inode {
		// A file that only grows is left alone, unless it is paged already.
		if before.Size == uint64(e.Size) || paged(before) {
			return repository.CutPages
		}
	}
	return repository.CutFile
}

// paged says whether a node's file was cut into pages.
func paged(n *repository.Node) bool {
	return len(n.Content) > 0 && n.Size/uint64(len(n.Content)) <= pagedChunk
}

// magics are the beginnings of files that are written by pages or clusters.
var magics = []struct {
	at    int
	bytes string
}{
	{0, "SQLite format 3\x00"},
	{0, "QFI\xfb"},           // qcow2
	{0, "KDMV"},              // VMDK
	{0, "vhdxfile"},          // VHDX
	{0, "conectix"},          // VHD, dynamic
	{64, "\x7f\x10\xda\xbe"}, // VDI
	{16, "\xde\xc0\xef\xbe"}, // LMDB
	{16, "\xed\xda\x0c\xed"}, // bbolt
	{0, "\x41\xd8\x01\x00"},  // WiredTiger
	{0, "H:2,block"},         // H2
	{1080, "\x53\xef"},       // an image of ext2, 3 or 4
	{0, "XFSB"},              // an image of XFS
}

// pageStructured knows databases and disk images by how they begin.
func pageStructured(head []byte, size int64) bool {
	for _, m := range magics {
		if len(head) >= m.at+len(m.bytes) && string(head[m.at:m.at+len(m.bytes)]) == m.bytes {
			return true
		}
	}
	return postgresHeap(head, size) || innoDB(head, size) || disk(head, size)
}

// postgresHeap knows a relation of PostgreSQL by its first page: eight
// kilobytes, layout version 4, and pointers in order.
func postgresHeap(head []byte, size int64) bool {
	if len(head) < 24 || size%8192 != 0 {
		return false
	}
	lower, upper := binary.LittleEndian.Uint16(head[12:]), binary.LittleEndian.Uint16(head[14:])
	special, version := binary.LittleEndian.Uint16(head[16:]), binary.LittleEndian.Uint16(head[18:])
	return version == 8192|4 && lower >= 24 && lower <= upper && upper <= special && special <= 8192
}

// innoDB knows a tablespace of InnoDB by its first page: number 0, type "file
// space header", and the same space number in both places that have it.
func innoDB(head []byte, size int64) bool {
	if len(head) < 46 || size%4096 != 0 {
		return false
	}
	return binary.BigEndian.Uint32(head[4:]) == 0 && binary.BigEndian.Uint16(head[24:]) == 8 &&
		bytes.Equal(head[34:38], head[38:42])
}

// disk knows the image of a disk by its boot sector or its partition table, and
// one that is encrypted by LUKS's header.
func disk(head []byte, size int64) bool {
	if size < smallestDisk || size%512 != 0 || len(head) < 520 {
		return false
	}
	return head[510] == 0x55 && head[511] == 0xaa || string(head[512:520]) == "EFI PART" || string(head[:6]) == "LUKS\xba\xbe"
}
