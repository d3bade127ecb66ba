package repository

import (
	"crypto/sha256"
	"fmt"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/ripplebak/ripplebak/storage"
)

// benchStore is a repository on disk.
func benchStore(b *testing.B) (*Repository, storage.Store) {
	s, _ := testLocal(b)
	testInit(b, s, InitOptions{})
	return testOpen(b, s, Options{}), s
}

// BenchmarkPipeline is a first backup of 256 MiB in 3 MiB files, to be
// compared with the pieces below.
func BenchmarkPipeline(b *testing.B) {
	for _, level := range []zstd.EncoderLevel{zstd.SpeedFastest, zstd.SpeedDefault} {
		for name, make := range map[string]func(uint64, int) []byte{"half": testData, "random": randomData} {
			b.Run(fmt.Sprintf("%s/%s", level, name), func(b *testing.B) {
				const files, size = 85, 3 << 20
				data := make(1, files*size)
				b.SetBytes(files * size)
				for b.Loop() {
					b.StopTimer()
					r, s := benchStore(b)
					b.StartTimer()
					w := testWriter(b, r, s.Writer(), WriterOptions{Level: level})
					for i := range files {
						mustWrite(b, w, CutFile, data[i*size:(i+1)*size])
					}
					if err := w.Flush(b.Context()); err != nil {
						b.Fatal(err)
					}
					st := w.Stats()
					b.ReportMetric(float64(st.BytesStored)/float64(st.BytesRead), "ratio")
					closeWriter(b, w)
				}
			})
		}
	}
}

// BenchmarkSmallFiles is a first backup of 20,000 files of 1 to 20 KiB.
func BenchmarkSmallFiles(b *testing.B) {
	const files = 20_000
	data := testData(1, files*256+20<<10)
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		r, s := benchStore(b)
		b.StartTimer()
		w := testWriter(b, r, s.Writer(), WriterOptions{})
		contents := make([]*Content, files)
		for i := range files {
			contents[i] = mustWrite(b, w, CutFile, data[i*256:][:1024+(i*7919)%(19<<10)])
		}
		for _, c := range contents {
			mustWait(b, c)
		}
		if err := w.Flush(b.Context()); err != nil {
			b.Fatal(err)
		}
		closeWriter(b, w)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*files), "ns/file")
}

// BenchmarkPieces is what the stages of the pipeline cost by themselves, on
// one core, for chunks of 1 MiB.
func BenchmarkPieces(b *testing.B) {
	const size = 1 << 20
	half, random := testData(1, size), randomData(1, size)
	run := func(name string, bytes int, fn func()) {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(bytes))
			for b.Loop() {
				fn()
			}
		})
	}
	run("sha256", size, func() { sha256.Sum256(half) })
	dst := make([]byte, 2*size)
	run("copy", size, func() { copy(dst, half) })
	m, err := newMasterKey()
	if err != nil {
		b.Fatal(err)
	}
	s, err := newSealer(m)
	if err != nil {
		b.Fatal(err)
	}
	run("seal", size, func() {
		if err := s.seal(dst[:size+sealOverhead], half); err != nil {
			b.Fatal(err)
		}
	})
	dec, err := newBlobDecoder(1)
	if err != nil {
		b.Fatal(err)
	}
	for _, level := range []zstd.EncoderLevel{zstd.SpeedFastest, zstd.SpeedDefault} {
		enc, err := newEncoder(level)
		if err != nil {
			b.Fatal(err)
		}
		run("zstd-"+level.String(), size, func() { dst = enc.EncodeAll(half, dst[:0]) })
		run("zstd-random-"+level.String(), size, func() { dst = enc.EncodeAll(random, dst[:0]) })
	}
	enc, err := newEncoder(zstd.SpeedFastest)
	if err != nil {
		b.Fatal(err)
	}
	packed := enc.EncodeAll(half, nil)
	run("unzstd", size, func() {
		if dst, err = dec.DecodeAll(packed, dst[:0:size]); err != nil {
			b.Fatal(err)
		}
	})
	run("incompressible", size, func() { incompressible(random) })
	big := testData(3, 64<<20)
	c, err := newChunker(testPolynomial)
	if err != nil {
		b.Fatal(err)
	}
	run("chunk-file", len(big), func() {
		for rest := big; len(rest) > 0; {
			n := c.cutFile(&fileScan{}, rest[:min(len(rest), fileMax)], true)
			if n == 0 {
				n = len(rest)
			}
			rest = rest[n:]
		}
	})
	run("chunk-dump", len(big), func() {
		for rest := big; len(rest) > 0; rest = rest[c.cutDump(rest, true):] {
		}
	})
}

// BenchmarkTree decodes and encodes a tree of 2,000 files.
func BenchmarkTree(b *testing.B) {
	const count = 2000
	t := &Tree{}
	for i := range count {
		n := fileNode(fmt.Sprintf("file-%06d.dat", i), []ID{sha256.Sum256([]byte{byte(i), byte(i >> 8)})}, uint64(i))
		n.Inode = uint64(1_000_000 + i)
		t.Nodes = append(t.Nodes, n)
	}
	doc, err := appendTree(nil, t)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("decode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := decodeTree(doc); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*count), "ns/node")
	})
	b.Run("encode", func(b *testing.B) {
		buf := make([]byte, 0, 2*len(doc))
		for b.Loop() {
			if _, err := appendTree(buf, t); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*count), "ns/node")
	})
}

// BenchmarkIndexParse reads an index file of 50,000 blobs.
func BenchmarkIndexParse(b *testing.B) {
	packs := make([]indexedPack, 3000)
	n := 0
	for i := range packs {
		packs[i].id = sha256.Sum256([]byte(fmt.Sprint("pack", i)))
		offset := uint32(0)
		for range 17 {
			n++
			packs[i].blobs = append(packs[i].blobs, packedBlob{
				BlobHandle: BlobHandle{ID: sha256.Sum256([]byte(fmt.Sprint(n)))},
				offset:     offset, length: 600_000, plain: 1_000_000,
			})
			offset += 600_000
		}
	}
	doc := appendIndexFile(nil, packs)
	b.SetBytes(int64(len(doc)))
	var p parsedIndex
	b.ReportAllocs()
	for b.Loop() {
		if err := p.parse(doc); err != nil {
			b.Fatal(err)
		}
		newIndex().add(p.packs)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/blob")
}

// BenchmarkLoadBlobs reads 256 MiB back in bulk.
func BenchmarkLoadBlobs(b *testing.B) {
	r, s := benchStore(b)
	w := testWriter(b, r, s.Writer(), WriterOptions{})
	ids, size := mustWait(b, mustWrite(b, w, CutFile, testData(1, 256<<20)))
	if err := w.Flush(b.Context()); err != nil {
		b.Fatal(err)
	}
	closeWriter(b, w)
	handles := make([]BlobHandle, len(ids))
	for i, id := range ids {
		handles[i].ID = id
	}
	b.SetBytes(int64(size))
	for b.Loop() {
		if err := r.LoadBlobs(b.Context(), handles, func(BlobHandle, []byte) error { return nil }); err != nil {
			b.Fatal(err)
		}
	}
}
