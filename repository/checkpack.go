package repository

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/ripplebak/ripplebak/storage"
)

// maxPackFile bounds the packs that a check reads whole; restic's largest
// pack size is 128 MiB, and a huge directory is one blob.
const maxPackFile = maxBlobSize + maxPackHeader

// isDamage says whether an error is a finding rather than a failure to look.
func isDamage(err error) bool {
	return errors.Is(err, ErrDamaged) || errors.Is(err, ErrNoBlob)
}

// checkPack reads one pack, or only its header, and records what is wrong with
// it. blobs is what the index says, by offset.
func (c *checker) checkPack(ctx context.Context, id ID, size int64, blobs []packedBlob, scratch []byte) ([]byte, error) {
	name := "pack " + id.String()
	if !c.opt.ReadData {
		header, err := c.r.loadHeader(ctx, id, size)
		if err == nil {
			err = compareHeader(header, blobs)
		}
		return scratch, c.finding(ctx, BadHeader, name, err)
	}
	h := storage.Handle{Kind: storage.PackFile, Name: id.String()}
	if size > maxPackFile {
		return scratch, c.finding(ctx, BadPack, name, damaged("it has %d bytes", size))
	}
	b := c.r.buffers.get(int(size))
	defer c.r.buffers.put(b)
	pack, err := readRange(ctx, c.r.store, h, 0, b.data[:size])
	if err != nil {
		return scratch, c.finding(ctx, BadPack, name, packError(err))
	}
	c.progress(func(p *CheckProgress) { p.BytesRead += uint64(size) })
	if ID(sha256.Sum256(pack)) != id {
		c.add(Finding{Kind: BadPack, File: name, Detail: "its content is not what its name says"})
	}
	c.checkWholeHeader(name, pack, blobs)
	for i := range blobs {
		bl := &blobs[i]
		end := int64(bl.offset) + int64(bl.length)
		if end > size {
			c.add(Finding{Kind: BadPack, File: name, Detail: fmt.Sprintf("%s lies past its end", bl.BlobHandle)})
			continue
		}
		plain, err := c.r.openBlob(bl, pack[bl.offset:end], scratch)
		if err != nil {
			c.add(Finding{Kind: BadPack, File: name, Detail: fmt.Sprintf("%s: %v", bl.BlobHandle, err)})
			continue
		}
		scratch = plain
	}
	return scratch, nil
}

// finding turns damage into a finding and passes other errors on.
func (c *checker) finding(ctx context.Context, kind FindingKind, file string, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil || !isDamage(err) {
		return fmt.Errorf("%s: %w", file, err)
	}
	c.add(Finding{Kind: kind, File: file, Detail: err.Error()})
	return nil
}

// checkWholeHeader compares the header of a pack in memory with the index.
func (c *checker) checkWholeHeader(name string, pack []byte, blobs []packedBlob) {
	length, err := headerLength(pack[max(0, len(pack)-headerTail):], int64(len(pack)))
	var header []packedBlob
	if err == nil {
		end := len(pack) - headerTail
		// Opened in a copy, for the blobs are still to be read where they are.
		header, err = c.r.openHeader(bytes.Clone(pack[end-length:end]), int64(end-length))
	}
	if err == nil {
		err = compareHeader(header, blobs)
	}
	if err != nil {
		c.add(Finding{Kind: BadHeader, File: name, Detail: err.Error()})
	}
}

// headerLength reads the last four bytes of a pack.
func headerLength(tail []byte, size int64) (int, error) {
	if len(tail) != headerTail {
		return 0, damaged("pack header: the pack is too short")
	}
	n := int64(binary.LittleEndian.Uint32(tail))
	if n < sealOverhead || n > maxPackHeader || n+headerTail > size {
		return 0, damaged("pack header: a length of %d is impossible", n)
	}
	return int(n), nil
}

// openHeader authenticates and decodes a sealed header, of a pack whose blobs
// take body bytes. sealed is overwritten.
func (r *Repository) openHeader(sealed []byte, body int64) ([]packedBlob, error) {
	plain, err := r.sealer.open(sealed)
	if err != nil {
		return nil, damaged("pack header: %w", err)
	}
	return decodeHeader(plain, body)
}

// eagerHeader is what is loaded of a pack's end at first: the header of most.
const eagerHeader = 16 << 10

// loadHeader loads and decodes the header of a stored pack.
func (r *Repository) loadHeader(ctx context.Context, id ID, size int64) ([]packedBlob, error) {
	h := storage.Handle{Kind: storage.PackFile, Name: id.String()}
	if size < headerTail+sealOverhead {
		return nil, damaged("pack header: the pack has %d bytes", size)
	}
	tail := make([]byte, min(eagerHeader, size))
	if _, err := readRange(ctx, r.store, h, size-int64(len(tail)), tail); err != nil {
		return nil, packError(err)
	}
	length, err := headerLength(tail[len(tail)-headerTail:], size)
	if err != nil {
		return nil, err
	}
	if whole := length + headerTail; whole > len(tail) {
		tail = make([]byte, whole)
		if _, err := readRange(ctx, r.store, h, size-int64(whole), tail); err != nil {
			return nil, packError(err)
		}
	}
	end := len(tail) - headerTail
	return r.openHeader(tail[end-length:end], size-headerTail-int64(length))
}

// compareHeader demands that a header lists the blobs of the index.
func compareHeader(header, blobs []packedBlob) error {
	sorted := slices.Clone(header)
	slices.SortFunc(sorted, byOffset)
	if slices.Equal(sorted, blobs) {
		return nil
	}
	for i := range min(len(sorted), len(blobs)) {
		if sorted[i] != blobs[i] {
			return damaged("pack header: it says %s at %d where the index says %s at %d",
				sorted[i].BlobHandle, sorted[i].offset, blobs[i].BlobHandle, blobs[i].offset)
		}
	}
	return damaged("pack header: it lists %d blobs, the index %d", len(sorted), len(blobs))
}

func byOffset(a, b packedBlob) int {
	switch {
	case a.offset < b.offset:
		return -1
	case a.offset > b.offset:
		return 1
	}
	return 0
}
