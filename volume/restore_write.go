package volume

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// target is a regular file while it is staged. Its blobs may come in any order
// and from any goroutine.
type target struct {
	rec  stagedFile
	path string // where it is staged

	mu      sync.Mutex
	fd      int // -1: not open
	direct  int // the same file, for writes past the page cache; -1: none
	writing int // such writes that go on without the mutex
	made    bool
	end     int64 // how far it has been written
	behind  span  // what the disk has not been told of
	pending int   // blobs that were asked for and are not written yet
	more    bool  // blobs of it may be asked for yet
}

// expect notes that a blob of the file will be asked for.
func (t *target) expect() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.pending++
}

// allAsked notes that no further blob of the file will be asked for. If all are
// written already, nobody would finish it: then it says so, and
// [writer.complete] has to be called.
func (t *target) allAsked() (toComplete bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.more = t.pending == 0
	return t.more
}

// writer stages files. It bounds the files that are open at a time.
type writer struct {
	tree *beneath
	plan *plan
	meta *metaWriter

	direct atomic.Bool // the filesystem takes writes past the page cache

	mu   sync.Mutex
	open []*target // the oldest first
}

// maxOpenTargets bounds the files that are open because more of them is to
// come.
const maxOpenTargets = 256

// writeBehind is the size from which the disk is told of what was written to a
// file, in bytes.
const writeBehind = 256 << 10

// span is a range of a file within which bytes were written.
type span struct{ from, to, bytes int64 }

func (s *span) add(offset, length int64) {
	if s.bytes == 0 {
		s.from, s.to = offset, offset
	}
	s.from, s.to, s.bytes = min(s.from, offset), max(s.to, offset+length), s.bytes+length
}

// put writes one blob of a file.
func (w *writer) put(t *target, data []byte, offset int64) (err error) {
	hole := isHole(data)
	if !hole && w.passes(t, data, offset) {
		if done, err := w.putDirect(t, data, offset); done || err != nil {
			return err
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	defer func() { t.closeAfter(err) }()
	t.pending--
	if err := w.ready(t); err != nil {
		return err
	}
	if !hole {
		if err := pwriteFull(t.fd, data, offset); err != nil {
			return fmt.Errorf("write %q: %w", t.rec.entry.Path, err)
		}
		if t.behind.add(offset, int64(len(data))); t.behind.bytes >= writeBehind {
			// The disk may begin; else it would stand still until the sync. A
			// hint: the sync that counts comes when all is staged.
			_ = unix.SyncFileRange(t.fd, t.behind.from, t.behind.to-t.behind.from, unix.SYNC_FILE_RANGE_WRITE)
			t.behind = span{}
		}
		t.end = max(t.end, offset+int64(len(data)))
	} else if t.rec.reuse {
		// A clone of the file in place may have anything there.
		if err := zeroRange(t.fd, offset, int64(len(data))); err != nil {
			return fmt.Errorf("write %q: %w", t.rec.entry.Path, err)
		}
	}
	return w.advance(t)
}

// complete says that no further blob will be asked for.
func (w *writer) complete(t *target) (err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	defer func() { t.closeAfter(err) }()
	t.more = false
	return w.advance(t)
}

// advance finishes a file when all of it is there. t.mu is held.
func (w *writer) advance(t *target) error {
	if t.pending > 0 || t.more {
		return nil
	}
	if err := w.ready(t); err != nil {
		return err
	}
	return w.finish(t)
}

// ready opens the file for writing; the first time it makes it, with what can
// be taken from the file in place. t.mu is held.
func (w *writer) ready(t *target) error {
	if t.fd >= 0 {
		return nil
	}
	err := w.tree.at(t.path, func(dir int, name string) (err error) {
		if t.made {
			t.fd, err = w.tree.root.open(dir, name, unix.O_WRONLY)
		} else {
			t.fd, err = w.tree.create(dir, name)
		}
		if err != nil {
			t.fd = -1
			return err
		}
		return w.openDirect(t, dir, name)
	})
	if err != nil {
		_ = closeTarget(t) // nothing was written
		return fmt.Errorf("stage %q: %w", t.rec.entry.Path, err)
	}
	if !t.made {
		t.made = true
		if t.rec.reuse {
			if err := w.reuse(t); err != nil {
				return fmt.Errorf("copy %q from the file in place: %w", t.rec.entry.Path, err)
			}
		}
	}
	if t.pending > 0 || t.more {
		return w.hold(t)
	}
	return nil
}

// hold remembers an open file, and closes others if there are too many.
func (w *writer) hold(t *target) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.open = append(w.open, t)
	for i := 0; len(w.open) > maxOpenTargets && i < len(w.open); {
		old := w.open[i]
		if old == t || !old.mu.TryLock() {
			i++ // in use
			continue
		}
		if old.writing > 0 {
			old.mu.Unlock()
			i++
			continue
		}
		err := closeTarget(old)
		old.mu.Unlock()
		w.open = append(w.open[:i], w.open[i+1:]...)
		if err != nil {
			return err
		}
	}
	return nil
}

// closeAfter closes a file after an error: it may be that nobody else knows of
// it. Who still writes to it has it among those that are held. t.mu is held.
func (t *target) closeAfter(err error) {
	if err != nil && t.writing == 0 {
		_ = closeTarget(t) // it is thrown away
	}
}

func closeTarget(t *target) error {
	if t.fd < 0 {
		return nil
	}
	err := unix.Close(t.fd)
	if t.direct >= 0 {
		err = errors.Join(err, unix.Close(t.direct))
	}
	t.fd, t.direct = -1, -1
	if err != nil {
		return fmt.Errorf("write %q: %w", t.rec.entry.Path, err)
	}
	return nil
}

// finish gives a complete file its length and its metadata. t.mu is held.
func (w *writer) finish(t *target) error {
	if t.end < t.rec.entry.Size || t.rec.reuse {
		if err := unix.Ftruncate(t.fd, t.rec.entry.Size); err != nil {
			return fmt.Errorf("stage %q with %d bytes: %w", t.rec.entry.Path, t.rec.entry.Size, err)
		}
	}
	if err := w.meta.setObject(opened(t.fd), &t.rec.entry, true); err != nil {
		return err
	}
	if err := closeTarget(t); err != nil {
		return err
	}
	w.mu.Lock()
	for i, o := range w.open {
		if o == t {
			w.open = append(w.open[:i], w.open[i+1:]...)
			break
		}
	}
	w.mu.Unlock()
	return nil
}

// closeAll closes what an error left open.
func (w *writer) closeAll() {
	for _, t := range w.open {
		_ = closeTarget(t) // it is thrown away
	}
}

// reuse takes the blobs that the file in place has from there, as a clone if
// the filesystem has clones, and checks that it did not change meanwhile.
func (w *writer) reuse(t *target) error {
	return w.tree.at(t.rec.entry.Path, func(dir int, name string) error {
		src, err := w.tree.root.openFile(dir, name)
		if err != nil {
			return err
		}
		defer unix.Close(src) // only read from
		if err := w.copyBlobs(t, src); err != nil {
			return err
		}
		var m meta
		if err := statFD(src, &m); err != nil {
			return err
		}
		if m.size != t.rec.size || m.mtime != t.rec.mtime || m.ctim != t.rec.ctime {
			return ErrChangedMeanwhile
		}
		return nil
	})
}

func (w *writer) copyBlobs(t *target, src int) error {
	cloned := unix.IoctlFileClone(t.fd, src) == nil // else it is copied
	var start, end int64                            // a run of blobs to copy
	flush := func() error {
		if cloned || start == end {
			return nil
		}
		t.end = max(t.end, end)
		return copyRange(t.fd, src, start, end-start)
	}
	err := w.plan.eachBlob(t.rec.first, t.rec.count, func(b Blob, offset int64, same bool) error {
		length := int64(b.Length)
		switch {
		case b.Hole && !same && cloned:
			return zeroRange(t.fd, offset, length)
		case b.Hole || !same:
			return nil
		case offset == end:
			end += length
			return nil
		}
		err := flush()
		start, end = offset, offset+length
		return err
	})
	return errors.Join(err, flush())
}

// copyRange copies a range of one file to the same place of another.
func copyRange(dst, src int, offset, length int64) error {
	for length > 0 {
		in, out := offset, offset
		n, err := unix.CopyFileRange(src, &in, dst, &out, int(min(length, 1<<30)), 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			break
		}
		if n == 0 {
			return io.ErrUnexpectedEOF
		}
		offset, length = offset+int64(n), length-int64(n)
	}
	if length == 0 {
		return nil
	}
	// Some filesystems have no copy_file_range; others may yet do this.
	buf := make([]byte, min(length, 256<<10))
	for length > 0 {
		part := buf[:min(length, int64(len(buf)))]
		if err := preadFull(src, part, offset); err != nil {
			return err
		}
		if err := pwriteFull(dst, part, offset); err != nil {
			return err
		}
		offset, length = offset+int64(len(part)), length-int64(len(part))
	}
	return nil
}

// zeroRange makes a range of an open file zeros, without space if it can be.
func zeroRange(fd int, offset, length int64) error {
	if unix.Fallocate(fd, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, offset, length) == nil {
		return nil
	}
	buf := make([]byte, min(length, 256<<10))
	for length > 0 {
		n := min(length, int64(len(buf)))
		if err := pwriteFull(fd, buf[:n], offset); err != nil {
			return err
		}
		offset, length = offset+n, length-n
	}
	return nil
}

// minHole is the least run of zeros, in bytes, that becomes a hole.
const minHole = 64 << 10

// isHole says whether a blob is nothing but zeros, and enough of them.
func isHole(p []byte) bool {
	if len(p) < minHole {
		return false
	}
	for _, b := range p[:64] {
		if b != 0 {
			return false
		}
	}
	return bytes.Equal(p[1:], p[:len(p)-1]) // every byte is like the one before it
}
