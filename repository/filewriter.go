package repository

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
)

// FileWriter cuts one file into chunks and hands them to its Writer. It is
// used by one goroutine; several files may be written at a time. It holds one
// buffer, no larger than what was written so far demands.
type FileWriter struct {
	content Content
	cut     Cut
	buf     *buffer
	scan    fileScan
	large   bool // a chunk was cut off already: the next will be large too
	ended   bool
}

// Content is what became of a file: it is known once all chunks have IDs.
type Content struct {
	w    *Writer
	done chan struct{} // closed when left is 0

	mu   sync.Mutex
	ids  []ID
	left int // chunks without an ID, and one while the file is not finished
	size uint64
}

var errEnded = errors.New("file was finished or abandoned already")

// NewFile begins a file.
func (w *Writer) NewFile(cut Cut) *FileWriter {
	return &FileWriter{cut: cut, content: Content{w: w, left: 1, done: make(chan struct{})}}
}

// Write takes content. It blocks while the pipeline is full, and fails once
// anything in the Writer has failed.
func (f *FileWriter) Write(p []byte) (int, error) {
	total := len(p)
	for len(p) > 0 {
		free, err := f.room(len(p))
		if err != nil {
			return total - len(p), err
		}
		n := copy(free, p)
		p = p[n:]
		if err := f.took(n); err != nil {
			return total - len(p), err
		}
	}
	return total, nil
}

// ReadFrom takes content from r until io.EOF, straight into the buffers.
func (f *FileWriter) ReadFrom(r io.Reader) (int64, error) {
	var total int64
	for {
		free, err := f.room(1)
		if err != nil {
			return total, err
		}
		n, rerr := r.Read(free)
		total += int64(n)
		if err := f.took(n); err != nil {
			return total, err
		}
		if rerr == io.EOF {
			return total, nil
		}
		if rerr != nil {
			return total, rerr
		}
	}
}

// Hole takes n zeros.
func (f *FileWriter) Hole(n int64) error {
	if n < 0 {
		return fmt.Errorf("hole of %d bytes", n)
	}
	for n > 0 {
		if f.cut != CutDump && n >= zeroRun && (f.buf == nil || len(f.buf.data) == 0) {
			if err := f.zeros(n / zeroRun); err != nil {
				return err
			}
			n %= zeroRun
			continue
		}
		free, err := f.room(int(min(n, scanStep)))
		if err != nil {
			return err
		}
		free = free[:min(int64(len(free)), n)]
		clear(free)
		if err := f.took(len(free)); err != nil {
			return err
		}
		n -= int64(len(free))
	}
	return nil
}

// room returns where the next bytes go: at least one, up to the next place
// where the chunk is looked at.
func (f *FileWriter) room(want int) ([]byte, error) {
	if f.ended {
		return nil, errEnded
	}
	if err := f.content.w.failed(); err != nil {
		return nil, err
	}
	pool := f.content.w.r.buffers
	switch {
	case f.buf == nil && f.large:
		f.buf = pool.get(f.usual())
	case f.buf == nil:
		f.buf = pool.get(min(want, f.usual()))
	case len(f.buf.data) == cap(f.buf.data):
		// The classes of buffers grow by two to eight times.
		bigger := pool.get(len(f.buf.data) + 1)
		bigger.data = append(bigger.data, f.buf.data...)
		pool.put(f.buf)
		f.buf = bigger
	}
	used := len(f.buf.data)
	stop := min(cap(f.buf.data), f.lookAt(used))
	return f.buf.data[used:stop], nil
}

// usual is the size of buffer that a large file needs.
func (f *FileWriter) usual() int {
	if f.cut == CutFile {
		return 2 * chunkBuffer
	}
	return pageBuffer
}

// lookAt returns the length of buffer at which chunks are looked for next.
func (f *FileWriter) lookAt(used int) int {
	if f.cut == CutFile {
		return used - used%scanStep + scanStep
	}
	return pageBuffer
}

// took notes n new bytes and cuts chunks off where that is due.
func (f *FileWriter) took(n int) error {
	used := len(f.buf.data)
	due := f.lookAt(used)
	f.buf.data = f.buf.data[:used+n]
	if used+n < due {
		return nil
	}
	return f.chunks(false)
}

// chunks cuts off what can be cut.
func (f *FileWriter) chunks(final bool) error {
	switch f.cut {
	case CutDump:
		return f.dumpChunks(final)
	case CutPages:
		return f.pageChunks()
	}
	return f.fileChunks(final)
}

// fileChunks gives each chunk a buffer of its own.
func (f *FileWriter) fileChunks(final bool) error {
	for f.buf != nil && len(f.buf.data) > 0 {
		n := f.content.w.chunker.cutFile(&f.scan, f.buf.data, final)
		if n == 0 {
			if !final {
				return nil
			}
			n = len(f.buf.data)
		}
		if err := f.cutOff(n); err != nil {
			return err
		}
	}
	return nil
}

// cutOff hands the first n bytes on; the rest moves to a new buffer.
func (f *FileWriter) cutOff(n int) error {
	buf := f.buf
	f.buf, f.scan, f.large = nil, fileScan{}, true
	w := f.content.w
	if rest := buf.data[n:]; len(rest) > 0 {
		f.buf = w.r.buffers.get(max(f.usual(), len(rest)+scanStep))
		f.buf.data = append(f.buf.data, rest...)
	}
	if n == zeroRun && leadingZeros(buf.data[:n]) == n {
		w.r.buffers.put(buf)
		return f.zeros(1)
	}
	return w.submit(job{buf: buf, start: 0, end: n, content: &f.content, slot: f.content.next(n)})
}

// dumpChunks cuts a buffer into many chunks, which share it.
func (f *FileWriter) dumpChunks(final bool) error {
	buf, w, start := f.buf, f.content.w, 0
	for start < len(buf.data) {
		n := w.chunker.cutDump(buf.data[start:], final)
		if n == 0 {
			break
		}
		if err := f.share(start, start+n); err != nil {
			return err
		}
		start += n
	}
	f.buf = nil
	if rest := buf.data[start:]; len(rest) > 0 {
		f.buf = w.r.buffers.get(pageBuffer)
		f.buf.data = append(f.buf.data, rest...)
	}
	f.large = true
	w.r.buffers.put(buf)
	return nil
}

// pageChunks cuts a buffer into pages, which share it.
func (f *FileWriter) pageChunks() error {
	buf, w := f.buf, f.content.w
	size := len(buf.data)
	if size == zeroRun && leadingZeros(buf.data) == size {
		f.buf = nil
		w.r.buffers.put(buf)
		return f.zeros(1)
	}
	for start := 0; start < size; start += pageSize {
		if err := f.share(start, min(start+pageSize, size)); err != nil {
			return err
		}
	}
	f.buf, f.large = nil, true
	w.r.buffers.put(buf)
	return nil
}

// share hands a part of the buffer on.
func (f *FileWriter) share(start, end int) error {
	f.buf.refs.Add(1)
	return f.content.w.submit(job{buf: f.buf, start: start, end: end, shared: true, content: &f.content, slot: f.content.next(end - start)})
}

// zeros adds blobs of zeroRun zeros. Only the first of a Writer is hashed.
func (f *FileWriter) zeros(count int64) error {
	f.large = true
	w := f.content.w
	if w.zeroDone.CompareAndSwap(false, true) {
		buf := w.r.buffers.get(zeroRun)
		buf.data = buf.data[:zeroRun]
		clear(buf.data)
		if err := w.submit(job{buf: buf, end: zeroRun}); err != nil {
			return err
		}
	}
	w.stats.bytesRead.Add(uint64(count * zeroRun))
	f.content.addKnown(w.zeroID, count, zeroRun)
	return w.failed()
}

// Finish ends the file. The FileWriter must not be used after. An error shows
// in the Content.
func (f *FileWriter) Finish() *Content {
	if !f.ended {
		var err error
		if f.buf != nil {
			err = f.chunks(true)
		}
		f.end()
		if err == nil {
			f.content.finish()
		}
	}
	return &f.content
}

// Abandon ends a file that nobody will refer to. Chunks of it that are stored
// already stay, as those of a run that was killed do.
func (f *FileWriter) Abandon() { f.end() }

func (f *FileWriter) end() {
	f.ended = true
	if f.buf != nil {
		f.content.w.r.buffers.put(f.buf)
		f.buf = nil
	}
}

// next makes a place for a chunk's ID.
func (c *Content) next(size int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ids = append(c.ids, ID{})
	c.size += uint64(size)
	c.left++
	return len(c.ids) - 1
}

// set fills a chunk's ID in.
func (c *Content) set(slot int, id ID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ids[slot] = id
	c.drop()
}

func (c *Content) addKnown(id ID, count int64, size uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for range count {
		c.ids = append(c.ids, id)
	}
	c.size += uint64(count) * size
}

func (c *Content) finish() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.drop()
}

func (c *Content) drop() {
	if c.left--; c.left == 0 {
		close(c.done)
	}
}

// Wait returns the IDs of the file's blobs, in order, and its size, as soon as
// every chunk has an ID and is on its way; whether it is stored, Flush tells.
// ids is empty, not nil, for an empty file.
func (c *Content) Wait(ctx context.Context) (ids []ID, size uint64, err error) {
	select {
	case <-c.done:
	default:
		select {
		case <-c.done:
		case <-c.w.ctx.Done():
			return nil, 0, c.w.failed()
		case <-ctx.Done():
			return nil, 0, context.Cause(ctx)
		}
	}
	if c.ids == nil {
		c.ids = []ID{}
	}
	return c.ids, c.size, nil
}
