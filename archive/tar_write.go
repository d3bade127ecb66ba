package archive

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"path"
	"strconv"

	"github.com/ripplebak/ripplebak/repository"
	"github.com/ripplebak/ripplebak/volume"
)

// tarSparse is how much of a file must be holes, in bytes, for it to be written
// as a sparse one: not every program reads those.
const tarSparse = 512 << 10

// tarBlock is what the headers and the content of an archive are padded to.
const tarBlock = 512

// extent is a part of a sparse file that is no hole.
type extent struct{ offset, length int64 }

func (e extent) end() int64 { return e.offset + e.length }

// tarPiece is content of an entry: a blob, or else so many zeros.
type tarPiece struct {
	id     repository.ID
	length int64
	zeros  bool
}

// piecesOf are the blobs one after the other.
func piecesOf(blobs []volume.Blob) []tarPiece {
	out := make([]tarPiece, 0, len(blobs))
	for _, b := range blobs {
		out = append(out, tarPiece{id: b.ID, length: int64(b.Length)})
	}
	return out
}

// extentsOf finds what lies between the holes, and marks the end of the file.
// GNU tar pads each extent to a block and others pad none, so that all of them
// begin and end at one, but for the end of the file: a few zeros of the holes
// belong to them.
func extentsOf(blobs []volume.Blob, size int64) []extent {
	var out []extent
	var at int64
	for _, b := range blobs {
		from := at
		at += int64(b.Length)
		if b.Hole {
			continue
		}
		from, to := from&^(tarBlock-1), min((at+tarBlock-1)&^(tarBlock-1), size)
		if last := len(out) - 1; last >= 0 && out[last].end() >= from {
			out[last].length = to - out[last].offset
		} else {
			out = append(out, extent{from, to - from})
		}
	}
	if last := len(out) - 1; last < 0 || out[last].end() < size {
		out = append(out, extent{size, 0})
	}
	return out
}

// sparsePieces are what extents hold: the blobs, and zeros around them.
func sparsePieces(blobs []volume.Blob, extents []extent) []tarPiece {
	var out []tarPiece
	fill := func(n int64) {
		if n > 0 {
			out = append(out, tarPiece{length: n, zeros: true})
		}
	}
	var at int64
	done := extents[0].offset // up to where the present extent is filled
	for _, b := range blobs {
		from := at
		at += int64(b.Length)
		if b.Hole {
			continue
		}
		for extents[0].end() <= from {
			fill(extents[0].end() - done)
			extents = extents[1:]
			done = extents[0].offset
		}
		fill(from - done)
		out = append(out, tarPiece{id: b.ID, length: int64(b.Length)})
		done = at
	}
	fill(extents[0].end() - done)
	return out
}

// tarHeader is a header, and where the content of a sparse file lies.
type tarHeader struct {
	tar.Header
	sparse  bool
	extents []extent
	pieces  []tarPiece
}

// tarWriter writes an archive. The library writes everything but the records
// of sparse files, which it reserves for itself and never writes.
type tarWriter struct {
	out io.Writer
	tar *tar.Writer
	raw int64 // what the present sparse file has left; -1 where there is none
	pad int64
}

func newTarWriter(w io.Writer) *tarWriter {
	return &tarWriter{out: w, tar: tar.NewWriter(w), raw: -1}
}

// begin ends the entry before and writes the header of the next.
func (t *tarWriter) begin(h *tarHeader) error {
	if err := t.end(); err != nil {
		return err
	}
	if h.sparse {
		return t.beginSparse(h)
	}
	if err := t.tar.WriteHeader(&h.Header); err != nil {
		return fmt.Errorf("%q: %w", h.Name, err)
	}
	return nil
}

// write writes content of the entry.
func (t *tarWriter) write(b []byte) error {
	if t.raw < 0 {
		_, err := t.tar.Write(b)
		return err
	}
	if t.raw -= int64(len(b)); t.raw < 0 {
		return tar.ErrWriteTooLong
	}
	_, err := t.out.Write(b)
	return err
}

// end pads the entry. One that lacks content is an error.
func (t *tarWriter) end() error {
	if t.raw < 0 {
		return t.tar.Flush()
	}
	if t.raw > 0 {
		return fmt.Errorf("a sparse file lacks %d bytes", t.raw)
	}
	t.raw = -1
	_, err := t.out.Write(make([]byte, t.pad))
	return err
}

// close ends the last entry and writes the end of the archive.
func (t *tarWriter) close() error {
	if err := t.end(); err != nil {
		return err
	}
	return t.tar.Close()
}

// sparseKey stands for "GNU.sparse." until the header is written: the library
// leaves that one out. Both are as long, and nothing else begins so.
const (
	sparseKey  = "\x01NU.sparse."
	sparseReal = "GNU.sparse."
)

// beginSparse writes a header in GNU tar's sparse format 1.0: the size is that
// of what is stored, which begins with the map of it.
func (t *tarWriter) beginSparse(h *tarHeader) error {
	list := sparseMap(h.extents)
	stored := int64(0)
	for _, e := range h.extents {
		stored += e.length
	}
	hdr := h.Header
	hdr.PAXRecords[sparseKey+"major"], hdr.PAXRecords[sparseKey+"minor"] = "1", "0"
	hdr.PAXRecords[sparseKey+"name"], hdr.PAXRecords[sparseKey+"realsize"] = h.Name, strconv.FormatInt(h.Size, 10)
	hdr.Name = path.Join(path.Dir(h.Name), "GNUSparseFile.0", path.Base(h.Name))
	hdr.Size = stored + int64(len(list))

	var block bytes.Buffer
	if err := tar.NewWriter(&block).WriteHeader(&hdr); err != nil {
		return fmt.Errorf("%q: %w", h.Name, err)
	}
	if err := nameSparseRecords(block.Bytes()); err != nil {
		return fmt.Errorf("%q: %w", h.Name, err)
	}
	block.Write(list)
	t.raw, t.pad = stored, -stored&(tarBlock-1)
	_, err := t.out.Write(block.Bytes())
	return err
}

// sparseMap lists extents: how many, then offset and length of each, one number
// a line, padded.
func sparseMap(extents []extent) []byte {
	out := strconv.AppendInt(nil, int64(len(extents)), 10)
	out = append(out, '\n')
	for _, e := range extents {
		out = append(strconv.AppendInt(out, e.offset, 10), '\n')
		out = append(strconv.AppendInt(out, e.length, 10), '\n')
	}
	return append(out, make([]byte, -len(out)&(tarBlock-1))...)
}

// nameSparseRecords gives the records in the first header their real names.
// Each is its length, in digits, a space, the name, "=", the value and a line
// break. No checksum is over them.
func nameSparseRecords(block []byte) error {
	found := 0
	if len(block) < 2*tarBlock {
		return errors.New("a header without records")
	}
	for rest := block[tarBlock:]; len(rest) > 0 && rest[0] != 0; {
		space := bytes.IndexByte(rest, ' ')
		if space < 0 {
			break
		}
		n, err := strconv.Atoi(string(rest[:space]))
		if err != nil || n <= space || n > len(rest) {
			break // the records end with their last block
		}
		if key := rest[space+1 : n]; bytes.HasPrefix(key, []byte(sparseKey)) {
			copy(key, sparseReal)
			found++
		}
		rest = rest[n:]
	}
	if found != 4 {
		return fmt.Errorf("%d records of a sparse file are in its header, and not 4", found)
	}
	return nil
}
