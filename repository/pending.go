package repository

import "context"

// pendingBlob is a blob that no stored index names yet.
type pendingBlob struct {
	pack  *pack
	blob  packedBlob
	ready bool // sealed into the pack
}

// claim makes a blob ours to store, unless it is known or somebody stores it
// already.
func (w *Writer) claim(h BlobHandle) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, ok := w.pending[h]; ok {
		return false
	}
	// A blob leaves pending only after it is in the index.
	if w.r.index.has(h) {
		return false
	}
	w.pending[h] = pendingBlob{}
	return true
}

// Known says whether a blob is stored, or on its way.
func (w *Writer) Known(h BlobHandle) bool {
	w.mu.Lock()
	_, ok := w.pending[h]
	w.mu.Unlock()
	return ok || w.r.index.has(h)
}

// load returns a blob that is pending here; found is false where it is not.
func (w *Writer) load(ctx context.Context, h BlobHandle, buf []byte) (plain []byte, found bool, err error) {
	var p pendingBlob
	var sealed *buffer
	err = w.wait(ctx, func() bool {
		if p, found = w.pending[h]; !found {
			return true
		}
		if !p.ready {
			return false
		}
		if p.pack.mem != nil {
			sealed = w.r.buffers.get(int(p.blob.length))
			sealed.data = append(sealed.data, p.pack.mem[p.blob.offset:p.blob.offset+p.blob.length]...)
		}
		return true
	})
	if err != nil || !found {
		return nil, found, err
	}
	if sealed == nil { // stored meanwhile, not indexed yet
		plain, err = w.r.loadAt(ctx, blobPlace{packedBlob: p.blob, pack: p.pack.id}, buf)
		return plain, true, err
	}
	defer w.r.buffers.put(sealed)
	plain, err = w.r.openBlob(&p.blob, sealed.data, buf)
	return plain, true, err
}
