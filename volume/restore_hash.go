package volume

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"hash"
	"io"
	"sync"

	"golang.org/x/sys/unix"
)

// candidate is a file in place whose content is compared with the snapshot's.
// Hashers open it when they come to it; the decider closes it.
type candidate struct {
	tree *beneath
	path string
	is   meta

	once sync.Once
	fd   int
	err  error
}

// piece is a part of a file's content, of bounded length in blobs.
type piece struct {
	file  *candidate
	blobs []Blob
	start int64
	end   int64

	same []bool        // of each blob: the file in place has it there
	done chan struct{} // closed when same is set; nil if there is nothing to compare
}

func newPiece(file *candidate, blobs []Blob, start int64) *piece {
	p := &piece{file: file, blobs: blobs, start: start, end: start}
	for _, b := range blobs {
		p.end += int64(b.Length)
	}
	if file != nil {
		p.same, p.done = make([]bool, len(blobs)), make(chan struct{})
	}
	return p
}

// open opens the file in place, if it is still the one that was looked at.
func (f *candidate) open() (int, error) {
	f.once.Do(func() {
		f.err = f.tree.at(f.path, func(dir int, name string) error {
			fd, err := f.tree.root.openFile(dir, name)
			if err != nil {
				return err
			}
			var m meta
			if err = statFD(fd, &m); err == nil && (m.typ != File || m.ino != f.is.ino) {
				err = ErrChangedMeanwhile
			}
			if err != nil {
				unix.Close(fd) // only read from
				return err
			}
			f.fd = fd
			return nil
		})
	})
	return f.fd, f.err
}

func (f *candidate) close() {
	if f != nil && f.fd >= 0 {
		unix.Close(f.fd) // only read from
		f.fd = -1
	}
}

// hasher compares pieces until there are no more.
type hasher struct {
	sum  hash.Hash
	buf  []byte
	zero []byte
}

func newHasher() *hasher {
	return &hasher{sum: sha256.New(), buf: make([]byte, 256<<10), zero: make([]byte, 256<<10)}
}

func (h *hasher) run(ctx context.Context, work <-chan *piece) {
	for p := range work {
		if ctx.Err() == nil {
			h.compare(p)
		}
		close(p.done)
	}
}

// compare finds which blobs of a piece the file in place has at their offsets.
// What cannot be read is not the same: it is what the restore is there for.
func (h *hasher) compare(p *piece) {
	fd, err := p.file.open()
	if err != nil {
		return
	}
	offset := p.start
	for i, b := range p.blobs {
		length := int64(b.Length)
		if offset+length > p.file.is.size {
			return
		}
		if b.Hole {
			p.same[i] = h.isZero(fd, offset, length)
		} else {
			p.same[i] = h.has(fd, offset, b)
		}
		offset += length
	}
}

// has says whether the file has the blob at offset.
func (h *hasher) has(fd int, offset int64, b Blob) bool {
	h.sum.Reset()
	for left := int(b.Length); left > 0; {
		n, err := pread(fd, h.buf[:min(left, len(h.buf))], offset)
		if n == 0 || err != nil {
			return false
		}
		h.sum.Write(h.buf[:n])
		left, offset = left-n, offset+int64(n)
	}
	var id [32]byte
	return bytes.Equal(h.sum.Sum(id[:0]), b.ID[:])
}

// isZero says whether the file has zeros only; a hole is not read.
func (h *hasher) isZero(fd int, offset, length int64) bool {
	data, err := unix.Seek(fd, offset, unix.SEEK_DATA)
	if errors.Is(err, unix.ENXIO) || err == nil && data >= offset+length {
		return true
	}
	for left := length; left > 0; {
		n, err := pread(fd, h.buf[:min(left, int64(len(h.buf)))], offset)
		if n == 0 || err != nil || !bytes.Equal(h.buf[:n], h.zero[:n]) {
			return false
		}
		left, offset = left-int64(n), offset+int64(n)
	}
	return true
}

func pread(fd int, p []byte, offset int64) (int, error) {
	return ignoringEINTR(func() (int, error) { return unix.Pread(fd, p, offset) })
}

// preadFull fills p.
func preadFull(fd int, p []byte, offset int64) error {
	for len(p) > 0 {
		n, err := pread(fd, p, offset)
		if err != nil {
			return err
		}
		if n == 0 {
			return io.ErrUnexpectedEOF
		}
		p, offset = p[n:], offset+int64(n)
	}
	return nil
}

// pwriteFull writes all of p.
func pwriteFull(fd int, p []byte, offset int64) error {
	for len(p) > 0 {
		n, err := ignoringEINTR(func() (int, error) { return unix.Pwrite(fd, p, offset) })
		if err != nil {
			return err
		}
		if n == 0 {
			return io.ErrShortWrite
		}
		p, offset = p[n:], offset+int64(n)
	}
	return nil
}
