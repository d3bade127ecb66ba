package main

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"text/tabwriter"

	chunkers "github.com/PlakarKorp/go-cdc-chunkers"
	"github.com/PlakarKorp/go-cdc-chunkers/chunkers/fastcdc"
	"github.com/klauspost/compress/zstd"
	//lint:ignore SA1019 it is what the format takes
	"golang.org/x/crypto/poly1305"
)

// limitsSize is how much is measured, one blob of 1 MiB after the other.
const (
	limitsSize = 512 << 20
	limitsBlob = 1 << 20
)

// limits measures what the parts of a first backup cost by themselves on this
// machine, in CPU seconds for each GiB of half-compressible data, and prints
// their sum: no backup that does all of it can cost less.
func limits(out io.Writer) error {
	dir, err := os.MkdirTemp(os.Getenv("BENCH_DIR"), "ripplebak-limits-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := bigFiles(dir, limitsSize); err != nil {
		return err
	}
	plain := make([]byte, limitsBlob)
	halfCompressible(rand.New(rand.NewPCG(seed, 9)), plain)
	steps, err := limitSteps(dir, plain)
	if err != nil {
		return err
	}
	tw := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(tw, "alone\tCPU s/GiB\t\n")
	sum := 0.0
	for _, s := range steps {
		var each []figures
		for range 5 {
			cpu, err := cpuOf(s.run)
			if err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
			each = append(each, figures{cpu: cpu * (1 << 30) / limitsSize})
		}
		cost := median(each).cpu
		sum += cost
		fmt.Fprintf(tw, "%s\t%.2f\t\n", s.name, cost)
	}
	fmt.Fprintf(tw, "sum\t%.2f\t\n", sum)
	return tw.Flush()
}

type limitStep struct {
	name string
	run  func() error
}

// limitSteps are the parts, each over limitsSize of plain content.
func limitSteps(dir string, plain []byte) ([]limitStep, error) {
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(false), zstd.WithWindowSize(1<<20))
	if err != nil {
		return nil, err
	}
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1))
	if err != nil {
		return nil, err
	}
	var key [32]byte
	block, err := aes.NewCipher(key[:])
	if err != nil {
		return nil, err
	}
	var cdc fastcdc.FastCDC
	opts := &chunkers.ChunkerOpts{MinSize: 512 << 10, NormalSize: 512 << 10, MaxSize: 8 << 20}
	if err := cdc.Setup(opts); err != nil {
		return nil, err
	}
	packed := enc.EncodeAll(plain, nil)
	sealed, scratch := make([]byte, len(packed)), make([]byte, 0, 2*limitsBlob)
	blobs := func(fn func() error) func() error {
		return func() error {
			for range limitsSize / limitsBlob {
				if err := fn(); err != nil {
					return err
				}
			}
			return nil
		}
	}
	return []limitStep{
		{"read from the page cache", func() error { return readFiles(dir) }},
		{"chunk (FastCDC)", blobs(func() error { cdc.Algorithm(opts, plain, len(plain)); return nil })},
		{"hash (SHA-256, blobs)", blobs(func() error { sha256.Sum256(plain); return nil })},
		{"compress (zstd, fastest)", blobs(func() error { scratch = enc.EncodeAll(plain, scratch[:0]); return nil })},
		{"decode to compare", blobs(func() error { _, err := dec.DecodeAll(packed, scratch[:0]); return err })},
		{"seal (AES-CTR, Poly1305)", blobs(func() error {
			cipher.NewCTR(block, key[:16]).XORKeyStream(sealed, packed)
			var tag [16]byte
			poly1305.Sum(&tag, sealed, &key)
			return nil
		})},
		{"hash (SHA-256, packs)", blobs(func() error { sha256.Sum256(sealed); return nil })},
	}, nil
}

// readFiles reads all files of a directory.
func readFiles(dir string) error {
	buf := make([]byte, limitsBlob)
	names, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		return err
	}
	for _, name := range names {
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		for err == nil {
			_, err = f.Read(buf)
		}
		if cerr := f.Close(); err == io.EOF {
			err = cerr
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// cpuOf is the CPU time, in seconds, that the process takes for fn.
func cpuOf(fn func() error) (float64, error) {
	var before, after syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &before); err != nil {
		return 0, err
	}
	if err := fn(); err != nil {
		return 0, err
	}
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &after); err != nil {
		return 0, err
	}
	seconds := func(u *syscall.Rusage) float64 {
		return float64(u.Utime.Sec+u.Stime.Sec) + float64(u.Utime.Usec+u.Stime.Usec)/1e6
	}
	return seconds(&after) - seconds(&before), nil
}
