package repository

import (
	"crypto/sha256"
	"fmt"

	"github.com/klauspost/compress/zstd"
)

// worker hashes, compresses, proves and seals. It has everything that it needs
// of its own, so that workers meet only for the place in a pack.
type worker struct {
	w       *Writer
	data    leveller
	tree    *zstd.Encoder
	decoder *zstd.Decoder
	packed  *buffer // where blobs are compressed to
	proof   *buffer // where they are decoded to, to compare
}

func newWorker(w *Writer) (*worker, error) {
	p := &worker{w: w}
	var err error
	p.data.fixed = w.opt.Level > 0
	if p.data.fast, err = newEncoder(max(w.opt.Level, zstd.SpeedFastest)); err == nil {
		p.tree, err = newEncoder(zstd.SpeedDefault)
		p.data.usual = p.tree
	}
	if err == nil {
		p.decoder, err = newBlobDecoder(1)
	}
	if err != nil {
		return nil, fmt.Errorf("set up zstd: %w", err)
	}
	return p, nil
}

func (p *worker) run() {
	w := p.w
	p.packed, p.proof = w.r.buffers.get(2*chunkBuffer), w.r.buffers.get(2*chunkBuffer)
	defer func() {
		w.r.buffers.put(p.packed)
		w.r.buffers.put(p.proof)
		p.decoder.Close()
	}()
	for {
		select {
		case <-w.ctx.Done():
			return
		case j := <-w.jobs:
			err := p.process(&j)
			w.jobDone(&j)
			if err != nil {
				w.fail(err)
				return
			}
		}
	}
}

// process takes one piece of plaintext to its place in a pack, or finds that
// it is there already.
func (p *worker) process(j *job) error {
	w := p.w
	if !j.claimed {
		j.handle = BlobHandle{Type: DataBlob, ID: sha256.Sum256(j.data())}
		fresh := w.claim(j.handle)
		if j.content != nil {
			j.content.set(j.slot, j.handle.ID)
		}
		if !fresh {
			w.stats.blobsKnown.Add(1)
			return nil
		}
	}
	plain := j.data()
	body, compressed, err := p.compress(j.handle.Type, plain)
	if err != nil {
		return fmt.Errorf("%s: %w", j.handle, err)
	}
	blob := packedBlob{BlobHandle: j.handle, length: uint32(len(body) + sealOverhead)}
	if compressed {
		blob.plain = uint32(len(plain))
	}
	w.stats.blobsNew.Add(1)
	w.stats.bytesNew.Add(uint64(len(plain)))
	if j.handle.Type == TreeBlob {
		w.stats.treesNew.Add(1)
	}
	return w.packers[j.handle.Type].put(blob, body)
}

// compress returns what is to be sealed: the compressed blob, or the blob as
// it is where that does not pay or the format has no compression.
func (p *worker) compress(t BlobType, plain []byte) (body []byte, compressed bool, err error) {
	if len(plain) > maxBlobSize {
		return nil, false, fmt.Errorf("%d bytes are more than a blob can have: split the directory", len(plain))
	}
	if p.w.r.config.Version < 2 {
		return plain, false, nil
	}
	p.packed, p.proof = p.roomy(p.packed, len(plain)), p.roomy(p.proof, len(plain))
	enc := p.tree
	if t == DataBlob {
		enc = p.data.choose(plain)
	}
	packed, ok, err := deflate(enc, p.decoder, plain, p.packed.data, p.proof.data)
	if err != nil || !ok {
		return plain, false, err
	}
	return packed, true, nil
}

// roomy returns b, or a larger buffer in its place, or after a large blob a
// usual one.
func (p *worker) roomy(b *buffer, size int) *buffer {
	need := max(2*chunkBuffer, size+size/128+1024)
	if cap(b.data) >= need && cap(b.data) <= 4*chunkBuffer {
		return b
	}
	p.w.r.buffers.put(b)
	return p.w.r.buffers.get(need)
}
