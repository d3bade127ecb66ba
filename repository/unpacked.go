package repository

import (
	"context"
	"crypto/sha256"
	"fmt"

	"github.com/klauspost/compress/zstd"

	"github.com/ripplebak/ripplebak/storage"
)

// compressedFile is the first byte of an unpacked file whose rest is zstd.
// JSON as it is begins with '[' or '{'.
const compressedFile = 2

// Bounds on the stored size of unpacked files.
const (
	maxIndexFile    = 256 << 20
	maxSnapshotFile = 64 << 20
	maxLockFile     = 64 << 10
)

// encodeUnpacked returns the stored bytes of a JSON document and their ID.
func encodeUnpacked(s *sealer, version uint, doc []byte) ([]byte, ID, error) {
	plain := doc
	if version >= 2 {
		enc, err := newEncoder(zstd.SpeedDefault)
		if err != nil {
			return nil, ID{}, fmt.Errorf("set up zstd: %w", err)
		}
		plain = enc.EncodeAll(doc, []byte{compressedFile})
		if err := proveUnpacked(plain, doc); err != nil {
			return nil, ID{}, err
		}
	}
	file, err := s.sealed(plain)
	if err != nil {
		return nil, ID{}, err
	}
	return file, sha256.Sum256(file), nil
}

// proveUnpacked decodes what was encoded and compares.
func proveUnpacked(plain, doc []byte) error {
	back, err := decodeUnpacked(plain)
	if err == nil && sha256.Sum256(back) != sha256.Sum256(doc) {
		err = fmt.Errorf("it came back different")
	}
	if err != nil {
		return fmt.Errorf("compressing a file of %d bytes lost data: %w; nothing was stored, test this machine's memory", len(doc), err)
	}
	return nil
}

// decodeUnpacked undoes the encoding of a decrypted file.
func decodeUnpacked(plain []byte) ([]byte, error) {
	if len(plain) == 0 {
		return nil, damaged("the file is empty")
	}
	switch plain[0] {
	case '{', '[':
		return plain, nil
	case compressedFile:
	default:
		return nil, damaged("encoding %d is not known", plain[0])
	}
	dec, err := newFileDecoder()
	if err != nil {
		return nil, fmt.Errorf("set up zstd: %w", err)
	}
	defer dec.Close()
	doc, err := dec.DecodeAll(plain[1:], nil)
	if err != nil {
		return nil, damaged("decompress: %w", err)
	}
	return doc, nil
}

// openUnpacked authenticates, decrypts and decodes a file that was stored
// under the name id. file is overwritten.
func openUnpacked(s *sealer, id ID, file []byte) ([]byte, error) {
	if ID(sha256.Sum256(file)) != id {
		return nil, damaged("its content is not what its name says")
	}
	plain, err := s.open(file)
	if err != nil {
		return nil, damaged("%w", err)
	}
	return decodeUnpacked(plain)
}

// saveUnpacked stores a JSON document as a file of its own.
func (r *Repository) saveUnpacked(ctx context.Context, w storage.Writer, kind storage.Kind, doc []byte) (ID, error) {
	file, id, err := encodeUnpacked(r.sealer, r.config.Version, doc)
	if err != nil {
		return ID{}, err
	}
	h := storage.Handle{Kind: kind, Name: id.String()}
	if err := w.Save(ctx, h, storage.NewPayload(file)); err != nil {
		return ID{}, err
	}
	r.cache.put(h, file)
	return id, nil
}

// loadUnpacked reads a JSON document, from the cache where it is there and
// intact. size is 0 where no listing told it.
func (r *Repository) loadUnpacked(ctx context.Context, kind storage.Kind, id ID, size, limit int64) ([]byte, error) {
	h := storage.Handle{Kind: kind, Name: id.String()}
	if file, ok := r.cache.get(h, limit); ok {
		if doc, err := openUnpacked(r.sealer, id, file); err == nil {
			return doc, nil
		}
		r.cache.drop(h)
	}
	var file []byte
	var err error
	if size > 0 {
		file, err = readSized(ctx, r.store, h, size, limit)
	} else {
		file, err = readFile(ctx, r.store, h, limit)
	}
	if err != nil {
		return nil, err
	}
	if ID(sha256.Sum256(file)) == id {
		r.cache.put(h, file)
	}
	doc, err := openUnpacked(r.sealer, id, file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", h, err)
	}
	return doc, nil
}
