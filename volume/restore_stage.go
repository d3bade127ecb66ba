package volume

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"math/bits"
	"sync"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"
	"golang.org/x/sys/unix"
)

const (
	// stageWriters write at the same time; making small files is mostly waiting
	// in the kernel.
	stageWriters = 4
	// maxWanted bounds the places for blobs that are asked for at once, and so
	// the memory for them.
	maxWanted = 1 << 13
	// maxBuffered bounds the buffers of content that has come and is not yet
	// written, in bytes; a greater blob comes alone.
	maxBuffered = 6 << 20
)

// spot is a place for a blob in a file.
type spot struct {
	file   *target
	offset int64
}

// wanted is a blob that is asked for, and all its places in the batch.
type wanted struct {
	blob  Blob
	spot  spot
	extra []spot
}

// fetchBatch is what is asked for at once.
type fetchBatch struct {
	list  []wanted
	index map[[32]byte]int
	spots int
	files []*target // those without a blob to come
}

func newBatch() *fetchBatch { return &fetchBatch{index: map[[32]byte]int{}} }

func (b *fetchBatch) add(blob Blob, at spot) error {
	b.spots++
	i, ok := b.index[blob.ID]
	if !ok {
		b.index[blob.ID] = len(b.list)
		b.list = append(b.list, wanted{blob: blob, spot: at})
		return nil
	}
	w := &b.list[i]
	if w.blob.Length != blob.Length {
		return hostile(at.file.rec.entry.Path, "one blob with two lengths")
	}
	w.extra = append(w.extra, at)
	return nil
}

// stager makes in new/ what the plan says.
type stager struct {
	tree    *beneath
	staging string
	plan    *plan
	meta    *metaWriter
	writer  *writer
	src     supply
	crash   func(string)

	loads lanes
	room  *semaphore.Weighted
	pool  bufferPool
}

// run stages everything. Directories get their metadata last.
func (s *stager) run(ctx context.Context) error {
	if err := s.makeDirs(); err != nil {
		return err
	}
	if err := s.makeFiles(ctx); err != nil {
		return err
	}
	if err := s.makeLinks(); err != nil {
		return err
	}
	return s.plan.dirs.each(func(record []byte) error {
		d, err := decodeStagedDir(record)
		if err != nil {
			return err
		}
		return s.meta.set(d.at.path(s.staging, d.entry.Path), &d.entry, true)
	})
}

func (s *stager) makeDirs() error {
	return s.plan.dirs.each(func(record []byte) error {
		d, err := decodeStagedDir(record)
		if err != nil {
			return err
		}
		return s.tree.at(d.at.path(s.staging, d.entry.Path), func(dir int, name string) error {
			if err := unix.Mkdirat(dir, name, 0o700); err != nil {
				return fmt.Errorf("stage directory %q: %w", d.entry.Path, err)
			}
			return nil
		})
	})
}

func (s *stager) makeLinks() error {
	return s.plan.links.each(func(record []byte) error {
		l, err := decodeStagedLink(record)
		if err != nil {
			return err
		}
		from := l.source
		if l.staged {
			from = l.from.path(s.staging, l.source)
		}
		err = s.tree.at(from, func(fromDir int, fromName string) error {
			return s.tree.at(l.at.path(s.staging, l.path), func(dir int, name string) error {
				return unix.Linkat(fromDir, fromName, dir, name, 0)
			})
		})
		if err != nil {
			return fmt.Errorf("stage %q as a hard link to %q: %w", l.path, l.source, err)
		}
		return nil
	})
}

// makeFiles makes files, symlinks and devices. Content is asked for batch by
// batch, and the next batch while the one before is still being written.
func (s *stager) makeFiles(ctx context.Context) error {
	defer s.writer.closeAll()
	group, ctx := errgroup.WithContext(ctx)
	s.loads, s.room = makeLanes(), semaphore.NewWeighted(maxBuffered)
	for _, lane := range s.loads {
		group.Go(func() error { return s.write(lane) })
	}
	group.Go(func() error {
		defer s.loads.close()
		return s.fetchFiles(ctx)
	})
	return group.Wait()
}

// fetchFiles hands everything that the plan has to the writers.
func (s *stager) fetchFiles(ctx context.Context) error {
	b := newBatch()
	err := s.plan.files.each(func(record []byte) error {
		f, err := decodeStagedFile(record)
		if err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		if f.entry.Type != File {
			return s.makeSpecial(&f)
		}
		b, err = s.addFile(ctx, b, f)
		return err
	})
	if err != nil {
		return err
	}
	return s.fetch(ctx, b)
}

// addFile adds a file to the batch, and fetches the batch, and begins another,
// whenever it is full.
func (s *stager) addFile(ctx context.Context, b *fetchBatch, f stagedFile) (*fetchBatch, error) {
	t := &target{rec: f, path: f.at.path(s.staging, f.entry.Path), fd: -1, direct: -1, more: true}
	err := s.plan.eachBlob(f.first, f.count, func(blob Blob, offset int64, same bool) error {
		if same || blob.Hole {
			return nil
		}
		if b.spots >= maxWanted {
			if err := s.fetch(ctx, b); err != nil {
				return err
			}
			b = newBatch()
		}
		t.expect()
		return b.add(blob, spot{file: t, offset: offset})
	})
	if err != nil {
		return b, err
	}
	if t.allAsked() {
		b.files = append(b.files, t)
	}
	if b.spots+len(b.files) >= maxWanted {
		err = s.fetch(ctx, b)
		b = newBatch()
	}
	return b, err
}

// makeSpecial makes a symlink, a device or a FIFO.
func (s *stager) makeSpecial(f *stagedFile) error {
	e := &f.entry
	return s.tree.at(f.at.path(s.staging, e.Path), func(dir int, name string) error {
		var err error
		switch e.Type {
		case Symlink:
			err = unix.Symlinkat(e.LinkTarget, dir, name)
		case CharDevice:
			err = unix.Mknodat(dir, name, unix.S_IFCHR|0o600, int(e.Rdev))
		case BlockDevice:
			err = unix.Mknodat(dir, name, unix.S_IFBLK|0o600, int(e.Rdev))
		case FIFO:
			err = unix.Mknodat(dir, name, unix.S_IFIFO|0o600, 0)
		default:
			err = hostile(e.Path, "no kind of file that can be made")
		}
		if err != nil {
			return fmt.Errorf("stage %s %q: %w", e.Type, e.Path, err)
		}
		return s.meta.setObject(named(dir, name), e, true)
	})
}

// load is a blob that has come, or, without data, files that need none.
type load struct {
	data  []byte // in buf
	buf   []byte
	spots []spot
	file  *target
	cost  int64
}

// fetch asks for a batch and hands it to the writers as it comes.
func (s *stager) fetch(ctx context.Context, b *fetchBatch) error {
	for _, t := range b.files {
		if err := s.loads.send(ctx, load{file: t}); err != nil {
			return err
		}
	}
	if len(b.list) == 0 {
		return nil
	}
	return s.receive(ctx, b)
}

// lanes lead to the writers. What is new in a directory goes to one of them,
// for making files in one directory the kernel lets only one do at a time, and
// waiting for each other costs more than it brings.
type lanes []chan load

// laneLength is how much may wait for one writer: some directories of small
// files, so that the others have work meanwhile.
const laneLength = 128

func makeLanes() lanes {
	l := make(lanes, stageWriters)
	for i := range l {
		l[i] = make(chan load, laneLength)
	}
	return l
}

func (ls lanes) send(ctx context.Context, l load) error {
	select {
	case ls[l.lane()%uint32(len(ls))] <- l:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (ls lanes) close() {
	for _, lane := range ls {
		close(lane)
	}
}

// lane is the same for the files of a directory. The parts of large files are
// written side by side.
func (l *load) lane() uint32 {
	t, part := l.file, int64(0)
	if t == nil {
		t, part = l.spots[0].file, l.spots[0].offset
	}
	dir, _ := splitPath(t.path)
	h := fnv.New32a()
	h.Write([]byte(dir)) // never fails
	return h.Sum32() + uint32(part>>20)
}

// receive asks for the blobs of a batch and hands on what comes.
func (s *stager) receive(ctx context.Context, b *fetchBatch) error {
	list := make([]Blob, len(b.list))
	for i := range b.list {
		list[i] = b.list[i].blob
	}
	if err := s.src.want(list); err != nil {
		return fmt.Errorf("ask for content: %w", err)
	}
	came := 0
	for {
		i, length, err := s.src.blob()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("receive content: %w", err)
		}
		if i < 0 || i >= len(b.list) || length != int(b.list[i].blob.Length) || b.list[i].spot.file == nil {
			return fmt.Errorf("%w: a blob that was not asked for, twice, or of another length", ErrProtocol)
		}
		w := &b.list[i]
		skip := skipped(w.spot.offset, length)
		l := load{spots: append([]spot{w.spot}, w.extra...), cost: min(int64(bufferSize(skip+length)), maxBuffered)}
		w.spot.file, w.extra = nil, nil
		came++
		if err := s.room.Acquire(ctx, l.cost); err != nil {
			return context.Cause(ctx)
		}
		l.buf = s.pool.get(skip + length)
		l.data = l.buf[skip:]
		if err := s.src.read(l.data); err != nil {
			return fmt.Errorf("receive content: %w", err)
		}
		if err := s.loads.send(ctx, l); err != nil {
			return err
		}
	}
	if came != len(b.list) {
		return fmt.Errorf("%w: %d of %d blobs came", ErrProtocol, came, len(b.list))
	}
	return nil
}

// write stages what comes until there is no more, or something fails.
func (s *stager) write(loads <-chan load) error {
	for l := range loads {
		if err := s.writeLoad(l); err != nil {
			return err
		}
		if l.data != nil {
			s.pool.put(l.buf)
			s.room.Release(l.cost)
		}
	}
	return nil
}

func (s *stager) writeLoad(l load) error {
	if l.file != nil {
		return s.writer.complete(l.file)
	}
	for _, at := range l.spots {
		if err := s.writer.put(at.file, l.data, at.offset); err != nil {
			return err
		}
		if s.crash != nil {
			s.crash("mid-restore")
		}
	}
	return nil
}

// bufferClass is the power of two that holds n bytes, and bufferSize that many.
func bufferClass(n int) int { return bits.Len(uint(n - 1)) }
func bufferSize(n int) int  { return 1 << bufferClass(n) }

// bufferPool keeps buffers by the power of two that they hold.
type bufferPool struct{ pools [32]sync.Pool }

func (p *bufferPool) get(n int) []byte {
	class := bufferClass(n)
	if b, ok := p.pools[class].Get().(*[]byte); ok {
		return (*b)[:n]
	}
	return make([]byte, n, 1<<class)
}

func (p *bufferPool) put(b []byte) {
	b = b[:0]
	p.pools[bits.Len(uint(cap(b)-1))].Put(&b)
}
