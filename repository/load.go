package repository

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"slices"

	"github.com/ripplebak/ripplebak/storage"
)

// LoadBlob returns the plaintext of a blob, authenticated and compared with
// its ID, in buf where that is large enough. Where one of several copies is
// damaged the next is taken. Blobs that a live Writer of this Repository holds
// but has not stored yet are found too. Errors: ErrNoBlob, ErrDamaged, or the
// storage's.
func (r *Repository) LoadBlob(ctx context.Context, h BlobHandle, buf []byte) ([]byte, error) {
	p, ok := r.index.place(h)
	if !ok {
		return r.loadPending(ctx, h, buf)
	}
	plain, err := r.loadAt(ctx, p, buf)
	if err == nil || ctx.Err() != nil {
		return plain, err
	}
	places := r.index.places(h)
	for _, p := range places[1:] {
		if plain, perr := r.loadAt(ctx, p, buf); perr == nil {
			return plain, nil
		}
	}
	return nil, err
}

// loadPending asks the live writers. What moves from a writer to the index in
// between is found there.
func (r *Repository) loadPending(ctx context.Context, h BlobHandle, buf []byte) ([]byte, error) {
	r.mu.Lock()
	writers := make([]*Writer, 0, len(r.writers))
	for w := range r.writers {
		writers = append(writers, w)
	}
	r.mu.Unlock()
	for _, w := range writers {
		plain, found, err := w.load(ctx, h, buf)
		if found || err != nil {
			return plain, err
		}
	}
	if p, ok := r.index.place(h); ok {
		return r.loadAt(ctx, p, buf)
	}
	return nil, fmt.Errorf("%s: %w", h, ErrNoBlob)
}

// loadAt loads a blob from one place.
func (r *Repository) loadAt(ctx context.Context, p blobPlace, buf []byte) ([]byte, error) {
	sealed := r.buffers.get(int(p.length))
	defer r.buffers.put(sealed)
	raw := sealed.data[:p.length]
	h := storage.Handle{Kind: storage.PackFile, Name: p.pack.String()}
	if p.Type == TreeBlob && r.cachedTree(ctx, h, raw, int64(p.offset)) ||
		p.Type == DataBlob && r.cache.readAt(h, raw, int64(p.offset)) {
		if plain, err := r.openBlob(&p.packedBlob, raw, buf); err == nil {
			return plain, nil
		}
		r.cache.drop(h)
	}
	if _, err := readRange(ctx, r.store, h, int64(p.offset), raw); err != nil {
		return nil, fmt.Errorf("%s in %s: %w", p.BlobHandle, h, packError(err))
	}
	plain, err := r.openBlob(&p.packedBlob, raw, buf)
	if err != nil {
		return nil, fmt.Errorf("%s in %s: %w", p.BlobHandle, h, err)
	}
	return plain, nil
}

// packError says of a pack that is gone or too short that it is damaged: the
// index promised it.
func packError(err error) error {
	if isMissing(err) {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return err
}

// openBlob authenticates, decrypts, decompresses and identifies a blob. sealed
// is overwritten; the result lies in buf or in new memory, never in sealed.
func (r *Repository) openBlob(b *packedBlob, sealed, buf []byte) ([]byte, error) {
	plain, err := r.sealer.open(sealed)
	if err != nil {
		return nil, damaged("%w", err)
	}
	if b.plain == 0 {
		plain = append(buf[:0], plain...)
	} else if plain, err = inflate(r.decoder, plain, int(b.plain), buf); err != nil {
		return nil, err
	}
	if ID(sha256.Sum256(plain)) != b.ID {
		return nil, damaged("its content is not what its ID says")
	}
	return plain, nil
}

// maxCachedPack bounds the packs of trees that are cached whole.
const maxCachedPack = 32 << 20

// smallPack is the size up to which a pack of data is cached too when it is
// written: that of a run in which hardly anything changed holds the manifest,
// for which the next run asks.
const smallPack = 256 << 10

// cachedTree fills raw from the cache. Where the pack is not there yet, it is
// loaded whole: its neighbours are the next trees to be asked for.
func (r *Repository) cachedTree(ctx context.Context, h storage.Handle, raw []byte, offset int64) bool {
	if r.cache == nil {
		return false
	}
	if r.cache.readAt(h, raw, offset) {
		return true
	}
	if !r.cache.fetch(h) {
		return false
	}
	pack, err := r.loadPack(ctx, h, r.cache.largest(storage.PackFile))
	if err != nil {
		return false // and is not tried again: ranges of it are asked for
	}
	defer r.cache.done(h)
	defer r.buffers.put(pack)
	id := ID(sha256.Sum256(pack.data))
	if id.String() != h.Name || offset+int64(len(raw)) > int64(len(pack.data)) {
		return false
	}
	r.cache.put(h, pack.data)
	copy(raw, pack.data[offset:])
	return true
}

// loadPack loads a whole pack of at most limit bytes, by one request.
func (r *Repository) loadPack(ctx context.Context, h storage.Handle, limit int64) (_ *buffer, err error) {
	rc, err := r.store.Load(ctx, h, 0, 0)
	if err != nil {
		return nil, err
	}
	defer func() {
		if cerr := rc.Close(); cerr != nil && err == nil {
			err = fmt.Errorf("close %s: %w", h, cerr)
		}
	}()
	size := storage.Remaining(rc)
	if size > limit || size <= 0 {
		return nil, damaged("%s has %d bytes", h, size)
	}
	b := r.buffers.get(int(size))
	b.data = b.data[:size]
	if _, err := io.ReadFull(rc, b.data); err != nil {
		r.buffers.put(b)
		return nil, fmt.Errorf("load %s: %w", h, err)
	}
	return b, nil
}

// LoadTree loads and decodes a directory.
func (r *Repository) LoadTree(ctx context.Context, id ID) (*Tree, error) {
	scratch := r.buffers.get(treeBuffer)
	defer r.buffers.put(scratch)
	doc, err := r.LoadBlob(ctx, BlobHandle{Type: TreeBlob, ID: id}, scratch.data)
	if err != nil {
		return nil, err
	}
	t, err := decodeTree(doc)
	if err != nil {
		return nil, fmt.Errorf("tree %s: %w", id.Short(), err)
	}
	return t, nil
}

// Resolve walks from the tree root down the names of path and returns the node
// there. Without names it returns a directory node with no name.
func (r *Repository) Resolve(ctx context.Context, root ID, path ...string) (*Node, error) {
	node := &Node{Type: NodeDir, Subtree: &root}
	for i, name := range path {
		if node.Type != NodeDir || node.Subtree == nil {
			return nil, fmt.Errorf("%q is not a directory: %w", path[:i], ErrNoNode)
		}
		tree, err := r.LoadTree(ctx, *node.Subtree)
		if err != nil {
			return nil, err
		}
		if node = tree.Find(name); node == nil {
			return nil, fmt.Errorf("%q: %w", path[:i+1], ErrNoNode)
		}
	}
	return node, nil
}

// blobRange is a run of blobs in one pack that is loaded at once.
type blobRange struct {
	pack   ID
	offset uint32
	end    uint32
	blobs  []packedBlob // ascending by offset
}

const (
	// maxGap is what is loaded needlessly rather than asking again.
	maxGap = 512 << 10
	// maxRange is what one request loads, unless a single blob is larger.
	maxRange = 32 << 20
)

// planRanges groups blobs by pack, packs in order of first use, and cuts each
// pack into ranges. Blobs that no index names are returned apart.
func (r *Repository) planRanges(handles []BlobHandle) (ranges []blobRange, pending []BlobHandle) {
	type group struct {
		pack  ID
		blobs []packedBlob
	}
	var groups []group
	position := make(map[ID]int)
	for _, h := range handles {
		p, ok := r.index.place(h)
		if !ok {
			pending = append(pending, h)
			continue
		}
		i, ok := position[p.pack]
		if !ok {
			i = len(groups)
			position[p.pack] = i
			groups = append(groups, group{pack: p.pack})
		}
		groups[i].blobs = append(groups[i].blobs, p.packedBlob)
	}
	for _, g := range groups {
		ranges = appendRanges(ranges, g.pack, g.blobs)
	}
	return ranges, pending
}

// appendRanges cuts the blobs of one pack into ranges. A blob that was asked
// for twice is loaded once.
func appendRanges(ranges []blobRange, pack ID, blobs []packedBlob) []blobRange {
	slices.SortFunc(blobs, byOffset)
	blobs = slices.CompactFunc(blobs, func(a, b packedBlob) bool { return a == b })
	for start := 0; start < len(blobs); {
		cur := blobRange{pack: pack, offset: blobs[start].offset, end: blobs[start].offset + blobs[start].length}
		next := start + 1
		for ; next < len(blobs); next++ {
			b := &blobs[next]
			end := max(cur.end, b.offset+b.length)
			if int64(b.offset) > int64(cur.end)+maxGap || end-cur.offset > maxRange {
				break
			}
			cur.end = end
		}
		cur.blobs = blobs[start:next]
		ranges = append(ranges, cur)
		start = next
	}
	return ranges
}
