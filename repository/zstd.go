package repository

import (
	"bytes"
	"fmt"

	"github.com/klauspost/compress"
	"github.com/klauspost/compress/zstd"
)

// maxUnpacked bounds what a compressed index or snapshot may unfold to.
const maxUnpacked = 512 << 20

// newEncoder returns an encoder for whole blobs. The frames carry no checksum
// of zstd's own: each blob is authenticated and compared with its ID.
func newEncoder(level zstd.EncoderLevel) (*zstd.Encoder, error) {
	return zstd.NewWriter(nil,
		zstd.WithEncoderLevel(level),
		zstd.WithEncoderConcurrency(1),
		zstd.WithEncoderCRC(false),
		// One percent smaller at the fastest level, at no cost worth naming.
		zstd.WithAllLitEntropyCompression(true),
		zstd.WithLowerEncoderMem(true),
		zstd.WithWindowSize(1<<20))
}

// newBlobDecoder returns a decoder that never writes past the capacity of the
// slice that it is given, so that no frame can unfold to more than the index
// says.
func newBlobDecoder(concurrency int) (*zstd.Decoder, error) {
	return zstd.NewReader(nil,
		zstd.WithDecoderConcurrency(concurrency),
		zstd.WithDecoderMaxMemory(maxBlobSize),
		zstd.WithDecodeAllCapLimit(true))
}

// newFileDecoder returns a decoder for unpacked files, whose plain size is
// written nowhere.
func newFileDecoder() (*zstd.Decoder, error) {
	return zstd.NewReader(nil,
		zstd.WithDecoderConcurrency(1),
		zstd.WithDecoderMaxMemory(maxUnpacked))
}

// inflate decodes a compressed blob of a known plain size into buf, which is
// replaced where it is too small.
func inflate(dec *zstd.Decoder, packed []byte, size int, buf []byte) ([]byte, error) {
	if cap(buf) < size {
		buf = make([]byte, size)
	}
	plain, err := dec.DecodeAll(packed, buf[:0:size])
	if err != nil {
		return nil, damaged("decompress: %w", err)
	}
	if len(plain) != size {
		return nil, damaged("decompressed to %d bytes, the index says %d", len(plain), size)
	}
	return plain, nil
}

// deflate compresses plain into dst[:0] and proves that it comes back equal,
// by decoding it into scratch. ok is false where compressing does not pay.
func deflate(enc *zstd.Encoder, dec *zstd.Decoder, plain, dst, scratch []byte) (packed []byte, ok bool, err error) {
	if len(plain) < minCompress || incompressible(plain) {
		return dst, false, nil
	}
	packed = enc.EncodeAll(plain, dst[:0])
	if len(packed) >= len(plain)-len(plain)/64 {
		return packed, false, nil
	}
	back, err := dec.DecodeAll(packed, scratch[:0:len(plain)])
	if err != nil || !bytes.Equal(back, plain) {
		return packed, false, fmt.Errorf("compressing a blob of %d bytes lost data (%v): nothing was stored, test this machine's memory", len(plain), err)
	}
	return packed, true, nil
}

// minCompress is the size below which compressing cannot gain more than the
// frame costs.
const minCompress = 32

// Samples for the guess whether a blob is incompressible.
const (
	sampleSize  = 4 << 10
	sampleEvery = 64 << 10
	sampleLimit = 0.02
)

// incompressible guesses from samples, for media and archives would cost the
// time of compression for nothing. Blobs too small to sample are tried.
func incompressible(plain []byte) bool {
	if len(plain) < 4*sampleSize {
		return false
	}
	for i := 0; i+sampleSize <= len(plain); i += sampleEvery {
		if compress.Estimate(plain[i:i+sampleSize]) > sampleLimit {
			return false
		}
	}
	return compress.Estimate(plain[len(plain)-sampleSize:]) <= sampleLimit
}
