package main

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"text/tabwriter"

	chunkers "github.com/PlakarKorp/go-cdc-chunkers"
	"github.com/PlakarKorp/go-cdc-chunkers/chunkers/fastcdc"
	"github.com/docker/go-units"
	"github.com/klauspost/compress/zstd"
)

// What a blob costs beside its content, in bytes.
const (
	blobSealed = 32 + 41 // nonce and MAC, and its entry in the pack's header
	blobTree   = 67      // its ID in the tree, as JSON
	blobMemory = 56      // in the index in memory
)

// cuts compares sizes of chunks: what two states of the same files, BEFORE and
// AFTER, take if one is stored first and then the other. Both are files or
// directories.
func cuts(out io.Writer, args []string) error {
	if len(args) != 3 || args[0] != "pages" && args[0] != "content" {
		return errors.New("usage: bench cuts pages|content BEFORE AFTER")
	}
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1))
	if err != nil {
		return err
	}
	tw := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(tw, "size\tblobs\tstored first\tstored again\ttrees again\tindex in memory\t\n")
	for _, size := range []int{8 << 10, 16 << 10, 32 << 10, 64 << 10, 128 << 10, 1 << 20} {
		c := &cutCounter{seen: map[[32]byte]bool{}, enc: enc}
		if err := c.setup(args[0], size); err != nil {
			return err
		}
		if err := c.add(args[1]); err != nil {
			return err
		}
		first := c.stored
		c.stored, c.trees = 0, 0
		if err := c.add(args[2]); err != nil {
			return err
		}
		human := func(n int64) string { return units.BytesSize(float64(n)) }
		fmt.Fprintf(tw, "%s\t%d\t%s\t%s\t%s\t%s\t\n", human(int64(size)), len(c.seen), human(first), human(c.stored), human(c.trees), human(int64(len(c.seen))*blobMemory))
	}
	return tw.Flush()
}

// cutCounter counts what is stored.
type cutCounter struct {
	cut           func([]byte) int
	seen          map[[32]byte]bool
	enc           *zstd.Encoder
	scratch       []byte
	stored, trees int64
}

// setup makes cut: pages of a size, or chunks of that size on average, the
// least being half of it and the most four times as much.
func (c *cutCounter) setup(kind string, size int) error {
	if kind == "pages" {
		c.cut = func(b []byte) int { return min(size, len(b)) }
		return nil
	}
	var cdc fastcdc.FastCDC
	opts := &chunkers.ChunkerOpts{MinSize: size / 2, NormalSize: size / 2, MaxSize: size * 4}
	c.cut = func(b []byte) int { return cdc.Algorithm(opts, b, len(b)) }
	return cdc.Setup(opts)
}

func (c *cutCounter) add(root string) error {
	return filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		return errors.Join(c.file(f), f.Close())
	})
}

// file cuts a file. A file is taken in windows of 64 MiB, a multiple of every
// size of pages.
func (c *cutCounter) file(f *os.File) error {
	buf := make([]byte, 64<<20)
	kept := 0
	for blobs := int64(0); ; {
		n, err := io.ReadFull(f, buf[kept:])
		ended := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
		if err != nil && !ended {
			return err
		}
		data := buf[:kept+n]
		for len(data) > 8<<20 || ended && len(data) > 0 {
			size := c.cut(data)
			c.blob(data[:size])
			data = data[size:]
			blobs++
		}
		if ended {
			c.trees += blobs * blobTree
			return nil
		}
		kept = copy(buf, data)
	}
}

func (c *cutCounter) blob(b []byte) {
	id := sha256.Sum256(b)
	if c.seen[id] {
		return
	}
	c.seen[id] = true
	c.scratch = c.enc.EncodeAll(b, c.scratch[:0])
	c.stored += int64(min(len(c.scratch), len(b))) + blobSealed
}
