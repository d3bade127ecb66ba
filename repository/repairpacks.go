package repository

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"

	"github.com/ripplebak/ripplebak/storage"
)

// PackRepair is what a repair of packs will do. It is made by
// [Deleter.PlanPackRepair] and does nothing by itself.
type PackRepair struct {
	Steps []RepairStep

	packs   []ID
	goes    map[ID]bool
	rewrite *indexRewrite
	// saves is what has to be in other packs before these are removed.
	saves map[BlobHandle]bool
}

// PlanPackRepair finds out what can be saved of packs. Without IDs it reads
// every pack and takes those that are damaged or gone; packs that are named are
// taken also where they are whole.
func (d *Deleter) PlanPackRepair(ctx context.Context, ids []ID) (*PackRepair, error) {
	if err := d.mayDelete(); err != nil {
		return nil, err
	}
	if len(ids) == 0 {
		c := d.r.newChecker(CheckOptions{ReadData: true})
		if err := c.checkBlobs(ctx); err != nil {
			return nil, err
		}
		ids = c.report.BadPacks
	} else if err := d.r.LoadIndex(ctx); err != nil && (ctx.Err() != nil || !isDamage(err)) {
		return nil, err
	}
	ids = slices.Clone(ids)
	slices.SortFunc(ids, func(a, b ID) int { return bytes.Compare(a[:], b[:]) })
	p := &PackRepair{packs: slices.Compact(ids), goes: make(map[ID]bool), saves: make(map[BlobHandle]bool)}
	for _, id := range p.packs {
		p.goes[id] = true
	}
	for _, id := range p.packs {
		if err := p.look(ctx, d.r, id); err != nil {
			return nil, err
		}
	}
	var err error
	if p.rewrite, err = d.r.planRewrite(ctx, p.goes, false); err != nil {
		return nil, err
	}
	p.Steps = append(p.Steps, p.rewrite.steps...)
	return p, nil
}

// look finds out what can be saved of one pack.
func (p *PackRepair) look(ctx context.Context, r *Repository, id ID) error {
	step := RepairStep{Do: RepairSalvage, File: id, Cause: "it is damaged"}
	whole, err := r.salvage(ctx, id, func(b *packedBlob, _ []byte) error {
		step.Blobs++
		p.saves[b.BlobHandle] = true
		return nil
	}, func(h BlobHandle) error {
		ok, err := p.elsewhere(ctx, r, h)
		if err == nil && !ok {
			step.Lost++
		}
		return err
	})
	switch {
	case errors.Is(err, storage.ErrNotExist) && !r.index.hasPack(id):
		return fmt.Errorf("pack %s: neither the storage nor the index knows it", id)
	case errors.Is(err, storage.ErrNotExist):
		step.Do, step.Cause = RepairDrop, "the pack is gone"
	case err != nil:
		return err
	case whole:
		step.Cause = "it was named, and is whole"
	}
	p.Steps = append(p.Steps, step)
	return nil
}

// elsewhere says whether a blob can be read from a pack that stays.
func (p *PackRepair) elsewhere(ctx context.Context, r *Repository, h BlobHandle) (bool, error) {
	for _, place := range r.index.places(h) {
		if p.goes[place.pack] {
			continue
		}
		_, err := r.loadAt(ctx, place, nil)
		if err == nil {
			return true, nil
		}
		if ctx.Err() != nil || !isDamage(err) {
			return false, err
		}
	}
	return false, nil
}

// salvage reads a pack, twice where it is not what its name says, and hands out
// each blob that is whole in one of the readings, sealed no more: body is what
// was sealed. Of the others it tells. Blobs are found by the index and by the
// pack's own header. A pack that is gone is storage.ErrNotExist, after bad was
// told of all that the index says of it.
func (r *Repository) salvage(ctx context.Context, id ID, good func(b *packedBlob, body []byte) error, bad func(BlobHandle) error) (whole bool, err error) {
	h := storage.Handle{Kind: storage.PackFile, Name: id.String()}
	blobs := r.blobsOfPack(id)
	info, err := r.store.Stat(ctx, h)
	if errors.Is(err, storage.ErrNotExist) {
		for i := range blobs {
			if err := bad(blobs[i].BlobHandle); err != nil {
				return false, err
			}
		}
		return false, err
	}
	if err != nil {
		return false, err
	}
	if info.Size > maxPackFile {
		return false, fmt.Errorf("%s has %d bytes: it cannot be read at once, and stays", h, info.Size)
	}
	s := salvaging{r: r, done: make(map[BlobHandle]bool), good: good}
	for range 2 {
		pack, err := readRange(ctx, r.store, h, 0, make([]byte, info.Size))
		if err != nil {
			return false, packError(err)
		}
		whole = ID(sha256.Sum256(pack)) == id
		header, err := r.headerOf(pack)
		whole = whole && err == nil
		if err := s.take(pack, slices.Concat(blobs, header)); err != nil {
			return false, err
		}
		if whole {
			break
		}
	}
	for i := range blobs {
		if s.done[blobs[i].BlobHandle] {
			continue
		}
		whole = false
		s.done[blobs[i].BlobHandle] = true
		if err := bad(blobs[i].BlobHandle); err != nil {
			return false, err
		}
	}
	return whole, nil
}

// salvaging takes blobs out of readings of one pack.
type salvaging struct {
	r    *Repository
	done map[BlobHandle]bool
	good func(b *packedBlob, body []byte) error
}

func (s *salvaging) take(pack []byte, blobs []packedBlob) error {
	for i := range blobs {
		b := &blobs[i]
		end := int64(b.offset) + int64(b.length)
		if s.done[b.BlobHandle] || end > int64(len(pack)) {
			continue
		}
		// Opened in a copy: another entry may say that the bytes are its own.
		sealed := bytes.Clone(pack[b.offset:end])
		if _, err := s.r.openBlob(b, sealed, nil); err != nil {
			continue // told of at the end
		}
		s.done[b.BlobHandle] = true
		if err := s.good(b, sealed[nonceSize:len(sealed)-macSize]); err != nil {
			return err
		}
	}
	return nil
}

// blobsOfPack is what the index says of one pack.
func (r *Repository) blobsOfPack(id ID) (blobs []packedBlob) {
	n, ok := r.index.packNumber(id)
	if !ok {
		return nil
	}
	r.index.each(func(e *indexEntry) {
		if e.pack == n {
			blobs = append(blobs, e.packed())
		}
	})
	slices.SortFunc(blobs, byOffset)
	return blobs
}

// RepairPacks carries a plan out. What can be read is stored in new packs, with
// their index, and proven to be there; then the index files are replaced by
// ones that do not name the old packs; then those are removed. It can be killed
// anywhere. The index in memory has to be loaded again.
func (d *Deleter) RepairPacks(ctx context.Context, w storage.Writer, p *PackRepair, opt RepairOptions) error {
	if err := d.mayDelete(); err != nil {
		return err
	}
	ctx, done := d.underLock(ctx)
	defer done()
	defer d.dropIndex()
	if err := d.salvageAll(ctx, w, p); err != nil {
		return err
	}
	opt.crash()
	if err := d.saveRewritten(ctx, w, p.rewrite, &opt); err != nil {
		return err
	}
	if err := d.removeRewritten(ctx, p.rewrite, &opt); err != nil {
		return err
	}
	for _, id := range p.packs {
		if err := d.repairRemove(ctx, storage.Handle{Kind: storage.PackFile, Name: id.String()}); err != nil {
			return err
		}
		opt.crash()
	}
	return nil
}

// salvageAll stores what can be read of the packs in new ones.
func (d *Deleter) salvageAll(ctx context.Context, store storage.Writer, p *PackRepair) (err error) {
	w, err := d.r.NewWriter(ctx, store, WriterOptions{Workers: 1})
	if err != nil {
		return err
	}
	defer func() {
		if cerr := w.Close(context.WithoutCancel(ctx)); err == nil {
			err = cerr
		}
	}()
	stored := make(map[BlobHandle]bool)
	for _, id := range p.packs {
		_, err := d.r.salvage(ctx, id, func(b *packedBlob, body []byte) error {
			if stored[b.BlobHandle] {
				return nil
			}
			stored[b.BlobHandle] = true
			if ok, err := p.elsewhere(ctx, d.r, b.BlobHandle); ok || err != nil {
				return err
			}
			return w.packers[b.Type].put(packedBlob{BlobHandle: b.BlobHandle, length: b.length, plain: b.plain}, body)
		}, func(BlobHandle) error { return nil })
		if err != nil && !errors.Is(err, storage.ErrNotExist) {
			return err
		}
	}
	if err := w.Flush(ctx); err != nil {
		return err
	}
	return p.prove(d.r, stored)
}

// prove demands that everything that is to be saved has a place in a pack that
// stays.
func (p *PackRepair) prove(r *Repository, stored map[BlobHandle]bool) error {
	for h := range p.saves {
		if !stored[h] || !slices.ContainsFunc(r.index.places(h), func(place blobPlace) bool { return !p.goes[place.pack] }) {
			return fmt.Errorf("%s could be read when the repair was planned, and now cannot: %w", h, errPlanOld)
		}
	}
	return nil
}
