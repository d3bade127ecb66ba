package volume

import (
	"encoding/binary"
	"fmt"
	"strings"
)

// A batch of a walk's events travels as the number of bytes of content that come
// with it and records, one after the other: a byte for the kind, then what the
// kind needs. Names are those inside the directory
// that is open, so that a record can name nothing outside of it, and an
// unchanged file costs its name and two bytes.
const (
	maxEvents = 1 << 20  // bytes of records in one entry of the stream
	maxDepth  = 4 << 10  // directories inside one another
	maxText   = 4 << 10  // of a warning
	maxPack   = 4 << 20  // bytes of content in one entry of the stream
	batchEnd  = 64 << 10 // a batch of this many bytes is sent

	batchHead = 4 // bytes of content, before the records
)

// recordWriter gathers records.
type recordWriter struct {
	enc    encoder
	inline int64 // bytes of content that the records announce
}

// entry adds a record of an entry whose path must be its name only.
func (w *recordWriter) entry(kind EventKind, e *Entry) {
	w.enc.byte(byte(kind))
	w.enc.entry(e)
}

// file adds a file whose n bytes of content travel with the batch.
func (w *recordWriter) file(e *Entry, n int64) {
	w.entry(FileStart, e)
	w.enc.uint(uint64(n))
	w.inline += n
}

func (w *recordWriter) unchanged(name string) {
	w.enc.byte(byte(Unchanged))
	w.enc.string(name)
}

func (w *recordWriter) leave() { w.enc.byte(byte(LeaveDir)) }

// streamEnd ends the content of a file that went in segments.
func (w *recordWriter) streamEnd() { w.enc.byte(byte(streamEnd)) }

func (w *recordWriter) warning(kind EventKind, v Warning) {
	w.enc.byte(byte(kind))
	w.enc.byte(byte(v.Kind))
	w.enc.string(v.Path[:min(len(v.Path), maxPath)])
	w.enc.string(v.Text[:min(len(v.Text), maxText)])
}

// empty says whether there is nothing to send.
func (w *recordWriter) empty() bool { return len(w.enc.buf) <= batchHead }

// batch gives what was gathered as a batch, good until reset.
func (w *recordWriter) batch() []byte {
	binary.BigEndian.PutUint32(w.enc.buf, uint32(w.inline))
	return w.enc.buf
}

func (w *recordWriter) reset() {
	var head [batchHead]byte
	w.enc.buf, w.inline = append(w.enc.buf[:0], head[:]...), 0
}

// load takes a batch and gives the bytes of content that come with it.
func (r *recordReader) load(batch []byte) (int64, error) {
	if len(batch) <= batchHead {
		return 0, fmt.Errorf("%w: an empty batch", ErrProtocol)
	}
	n := binary.BigEndian.Uint32(batch)
	if n > maxPack {
		return 0, fmt.Errorf("%w: %d bytes of content in a batch", ErrProtocol, n)
	}
	r.dec = decoder{buf: batch[batchHead:]}
	return int64(n), nil
}

// more says whether the batch has records left.
func (r *recordReader) more() bool { return len(r.dec.buf) > 0 }

// recordReader reads records and enforces what every walk keeps to: one root,
// directories left as often as entered, names that are names, ascending inside
// each directory.
type recordReader struct {
	dec   decoder
	path  []byte // of the directory that is open
	open  []openDir
	last  []byte // the last name of each open directory, end to end
	begun bool
	entry Entry
	warn  Warning
}

// openDir remembers where a directory's part of path and of last begin.
type openDir struct{ path, last int }

// next reads one record of the batch. inline is the content that travels with a
// FileStart.
func (r *recordReader) next() (ev Event, inline int64, err error) {
	kind := EventKind(r.dec.byte())
	if r.begun && len(r.open) == 0 && kind != Warned && kind != Unreadable {
		return ev, 0, fmt.Errorf("%w: an event after the root was left", ErrProtocol)
	}
	switch kind {
	case EnterDir, FileStart, Other, streamStart:
		r.entry = r.dec.entry()
	case Unchanged:
		r.entry = Entry{Path: r.dec.string(maxName)}
	case LeaveDir:
		return r.leave()
	case Warned, Unreadable:
		r.warn = Warning{Kind: WarningKind(r.dec.byte()), Path: r.dec.string(maxPath), Text: r.dec.string(maxText)}
		r.warn.Text = strings.ToValidUTF8(r.warn.Text, "?")
		return Event{Kind: kind, Warning: &r.warn}, 0, r.dec.err
	case streamEnd:
		return Event{Kind: kind}, 0, r.dec.err
	default:
		return ev, 0, fmt.Errorf("%w: an event of kind %d", ErrProtocol, kind)
	}
	if kind == FileStart {
		n := r.dec.uint()
		if n > maxPack {
			return ev, 0, fmt.Errorf("%w: %d bytes of content in a batch", ErrProtocol, n)
		}
		inline = int64(n)
	}
	if r.dec.err != nil {
		return ev, 0, r.dec.err
	}
	if err := r.place(kind); err != nil {
		return ev, 0, err
	}
	return Event{Kind: kind, Entry: &r.entry}, inline, nil
}

// place turns the entry's name into its path and checks both.
func (r *recordReader) place(kind EventKind) error {
	e := &r.entry
	name := e.Path
	if !r.begun {
		if kind != EnterDir || name != "" {
			return fmt.Errorf("%w: the walk does not begin with the root", ErrProtocol)
		}
		r.begun = true
		r.open = append(r.open, openDir{})
		return checkEntry(e)
	}
	if err := checkName(name, name); err != nil {
		return fmt.Errorf("%w: %w", ErrProtocol, err)
	}
	top := &r.open[len(r.open)-1]
	if last := string(r.last[top.last:]); name <= last {
		return fmt.Errorf("%w: %.80q does not come after %.80q", ErrProtocol, name, last)
	}
	r.last = append(r.last[:top.last], name...)
	dir := len(r.path)
	if dir > 0 {
		r.path = append(r.path, '/')
	}
	r.path = append(r.path, name...)
	if len(r.path) > maxPath {
		return fmt.Errorf("%w: a path of %d bytes", ErrProtocol, len(r.path))
	}
	e.Path = string(r.path)
	if kind == EnterDir {
		if len(r.open) >= maxDepth {
			return fmt.Errorf("%w: %d directories inside one another", ErrProtocol, len(r.open))
		}
		r.open = append(r.open, openDir{path: dir, last: len(r.last)})
	} else {
		r.path = r.path[:dir]
	}
	if kind == Unchanged {
		return nil
	}
	return r.checkKind(kind)
}

// checkKind says whether the entry can be part of such an event.
func (r *recordReader) checkKind(kind EventKind) error {
	e := &r.entry
	var ok bool
	switch kind {
	case EnterDir:
		ok = e.Type == Dir
	case FileStart, streamStart:
		ok = e.Type == File && e.HardLinkOf == ""
	case Other:
		ok = e.Type != Dir && (e.Type != File || e.HardLinkOf != "")
	}
	if !ok {
		return fmt.Errorf("%w: a %s in an event of kind %d", ErrProtocol, e.Type, kind)
	}
	if e.HardLinkOf != "" && Compare(e.HardLinkOf, e.Path) >= 0 {
		return fmt.Errorf("%w: a hard link to what comes later", ErrProtocol)
	}
	if err := checkEntry(e); err != nil {
		return fmt.Errorf("%w: %w", ErrProtocol, err)
	}
	return nil
}

func (r *recordReader) leave() (Event, int64, error) {
	if len(r.open) == 0 {
		return Event{}, 0, fmt.Errorf("%w: a directory left that was not entered", ErrProtocol)
	}
	top := r.open[len(r.open)-1]
	r.open = r.open[:len(r.open)-1]
	r.entry = Entry{Path: string(r.path), Type: Dir}
	r.path, r.last = r.path[:top.path], r.last[:top.last]
	return Event{Kind: LeaveDir, Entry: &r.entry}, 0, r.dec.err
}

// complete says whether the walk has entered the root and left it again.
func (r *recordReader) complete() bool { return r.begun && len(r.open) == 0 }
