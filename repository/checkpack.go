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

// packCheck looks at packs, one after the other.
type packCheck struct {
	*checker
	scratch []byte
}

// check reads one pack, or only its header, and records what is wrong with it.
// blobs is what the index says, by offset.
func (p *packCheck) check(ctx context.Context, n uint32, sum *packSummary, blobs []packedBlob) error {
	id := p.r.index.packID(n)
	name := "pack " + id.String()
	if !sum.read {
		header, err := p.r.loadHeader(ctx, id, sum.stored)
		if err == nil {
			err = compareHeader(header, blobs)
		}
		if err != nil && isDamage(err) {
			p.badPack(id)
		}
		return p.finding(ctx, BadHeader, name, err)
	}
	found, err := p.read(ctx, id, sum.stored, blobs)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if len(found) > 0 && sum.stored == sum.size {
		// Again, for a bad cable or memory must not be taken for damage.
		again, err := p.read(ctx, id, sum.stored, blobs)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if len(again) == 0 {
			p.add(Finding{Kind: FlakyRead, Note: true, File: name, Detail: "came wrong once and right when it was read again: look at the network, and test this machine's memory"})
		}
		found = again
	}
	p.verdict(n, id, name, found, sum.stored == sum.size)
	return nil
}

// badPart is something wrong with a pack, and the blob that it concerns.
type badPart struct {
	kind   FindingKind
	detail string
	blob   *packedBlob
}

// verdict records what was found in a pack.
func (p *packCheck) verdict(n uint32, id ID, name string, found []badPart, rightSize bool) {
	for _, b := range found {
		p.add(Finding{Kind: b.kind, File: name, Detail: b.detail})
		if b.blob != nil {
			p.markBad(n, b.blob)
		}
	}
	p.progress(func(*CheckProgress) { p.report.PacksRead++ })
	if len(found) > 0 || !rightSize {
		p.badPack(id)
		return
	}
	if p.opt.Verified != nil {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.opt.Verified(id)
	}
}

// read reads a pack and returns what is wrong with it; the error is a failure
// to look.
func (p *packCheck) read(ctx context.Context, id ID, size int64, blobs []packedBlob) ([]badPart, error) {
	h := storage.Handle{Kind: storage.PackFile, Name: id.String()}
	if size > maxPackFile {
		return []badPart{{kind: BadPack, detail: fmt.Sprintf("it has %d bytes", size)}}, nil
	}
	buf := p.r.buffers.get(int(size))
	defer p.r.buffers.put(buf)
	pack, err := readRange(ctx, p.r.store, h, 0, buf.data[:size])
	if err = packError(err); err != nil {
		if ctx.Err() != nil || !isDamage(err) {
			return nil, err
		}
		found := []badPart{{kind: BadPack, detail: err.Error()}}
		for i := range blobs {
			found = append(found, badPart{BadPack, blobs[i].String() + ": is gone with it", &blobs[i]})
		}
		return found, nil
	}
	p.progress(func(p *CheckProgress) { p.BytesRead += uint64(size) })
	return p.examine(pack, id, blobs), nil
}

// examine looks at a pack in memory, which is overwritten.
func (p *packCheck) examine(pack []byte, id ID, blobs []packedBlob) (found []badPart) {
	if ID(sha256.Sum256(pack)) != id {
		found = append(found, badPart{kind: BadPack, detail: "its content is not what its name says"})
	}
	if err := p.wholeHeader(pack, blobs); err != nil {
		found = append(found, badPart{kind: BadHeader, detail: err.Error()})
	}
	for i := range blobs {
		b := &blobs[i]
		end := int64(b.offset) + int64(b.length)
		if end > int64(len(pack)) {
			found = append(found, badPart{BadPack, fmt.Sprintf("%s lies past its end", b.BlobHandle), b})
			continue
		}
		plain, err := p.r.openBlob(b, pack[b.offset:end], p.scratch)
		if err != nil {
			found = append(found, badPart{BadPack, fmt.Sprintf("%s: %v", b.BlobHandle, err), b})
			continue
		}
		p.scratch = plain
	}
	return found
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

// wholeHeader compares the header of a pack in memory with the index.
func (p *packCheck) wholeHeader(pack []byte, blobs []packedBlob) error {
	header, err := p.r.headerOf(pack)
	if err != nil {
		return err
	}
	return compareHeader(header, blobs)
}

// headerOf decodes the header of a pack in memory.
func (r *Repository) headerOf(pack []byte) ([]packedBlob, error) {
	length, err := headerLength(pack[max(0, len(pack)-headerTail):], int64(len(pack)))
	if err != nil {
		return nil, err
	}
	end := len(pack) - headerTail
	// Opened in a copy, for the blobs are still to be read where they are.
	return r.openHeader(bytes.Clone(pack[end-length:end]), int64(end-length))
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
