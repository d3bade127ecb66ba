package repository

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"sync/atomic"

	"github.com/ripplebak/ripplebak/storage"
)

// packCapacity is the largest size of a pack, unless a single blob is larger.
// Packs are closed when the next blob does not fit, and so are most often a
// chunk smaller. They are built in memory, a few at a time: this is what most
// of the memory of a backup goes to.
const packCapacity = 8 << 20

// packer collects blobs of one type into packs. Workers reserve room in turn
// and seal into it side by side.
type packer struct {
	w    *Writer
	kind BlobType
	// slots bounds the packs of this type in memory: who needs another waits
	// until one is stored.
	slots chan struct{}

	// turn holds one token, which guards cur: who waits for a slot keeps it,
	// and all others wait behind.
	turn chan struct{}
	cur  *pack
}

// pack is a pack in memory, later only its place.
type pack struct {
	kind   BlobType
	packer *packer
	buf    *buffer
	mem    []byte // all of buf; nil once stored, guarded by Writer.mu
	used   int    // guarded by packer.turn until the pack is closed
	blobs  []packedBlob
	id     ID // once stored
	// users are those who still write to buf: one as long as the pack is
	// open, and one for each blob that is being sealed.
	users atomic.Int32
}

func newPacker(w *Writer, kind BlobType, slots int) *packer {
	return &packer{w: w, kind: kind, slots: make(chan struct{}, slots), turn: make(chan struct{}, 1)}
}

// put seals a blob into a pack.
func (p *packer) put(blob packedBlob, body []byte) error {
	pk, err := p.reserve(&blob)
	if err != nil {
		return err
	}
	err = p.w.r.sealer.seal(pk.mem[blob.offset:blob.offset+blob.length], body)
	if err != nil {
		return err
	}
	p.w.mu.Lock()
	p.w.pending[blob.BlobHandle] = pendingBlob{pack: pk, blob: blob, ready: true}
	p.w.changed.Broadcast()
	p.w.mu.Unlock()
	p.release(pk)
	return nil
}

// reserve finds room for a blob and sets its offset.
func (p *packer) reserve(blob *packedBlob) (*pack, error) {
	select {
	case p.turn <- struct{}{}:
	case <-p.w.ctx.Done():
		return nil, p.w.failed()
	}
	defer func() { <-p.turn }()
	if p.cur != nil && !p.cur.fits(blob) {
		p.finish()
	}
	if p.cur == nil {
		if err := p.begin(int64(blob.length)); err != nil {
			return nil, err
		}
	}
	pk := p.cur
	blob.offset = uint32(pk.used)
	pk.used += int(blob.length)
	pk.blobs = append(pk.blobs, *blob)
	pk.users.Add(1)
	return pk, nil
}

// fits says whether a blob and the header with it still fit.
func (pk *pack) fits(blob *packedBlob) bool {
	size := int64(pk.used) + int64(blob.length) + headerSize(nil) + entryCompressed*int64(len(pk.blobs)+1)
	return size <= int64(len(pk.mem))
}

// begin opens a pack with room for a blob of the given sealed length.
func (p *packer) begin(length int64) error {
	w := p.w
	select {
	case p.slots <- struct{}{}:
	case <-w.ctx.Done():
		return w.failed()
	}
	size := max(packCapacity, length+headerSize(nil)+entryCompressed)
	buf := w.r.buffers.get(int(size))
	p.cur = &pack{kind: p.kind, packer: p, buf: buf, mem: buf.data[:cap(buf.data)]}
	p.cur.users.Store(1)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.packsLive++
	return nil
}

// finish closes the current pack; it is our turn.
func (p *packer) finish() {
	pk := p.cur
	p.cur = nil
	p.release(pk)
}

// closePack closes the current pack, if there is one.
func (p *packer) closePack() {
	p.turn <- struct{}{}
	defer func() { <-p.turn }()
	if p.cur != nil {
		p.finish()
	}
}

// release drops one user; after the last the pack is ready to be stored. The
// channel has room for all packs that there can be.
func (p *packer) release(pk *pack) {
	if pk.users.Add(-1) == 0 {
		p.w.upload <- pk
	}
}

// uploader stores packs until the Writer ends.
func (w *Writer) uploader() {
	for {
		select {
		case <-w.ctx.Done():
			return
		case pk := <-w.upload:
			if err := w.storePack(pk); err != nil {
				w.fail(err)
				return
			}
		}
	}
}

// storePack appends the header, stores the pack, and an index where it is due.
func (w *Writer) storePack(pk *pack) error {
	if err := w.r.sealHeader(pk); err != nil {
		return err
	}
	data := pk.mem[:pk.used]
	p := storage.NewPayload(data)
	h := storage.Handle{Kind: storage.PackFile, Name: ID(p.SHA256).String()}
	if err := w.store.Save(w.ctx, h, p); err != nil {
		return fmt.Errorf("store %s: %w", h, err)
	}
	if pk.kind == TreeBlob || len(data) <= smallPack {
		w.r.cache.put(h, data)
	}
	w.stats.packs.Add(1)
	w.stats.bytesStored.Add(uint64(len(data)))
	due := w.stored(pk, p.SHA256)
	<-pk.packer.slots
	if due {
		return w.saveIndex()
	}
	return nil
}

// sealHeader completes a pack. Its buffer is changed under no lock: nobody
// writes to it any more, and readers look at the blobs only.
func (r *Repository) sealHeader(pk *pack) error {
	plain := appendHeader(make([]byte, 0, len(pk.blobs)*entryCompressed), pk.blobs)
	size := len(plain) + sealOverhead
	tail := pk.mem[pk.used : pk.used+size+headerTail]
	if err := r.sealer.seal(tail[:size], plain); err != nil {
		return err
	}
	binary.LittleEndian.PutUint32(tail[size:], uint32(size))
	pk.used += len(tail)
	return nil
}

// stored notes that a pack is stored and says whether an index is due.
func (w *Writer) stored(pk *pack, id [sha256.Size]byte) (due bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.r.buffers.put(pk.buf)
	pk.buf, pk.mem, pk.id = nil, nil, id
	w.unindexed = append(w.unindexed, pk)
	w.packsLive--
	w.changed.Broadcast()
	blobs := 0
	for _, p := range w.unindexed {
		blobs += len(p.blobs)
	}
	return blobs >= indexBlobs || w.r.opt.Now().Sub(w.lastIndex) >= indexInterval
}

// saveIndex stores an index file for the packs that are stored and in none,
// and makes their blobs known to the Repository.
func (w *Writer) saveIndex() error {
	w.indexing.Lock()
	defer w.indexing.Unlock()
	w.mu.Lock()
	packs := w.unindexed
	w.unindexed, w.lastIndex = nil, w.r.opt.Now()
	w.mu.Unlock()
	if len(packs) == 0 {
		return nil
	}
	list := make([]indexedPack, len(packs))
	for i, pk := range packs {
		list[i] = indexedPack{id: pk.id, blobs: pk.blobs}
	}
	doc := appendIndexFile(nil, list)
	id, err := w.r.saveUnpacked(w.ctx, w.store, storage.IndexFile, doc)
	if err != nil {
		return fmt.Errorf("store index: %w", err)
	}
	w.stats.indexes.Add(1)
	w.r.indexSaved(id, list)
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, pk := range packs {
		for i := range pk.blobs {
			delete(w.pending, pk.blobs[i].BlobHandle)
		}
	}
	return nil
}

// indexSaved takes in what a Writer stored.
func (r *Repository) indexSaved(id ID, packs []indexedPack) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.loaded[id] = true
	r.index.add(packs)
}
