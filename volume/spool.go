package volume

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
)

// Spool says where a walk's stream may wait until it is consumed.
type Spool struct {
	// Dir is where the file is made. It has no name, so that a kill leaves
	// nothing, and what is in it is sealed with a key that only this process
	// has.
	Dir string
	// Memory is how many bytes may wait in memory before the file is used.
	Memory int64
	// Limit is how many bytes may wait in the file. A walk that needs more
	// fails with ErrSpool.
	Limit int64
}

// ErrSpool says that the spool could not take a walk's stream: it is full, or
// its disk is.
var ErrSpool = errors.New("the spool could not take the volume's data")

// spoolChunk is the unit in which data waits.
const spoolChunk = 256 << 10

// spool is a bounded queue of bytes between one writer, which never waits, and
// one reader, which does.
type spool struct {
	opt  Spool
	seal cipher.AEAD
	file *os.File

	mu      sync.Mutex
	arrived sync.Cond
	queue   []spooled
	memory  int64   // bytes that wait in memory
	slots   int64   // of the file, used or free
	unused  []int64 // slots that are free
	count   uint64  // of sealed chunks: the nonce
	ended   bool
	err     error // with which it ended

	current bytes.Reader // the reader's
	buf     []byte
	sealed  []byte // the writer's
}

// spooled is a chunk in memory, or in a slot of the file.
type spooled struct {
	data   []byte
	slot   int64
	length int // sealed
	nonce  uint64
}

func newSpool(opt Spool) (*spool, error) {
	key := make([]byte, 32)
	rand.Read(key) // never fails: it ends the program instead
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	seal, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	s := &spool{opt: opt, seal: seal}
	s.arrived.L = &s.mu
	return s, nil
}

func (s *spool) slotSize() int64 { return spoolChunk + int64(s.seal.Overhead()) }

// Write takes p, or fails with ErrSpool; it never waits for the reader.
func (s *spool) Write(p []byte) (int, error) {
	written := 0
	for len(p) > 0 {
		n := min(len(p), spoolChunk)
		if err := s.add(p[:n]); err != nil {
			return written, err
		}
		written, p = written+n, p[n:]
	}
	return written, nil
}

func (s *spool) add(p []byte) error {
	s.mu.Lock()
	if s.memory+int64(len(p)) <= s.opt.Memory {
		s.memory += int64(len(p))
		s.push(spooled{data: bytes.Clone(p)})
		s.mu.Unlock()
		return nil
	}
	slot, err := s.slot()
	s.count++
	nonce := s.count
	s.mu.Unlock()
	if err != nil {
		return err
	}
	s.sealed = s.seal.Seal(s.sealed[:0], s.nonce(nonce), p, nil)
	if _, err := s.file.WriteAt(s.sealed, slot*s.slotSize()); err != nil {
		return fmt.Errorf("%w: %w", ErrSpool, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.push(spooled{slot: slot, length: len(s.sealed), nonce: nonce})
	return nil
}

func (s *spool) push(c spooled) {
	s.queue = append(s.queue, c)
	s.arrived.Signal()
}

// slot gives a free place in the file, which is made when it is first needed.
func (s *spool) slot() (int64, error) {
	if n := len(s.unused); n > 0 {
		slot := s.unused[n-1]
		s.unused = s.unused[:n-1]
		return slot, nil
	}
	if (s.slots+1)*s.slotSize() > s.opt.Limit {
		return 0, fmt.Errorf("%w: more than %d MiB wait to be stored; give it more room, or leave out what changes most",
			ErrSpool, (s.opt.Limit+s.opt.Memory)>>20)
	}
	if s.file == nil {
		file, err := os.CreateTemp(s.opt.Dir, ".spool-*")
		if err != nil {
			return 0, fmt.Errorf("%w: %w", ErrSpool, err)
		}
		s.file = file
		if err := os.Remove(file.Name()); err != nil {
			return 0, fmt.Errorf("%w: %w", ErrSpool, err)
		}
	}
	s.slots++
	return s.slots - 1, nil
}

// finish ends the queue: with err, after what has been written, or with io.EOF
// for nil.
func (s *spool) finish(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended, s.err = true, err
	if err == nil {
		s.err = io.EOF
	}
	if errors.Is(err, ErrSpool) {
		s.queue = nil // the walk has failed; what waits is of no use
	}
	s.arrived.Signal()
}

// Read waits for data; io.EOF means that finish was called without an error.
func (s *spool) Read(p []byte) (int, error) {
	for s.current.Len() == 0 {
		c, err := s.pop()
		if err != nil {
			return 0, err
		}
		if c.data == nil {
			if c.data, err = s.unseal(c); err != nil {
				return 0, err
			}
		}
		s.current.Reset(c.data)
	}
	return s.current.Read(p)
}

func (s *spool) pop() (spooled, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.queue) == 0 && !s.ended {
		s.arrived.Wait()
	}
	if len(s.queue) == 0 {
		return spooled{}, s.err
	}
	c := s.queue[0]
	s.queue[0] = spooled{}
	s.queue = s.queue[1:]
	s.memory -= int64(len(c.data))
	return c, nil
}

// unseal reads a chunk back and frees its slot.
func (s *spool) unseal(c spooled) ([]byte, error) {
	if s.buf == nil {
		s.buf = make([]byte, s.slotSize())
	}
	sealed := s.buf[:c.length]
	if _, err := s.file.ReadAt(sealed, c.slot*s.slotSize()); err != nil {
		return nil, fmt.Errorf("%w: read it back: %w", ErrSpool, cut(err))
	}
	data, err := s.seal.Open(sealed[:0], s.nonce(c.nonce), sealed, nil)
	if err != nil {
		return nil, fmt.Errorf("%w: it was altered on disk", ErrSpool)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unused = append(s.unused, c.slot)
	return data, nil
}

// nonce is a counter: the key lives no longer than the spool.
func (s *spool) nonce(n uint64) []byte {
	nonce := make([]byte, s.seal.NonceSize())
	binary.BigEndian.PutUint64(nonce[len(nonce)-8:], n)
	return nonce
}

// close gives the file up. Nobody may read or write any more.
func (s *spool) close() {
	if s.file != nil {
		s.file.Close() // it has no name and nothing in it is needed
	}
}

// Queue is a spool for another stream than that of a walk: a bounded queue of
// bytes between one writer, which never waits, and one reader, which does.
type Queue struct{ s *spool }

// NewQueue makes a queue.
func NewQueue(opt Spool) (*Queue, error) {
	s, err := newSpool(opt)
	if err != nil {
		return nil, err
	}
	return &Queue{s}, nil
}

// Write takes p, or fails with ErrSpool.
func (q *Queue) Write(p []byte) (int, error) { return q.s.Write(p) }

// Finish says that nothing more comes: the reader gets err after what was
// written, or io.EOF for nil.
func (q *Queue) Finish(err error) { q.s.finish(err) }

// Read waits for data, and for Finish.
func (q *Queue) Read(p []byte) (int, error) { return q.s.Read(p) }

// Close gives up what is left, once Finish was called and nobody reads.
func (q *Queue) Close() { q.s.close() }
