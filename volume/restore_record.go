package volume

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// A record is one entry, or one operation, as a restore keeps it on disk and
// sends it: numbers as varints, strings and bytes with their length before
// them. The bounds are those of Linux, with room: a reader refuses what exceeds
// them before it allocates.
const (
	maxPath    = 64 << 10
	maxName    = 1 << 10 // 255 characters of three bytes each, on filesystems that count so
	maxTarget  = 64 << 10
	maxXattrN  = 64 << 10
	maxXattr   = 64 << 10
	maxRecord  = 8 << 20
	blobRecord = 32 + 4 + 1
)

var errRecord = errors.New("a record is damaged")

type encoder struct{ buf []byte }

func (e *encoder) uint(v uint64) { e.buf = binary.AppendUvarint(e.buf, v) }
func (e *encoder) int(v int64)   { e.buf = binary.AppendVarint(e.buf, v) }
func (e *encoder) byte(v byte)   { e.buf = append(e.buf, v) }
func (e *encoder) string(s string) {
	e.uint(uint64(len(s)))
	e.buf = append(e.buf, s...)
}

func (e *encoder) time(t Time) {
	e.int(t.Sec)
	e.uint(uint64(t.Nsec))
}

func (e *encoder) entry(n *Entry) {
	e.string(n.Path)
	e.byte(byte(n.Type))
	e.uint(uint64(n.Mode))
	e.uint(uint64(n.UID))
	e.uint(uint64(n.GID))
	e.int(n.Size)
	e.time(n.ModTime)
	e.time(n.AccessTime)
	e.time(n.ChangeTime)
	e.uint(n.Inode)
	e.uint(n.Links)
	e.uint(n.Rdev)
	e.string(n.LinkTarget)
	e.string(n.HardLinkOf)
	e.uint(uint64(len(n.Xattrs)))
	for _, x := range n.Xattrs {
		e.string(x.Name)
		e.string(string(x.Value))
	}
}

func (e *encoder) blob(b Blob) {
	e.buf = append(e.buf, b.ID[:]...)
	e.buf = binary.BigEndian.AppendUint32(e.buf, b.Length)
	hole := byte(0)
	if b.Hole {
		hole = 1
	}
	e.byte(hole)
}

// decoder reads what encoder wrote; after the first damage it gives zeros and
// keeps the error.
type decoder struct {
	buf []byte
	err error
}

func (d *decoder) fail() {
	d.err, d.buf = errRecord, nil
}

func (d *decoder) uint() uint64 {
	v, n := binary.Uvarint(d.buf)
	if n <= 0 {
		d.fail()
		return 0
	}
	d.buf = d.buf[n:]
	return v
}

func (d *decoder) uint32() uint32 {
	v := d.uint()
	if v > 1<<32-1 {
		d.fail()
		return 0
	}
	return uint32(v)
}

func (d *decoder) int() int64 {
	v, n := binary.Varint(d.buf)
	if n <= 0 {
		d.fail()
		return 0
	}
	d.buf = d.buf[n:]
	return v
}

func (d *decoder) byte() byte {
	if len(d.buf) == 0 {
		d.fail()
		return 0
	}
	v := d.buf[0]
	d.buf = d.buf[1:]
	return v
}

func (d *decoder) bytes(limit int) []byte {
	n := d.uint()
	if n > uint64(limit) || n > uint64(len(d.buf)) {
		d.fail()
		return nil
	}
	v := d.buf[:n]
	d.buf = d.buf[n:]
	return v
}

func (d *decoder) string(limit int) string { return string(d.bytes(limit)) }

func (d *decoder) time() Time {
	t := Time{Sec: d.int(), Nsec: d.uint32()}
	if t.Nsec >= 1e9 {
		d.fail()
	}
	return t
}

func (d *decoder) entry() Entry {
	n := Entry{
		Path: d.string(maxPath), Type: Type(d.byte()), Mode: d.uint32(),
		UID: d.uint32(), GID: d.uint32(), Size: d.int(),
		ModTime: d.time(), AccessTime: d.time(), ChangeTime: d.time(),
		Inode: d.uint(), Links: d.uint(), Rdev: d.uint(),
		LinkTarget: d.string(maxTarget), HardLinkOf: d.string(maxPath),
	}
	count := d.uint()
	if count > maxXattrN {
		d.fail()
		return n
	}
	for range count {
		if d.err != nil {
			break
		}
		n.Xattrs = append(n.Xattrs, Xattr{Name: d.string(255), Value: append([]byte{}, d.bytes(maxXattr)...)})
	}
	return n
}

func (d *decoder) blob() Blob {
	var b Blob
	if len(d.buf) < blobRecord {
		d.fail()
		return b
	}
	copy(b.ID[:], d.buf)
	b.Length = binary.BigEndian.Uint32(d.buf[32:])
	b.Hole = d.buf[36] == 1
	d.buf = d.buf[blobRecord:]
	return b
}

// end says whether the record was read whole and to its last byte.
func (d *decoder) end() error {
	if d.err == nil && len(d.buf) != 0 {
		d.fail()
	}
	return d.err
}

// writeRecord writes one record with its length before it.
func writeRecord(w io.Writer, payload []byte) error {
	if len(payload) > maxRecord {
		return fmt.Errorf("a record of %d bytes: the limit is %d", len(payload), maxRecord)
	}
	var head [binary.MaxVarintLen64]byte
	if _, err := w.Write(head[:binary.PutUvarint(head[:], uint64(len(payload)))]); err != nil {
		return err
	}
	_, err := w.Write(payload)
	return err
}

// readRecord reads one record into buf, growing it as needed; io.EOF only
// between records.
func readRecord(r *bufio.Reader, buf []byte) ([]byte, error) {
	if _, err := r.Peek(1); err != nil {
		return nil, err
	}
	n, err := binary.ReadUvarint(r)
	if err != nil {
		return nil, cut(err)
	}
	if n > maxRecord {
		return nil, errRecord
	}
	if uint64(cap(buf)) < n {
		buf = make([]byte, n)
	}
	buf = buf[:n]
	if _, err := io.ReadFull(r, buf); err != nil {
		return nil, cut(err)
	}
	return buf, nil
}
