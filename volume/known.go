package volume

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
)

// What the parent snapshot holds travels to the helper as messages, each a
// batch of records in walk order: the type, how many bytes of the path are
// those of the path before it, the rest of the path, size, times and inode.
// Directories do not travel, for their metadata is read anyway; nor does what is
// not trusted, for it is as good as unknown.
const knownBatch = 32 << 10

var errKnownOrder = errors.New("what the parent snapshot holds does not come in walk order")

// knownSender encodes Known entries into a stream.
type knownSender struct {
	s    *stream
	enc  encoder
	last string
}

func (k *knownSender) add(e Known) error {
	if !e.Trusted || e.Type == Dir {
		return nil
	}
	if Compare(k.last, e.Path) >= 0 {
		return fmt.Errorf("%w: %.80q after %.80q", errKnownOrder, e.Path, k.last)
	}
	if len(e.Path) > maxPath {
		return nil // no walk gives such a path
	}
	shared := sharedPrefix(k.last, e.Path)
	if len(k.enc.buf) == 0 {
		shared = 0 // each batch stands for itself
	}
	k.last = e.Path
	k.enc.byte(byte(e.Type))
	k.enc.uint(uint64(shared))
	k.enc.string(e.Path[shared:])
	k.enc.int(e.Size)
	k.enc.time(e.ModTime)
	k.enc.time(e.ChangeTime)
	k.enc.uint(e.Inode)
	if len(k.enc.buf) < knownBatch {
		return nil
	}
	return k.flush()
}

func (k *knownSender) flush() error {
	if len(k.enc.buf) == 0 {
		return nil
	}
	err := k.s.writeMessage(k.enc.buf)
	k.enc.buf = k.enc.buf[:0]
	return err
}

func sharedPrefix(a, b string) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}

// decodeKnown decodes one batch; last is the path before it.
func decodeKnown(batch []byte, last string) ([]Known, error) {
	d := decoder{buf: batch}
	var out []Known
	var paths strings.Builder // all of the batch, so that they are allocated at once
	var ends []int
	paths.Grow(4 * len(batch))
	prev := 0
	for len(d.buf) > 0 {
		k := Known{Type: Type(d.byte()), Trusted: true}
		shared := d.uint()
		suffix := d.bytes(maxPath)
		k.Size, k.ModTime, k.ChangeTime, k.Inode = d.int(), d.time(), d.time(), d.uint()
		before := paths.String()[prev:]
		if d.err != nil || shared > uint64(len(before)) || int(shared)+len(suffix) > maxPath {
			return nil, fmt.Errorf("%w: %w", ErrProtocol, errRecord)
		}
		if int64(paths.Len()) > 64*maxFrame {
			return nil, fmt.Errorf("%w: paths of %d bytes in one batch", ErrProtocol, paths.Len())
		}
		prev = paths.Len()
		paths.WriteString(before[:shared])
		paths.Write(suffix)
		ends = append(ends, paths.Len())
		out = append(out, k)
	}
	all, from := paths.String(), 0
	for i := range out {
		out[i].Path = all[from:ends[i]]
		from = ends[i]
		if Compare(last, out[i].Path) >= 0 {
			return nil, fmt.Errorf("%w: %w", ErrProtocol, errKnownOrder)
		}
		last = out[i].Path
	}
	return out, nil
}

// knownReader gives a walk the Known entries as it comes to their paths.
type knownReader struct {
	batches chan []Known
	now     []Known
	err     error // set before batches is closed
}

// newKnownReader reads s to its end, whatever happens; it is done when done is.
// After ctx has ended, what comes is thrown away.
func newKnownReader(ctx context.Context, s *stream) (k *knownReader, read func()) {
	k = &knownReader{batches: make(chan []Known, 4)}
	return k, func() {
		defer close(k.batches)
		last := ""
		for {
			msg, err := s.readMessage(maxFrame)
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				k.err = fmt.Errorf("receive what the parent snapshot holds: %w", err)
				return
			}
			if k.err != nil || ctx.Err() != nil {
				continue
			}
			batch, err := decodeKnown(msg, last)
			if err != nil {
				k.err = err // reads on, so that the connection stays good
				continue
			}
			last = batch[len(batch)-1].Path
			select {
			case k.batches <- batch:
			case <-ctx.Done():
			}
		}
	}
}

// find gives the Known entry of a path. Paths must be asked for in walk order.
func (k *knownReader) find(path string) (*Known, error) {
	for {
		for len(k.now) > 0 {
			c := Compare(k.now[0].Path, path)
			if c > 0 {
				return nil, nil
			}
			found := &k.now[0]
			k.now = k.now[1:]
			if c == 0 {
				return found, nil
			}
		}
		var more bool
		if k.now, more = <-k.batches; !more {
			return nil, k.err
		}
	}
}

// rest waits for the end of what is known, and says whether it was one.
func (k *knownReader) rest() error {
	for range k.batches {
	}
	return k.err
}
