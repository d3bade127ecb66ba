package dump

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
)

// influxMeta is the name under which influxFilter passes the metadata on.
const influxMeta = ".ripplebak-meta.db"

// influxFilter makes of a backup the files of a server's data directory, and of
// its metadata one more. The tar that it writes is all its own: names that were
// looked at, no owner, no link. What it reads it proves once more, so that the
// end is let through only after that.
type influxFilter struct {
	from  io.Reader
	proof *influxProof
	out   bytes.Buffer
	tar   *tar.Writer
	buf   []byte
	meta  bool // the metadata was passed on
	pass  bool // so is the file at hand
	ended bool
	err   error
}

// newInfluxFilter reads a stored dump. An error of it is one of the reader, so
// that no program takes it for the end.
func newInfluxFilter(from io.Reader) io.Reader {
	f := &influxFilter{from: from, proof: newInfluxProof(), buf: make([]byte, 64<<10)}
	f.tar = tar.NewWriter(&f.out)
	f.proof.files = f
	return f
}

func (f *influxFilter) Read(p []byte) (int, error) {
	for f.out.Len() == 0 {
		switch {
		case f.err != nil:
			return 0, f.err
		case f.ended:
			return 0, io.EOF
		}
		f.fill()
	}
	return f.out.Read(p) // a buffer that holds something
}

// fill reads on.
func (f *influxFilter) fill() {
	n, err := f.from.Read(f.buf)
	f.proof.Write(f.buf[:n]) // a proof takes all
	switch {
	case f.proof.err != nil:
		f.err = f.proof.err
	case err == nil:
	case !errors.Is(err, io.EOF):
		f.err = err
	default:
		f.err = f.end()
	}
}

// end proves what was read, and ends what is written.
func (f *influxFilter) end() error {
	if err := f.proof.Finish(); err != nil {
		return err
	}
	if err := f.putMeta(); err != nil {
		return err
	}
	f.ended = true
	return f.tar.Close()
}

// header is one that every tar understands.
func (f *influxFilter) header(name string, size int64) error {
	return f.tar.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: size, Mode: 0o640, Format: tar.FormatGNU})
}

// putMeta passes the metadata on, before anything else.
func (f *influxFilter) putMeta() error {
	if f.meta {
		return nil
	}
	f.meta = true
	if err := f.header(influxMeta, int64(len(f.proof.meta.raw))); err != nil {
		return err
	}
	_, err := f.tar.Write(f.proof.meta.raw)
	return err
}

// entry begins a file of a shard.
func (f *influxFilter) entry(h *tar.Header) (err error) {
	if f.pass, err = influxPath(h); !f.pass || err != nil {
		return err
	}
	if err := f.putMeta(); err != nil {
		return err
	}
	return f.header(h.Name, h.Size)
}

func (f *influxFilter) content(p []byte) error {
	if !f.pass {
		return nil
	}
	_, err := f.tar.Write(p)
	return err
}

func (f *influxFilter) done() error {
	if f.pass {
		return f.tar.Flush()
	}
	return nil
}
