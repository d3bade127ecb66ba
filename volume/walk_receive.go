package volume

import (
	"archive/tar"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"math"
	"strconv"
)

// receiver reads a walk's stream. It gives io.EOF only for a stream that ended
// with its end record, in which every count and the hash are right, and after
// which nothing came. Its memory is one batch of records.
type receiver struct {
	sum  tailSum
	tr   *tar.Reader
	recs recordReader
	err  error // sticky

	batch    []byte
	contents int64 // bytes of content of the batch that were not given out
	reached  bool  // and whether the stream stands in them
	file     fileState
	got      WalkResult // counted here
	res      WalkResult // what the helper says
}

// fileState is the content of the file of the last FileStart.
type fileState struct {
	open     bool // there is more of it in the stream
	segments bool // in segments, else with its batch
	size     int64
	offset   int64 // where the next segment begins
	data     io.LimitedReader
}

func newReceiver(r io.Reader) *receiver {
	c := &receiver{sum: tailSum{r: r, hash: newStreamSum()}}
	c.tr = tar.NewReader(&c.sum)
	return c
}

// next gives the next event; what is left of the current file is skipped.
func (c *receiver) next() (Event, error) {
	if c.err != nil {
		return Event{}, c.err
	}
	ev, err := c.step()
	if err != nil {
		c.err = err
		return Event{}, err
	}
	return ev, nil
}

func (c *receiver) step() (Event, error) {
	for c.file.open {
		if _, _, err := c.segment(); err != nil && !errors.Is(err, io.EOF) {
			return Event{}, err
		}
	}
	for !c.recs.more() {
		if err := c.nextBatch(); err != nil {
			return Event{}, err
		}
	}
	ev, inline, err := c.recs.next()
	if err != nil {
		return Event{}, protocolError(err)
	}
	switch ev.Kind {
	case FileStart:
		if inline > c.contents {
			return Event{}, fmt.Errorf("%w: a file of %d bytes, of which %d came", ErrProtocol, inline, c.contents)
		}
		c.file = fileState{open: true, size: inline}
	case streamStart:
		if c.recs.more() || c.contents != 0 {
			return Event{}, fmt.Errorf("%w: a file in segments does not end its batch", ErrProtocol)
		}
		ev.Kind = FileStart
		c.file = fileState{open: true, segments: true}
	case streamEnd:
		return Event{}, fmt.Errorf("%w: the end of a file that was not begun", ErrProtocol)
	}
	c.got.count(ev.Kind, ev.Entry)
	return ev, nil
}

// count adds an event. Both ends count, and the end record must agree.
func (res *WalkResult) count(kind EventKind, e *Entry) {
	switch kind {
	case EnterDir:
		res.Dirs++
	case Unchanged:
		res.Unchanged++
	case FileStart:
		res.Files++
	case Other:
		if e.Type == File {
			res.Files++
		} else {
			res.Others++
		}
	case Warned:
		res.Warnings++
	case Unreadable:
		res.Unreadable++
	}
}

// agrees compares the counts that both ends have.
func (res *WalkResult) agrees(said *WalkResult) bool {
	return res.Dirs == said.Dirs && res.Unchanged == said.Unchanged && res.Bytes == said.Bytes &&
		res.Files+res.Others+res.Unchanged == said.Files+said.Others &&
		res.Warnings == said.Warnings && res.Unreadable == said.Unreadable
}

// segment gives the next part of the current file, io.EOF at its end.
func (c *receiver) segment() (Segment, io.Reader, error) {
	if c.err != nil {
		return Segment{}, nil, c.err
	}
	if !c.file.open {
		return Segment{}, nil, io.EOF
	}
	seg, r, err := c.nextSegment()
	if err != nil && !errors.Is(err, io.EOF) {
		c.err = err
	}
	return seg, r, err
}

func (c *receiver) nextSegment() (Segment, io.Reader, error) {
	if c.file.data.N > 0 {
		if err := c.skip(&c.file.data); err != nil {
			return Segment{}, nil, err
		}
	}
	if c.file.segments {
		return c.nextPart()
	}
	if c.file.offset == c.file.size {
		c.file = fileState{}
		return Segment{}, nil, io.EOF
	}
	if err := c.reachContents(); err != nil {
		return Segment{}, nil, err
	}
	c.contents -= c.file.size
	c.file.offset = c.file.size
	return Segment{Length: c.file.size}, c.data(c.file.size), nil
}

// data reads n bytes of the entry in which the stream stands.
func (c *receiver) data(n int64) io.Reader {
	c.got.Bytes += n
	c.file.data = io.LimitedReader{R: c.tr, N: n}
	return truthful{&c.file.data}
}

// truthful turns the end of an entry before the end of what was promised into
// the error that it is.
type truthful struct{ lr *io.LimitedReader }

func (t truthful) Read(p []byte) (int, error) {
	n, err := t.lr.Read(p)
	if t.lr.N > 0 {
		err = streamError(err)
	}
	return n, err
}

// nextPart reads the head of a segment, or the record that ends the file.
func (c *receiver) nextPart() (Segment, io.Reader, error) {
	h, err := c.header()
	if err != nil {
		return Segment{}, nil, err
	}
	if h.Name == tarEvents {
		return Segment{}, nil, c.endParts(h)
	}
	if h.Name != tarSegment || h.Size > maxPack {
		return Segment{}, nil, fmt.Errorf("%w: an entry %.40q of %d bytes inside a file", ErrProtocol, h.Name, h.Size)
	}
	seg := Segment{Offset: c.file.offset, Length: h.Size}
	if h.PAXRecords[paxOffset] != strconv.FormatInt(seg.Offset, 10) {
		return Segment{}, nil, fmt.Errorf("%w: a segment at %.20q in place of %d", ErrProtocol, h.PAXRecords[paxOffset], seg.Offset)
	}
	if hole, ok := h.PAXRecords[paxHole]; ok {
		seg.Hole = true
		seg.Length, err = strconv.ParseInt(hole, 10, 64)
		if err != nil || h.Size != 0 {
			return Segment{}, nil, fmt.Errorf("%w: a hole of %.20q bytes", ErrProtocol, hole)
		}
	}
	if seg.Length <= 0 || seg.Length > math.MaxInt64-seg.Offset {
		return Segment{}, nil, fmt.Errorf("%w: a segment of %d bytes at %d", ErrProtocol, seg.Length, seg.Offset)
	}
	c.file.offset += seg.Length
	if seg.Hole {
		return seg, bytes.NewReader(nil), nil
	}
	return seg, c.data(h.Size), nil
}

// endParts takes the batch behind a file's segments, which must end the file.
func (c *receiver) endParts(h *tar.Header) error {
	if err := c.loadBatch(h); err != nil {
		return err
	}
	ev, _, err := c.recs.next()
	if err != nil {
		return protocolError(err)
	}
	if ev.Kind != streamEnd {
		return fmt.Errorf("%w: a file that is not ended", ErrProtocol)
	}
	c.file = fileState{}
	return io.EOF
}

// nextBatch loads the next batch of records, or ends the walk with io.EOF.
func (c *receiver) nextBatch() error {
	if c.contents != 0 {
		return fmt.Errorf("%w: %d bytes of content that belong to no file", ErrProtocol, c.contents)
	}
	h, err := c.header()
	if err != nil {
		return err
	}
	switch h.Name {
	case tarEvents:
		return c.loadBatch(h)
	case tarEnd:
		return c.finish(h)
	}
	return fmt.Errorf("%w: an entry %.40q between two batches", ErrProtocol, h.Name)
}

func (c *receiver) loadBatch(h *tar.Header) error {
	if h.Size > maxEvents {
		return fmt.Errorf("%w: a batch of %d bytes", ErrProtocol, h.Size)
	}
	if int64(cap(c.batch)) < h.Size {
		c.batch = make([]byte, h.Size)
	}
	c.batch = c.batch[:h.Size]
	if _, err := io.ReadFull(c.tr, c.batch); err != nil {
		return streamError(err)
	}
	c.reached = false
	var err error
	c.contents, err = c.recs.load(c.batch)
	return err
}

// reachContents goes to the contents of the batch, which follow it.
func (c *receiver) reachContents() error {
	if c.reached {
		return nil
	}
	h, err := c.header()
	if err != nil {
		return err
	}
	if h.Name != tarContents || h.Size != c.contents {
		return fmt.Errorf("%w: an entry %.40q of %d bytes in place of %d bytes of content", ErrProtocol, h.Name, h.Size, c.contents)
	}
	c.reached = true
	return nil
}

// finish believes the end record or not, and gives io.EOF if it does.
func (c *receiver) finish(h *tar.Header) error {
	length, sum := c.sum.n-tarBlock, c.sum.hash.Sum(nil)
	if h.Size > maxEnd {
		return fmt.Errorf("%w: an end record of %d bytes", ErrProtocol, h.Size)
	}
	raw, err := io.ReadAll(c.tr)
	if err != nil {
		return streamError(err)
	}
	var end endRecord
	if err := json.Unmarshal(raw, &end); err != nil {
		return fmt.Errorf("%w: the end record: %w", ErrProtocol, err)
	}
	if end.Length != length || end.Sum != hex.EncodeToString(sum) {
		return fmt.Errorf("%w: the stream is not what was sent (%d bytes came, %d were sent)", ErrProtocol, length, end.Length)
	}
	if !c.recs.complete() || !c.got.agrees(&end.WalkResult) {
		return fmt.Errorf("%w: the end record counts other things than came", ErrProtocol)
	}
	if _, err := c.tr.Next(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: something follows the end record", ErrProtocol)
	}
	// The padding and the two blocks of zeros that end a tar stream.
	if whole := length + tarBlock + (h.Size+tarBlock-1)/tarBlock*tarBlock + 2*tarBlock; c.sum.n != whole {
		return fmt.Errorf("the volume's stream has %d of %d bytes: %w", c.sum.n, whole, io.ErrUnexpectedEOF)
	}
	n, err := c.sum.r.Read(make([]byte, 1))
	if n != 0 {
		return fmt.Errorf("%w: something follows the stream", ErrProtocol)
	}
	if !errors.Is(err, io.EOF) {
		return streamError(err)
	}
	c.res = end.WalkResult
	return io.EOF
}

// header gives the next entry's head. The end of the tar stream is an error
// here: only the end record is the end.
func (c *receiver) header() (*tar.Header, error) {
	h, err := c.tr.Next()
	if errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("the volume's stream has no end record: %w", io.ErrUnexpectedEOF)
	}
	if err != nil {
		return nil, streamError(err)
	}
	if h.Typeflag != tar.TypeReg || h.Size < 0 {
		return nil, fmt.Errorf("%w: an entry of type %q", ErrProtocol, h.Typeflag)
	}
	return h, nil
}

func (c *receiver) skip(r *io.LimitedReader) error {
	if _, err := io.Copy(io.Discard, readerOnly{r}); err != nil {
		return streamError(err)
	}
	if r.N > 0 {
		return io.ErrUnexpectedEOF
	}
	return nil
}

// streamError never lets an end through that was not proven.
func streamError(err error) error {
	if errors.Is(err, tar.ErrHeader) {
		return fmt.Errorf("%w: %w", ErrProtocol, err)
	}
	return cut(err)
}

func protocolError(err error) error {
	if errors.Is(err, ErrProtocol) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrProtocol, err)
}

// tailSum hashes what is read through it, all but the last block: when the
// header of the end record has been read, the hash is that of all before it.
type tailSum struct {
	r    io.Reader
	hash hash.Hash
	n    int64
	tail [tarBlock]byte
	held int
}

func (t *tailSum) Read(p []byte) (int, error) {
	n, err := t.r.Read(p)
	t.add(p[:n])
	return n, err
}

func (t *tailSum) add(p []byte) {
	t.n += int64(len(p))
	if len(p) >= tarBlock {
		t.hash.Write(t.tail[:t.held])
		t.hash.Write(p[:len(p)-tarBlock])
		t.held = copy(t.tail[:], p[len(p)-tarBlock:])
		return
	}
	if over := t.held + len(p) - tarBlock; over > 0 {
		t.hash.Write(t.tail[:over])
		t.held = copy(t.tail[:], t.tail[over:t.held])
	}
	t.held += copy(t.tail[t.held:], p)
}
