package volume

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// The files of a staging directory. What is to be staged is written down, in
// the order of the walk, so that nothing of it has to be held in memory:
//
//	dirs, files, links   records of what to make in new/
//	blobs                the content of files, one after another
//	journal              the operations that exchange old and new (journal.go)
//	new/N, old/N         what comes into the volume, and what it replaced
const (
	planDirs  = "dirs"
	planFiles = "files"
	planLinks = "links"
	planBlobs = "blobs"
	newDir    = "new"
	oldDir    = "old"
)

// place says where a staged file lies until it is renamed in: below new/N. The
// part of its path from rootLen on is its path below that.
type place struct {
	n       uint64
	rootLen int
}

// path gives where in the volume the entry with this final path is staged.
func (p place) path(staging, final string) string {
	return staging + "/" + newDir + "/" + strconv.FormatUint(p.n, 10) + final[p.rootLen:]
}

// lone says whether the entry is itself what is renamed in.
func (p place) lone(final string) bool { return p.rootLen == len(final) }

func (p place) encode(e *encoder) {
	e.uint(p.n)
	e.uint(uint64(p.rootLen))
}

func decodePlace(d *decoder) place {
	return place{n: d.uint(), rootLen: int(min(d.uint(), maxPath))}
}

// stagedFile is a record of files: what to make, from what.
type stagedFile struct {
	entry Entry
	at    place
	first int64 // index of its first blob in blobs
	count int64
	// reuse says that some of its blobs are in the file in place, which looked
	// like this when they were compared.
	reuse bool
	size  int64
	mtime Time
	ctime Time
}

func (f *stagedFile) encode(e *encoder) {
	e.entry(&f.entry)
	f.at.encode(e)
	e.int(f.first)
	e.int(f.count)
	if !f.reuse {
		e.byte(0)
		return
	}
	e.byte(1)
	e.int(f.size)
	e.time(f.mtime)
	e.time(f.ctime)
}

func decodeStagedFile(buf []byte) (f stagedFile, err error) {
	d := decoder{buf: buf}
	f.entry, f.at, f.first, f.count = d.entry(), decodePlace(&d), d.int(), d.int()
	if f.reuse = d.byte() == 1; f.reuse {
		f.size, f.mtime, f.ctime = d.int(), d.time(), d.time()
	}
	return f, d.end()
}

// stagedDir is a record of dirs.
type stagedDir struct {
	entry Entry
	at    place
}

func (s *stagedDir) encode(e *encoder) {
	e.entry(&s.entry)
	s.at.encode(e)
}

func decodeStagedDir(buf []byte) (s stagedDir, err error) {
	d := decoder{buf: buf}
	s.entry, s.at = d.entry(), decodePlace(&d)
	return s, d.end()
}

// stagedLink is a record of links: another name at at for a file that is kept
// in place at source, or staged at from.
type stagedLink struct {
	path   string
	at     place
	source string
	staged bool
	from   place
}

func (l *stagedLink) encode(e *encoder) {
	e.string(l.path)
	l.at.encode(e)
	e.string(l.source)
	if !l.staged {
		e.byte(0)
		return
	}
	e.byte(1)
	l.from.encode(e)
}

func decodeStagedLink(buf []byte) (l stagedLink, err error) {
	d := decoder{buf: buf}
	l.path, l.at, l.source = d.string(maxPath), decodePlace(&d), d.string(maxPath)
	if l.staged = d.byte() == 1; l.staged {
		l.from = decodePlace(&d)
	}
	return l, d.end()
}

// planFile is one of the files of a staging directory while it is written. A
// nil *planFile, of a dry run, takes everything and keeps nothing.
type planFile struct {
	f   *os.File
	w   *bufio.Writer
	enc encoder
	n   int64 // records
}

// createIn makes a file of the staging directory, open for writing and reading.
func createIn(dir int, name string) (*os.File, error) {
	fd, err := ignoringEINTR(func() (int, error) {
		return unix.Openat(dir, name, unix.O_CREAT|unix.O_EXCL|unix.O_RDWR|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	})
	if err != nil {
		return nil, fmt.Errorf("create %s in the staging directory: %w", name, err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

// openIn opens a file of the staging directory for reading.
func openIn(dir int, name string) (*os.File, error) {
	fd, err := ignoringEINTR(func() (int, error) {
		return unix.Openat(dir, name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	})
	if err != nil {
		return nil, fmt.Errorf("open %s in the staging directory: %w", name, err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

func createPlanFile(dir int, name string) (*planFile, error) {
	f, err := createIn(dir, name)
	if err != nil {
		return nil, err
	}
	return &planFile{f: f, w: bufio.NewWriterSize(f, 64<<10)}, nil
}

// add appends the record that encode makes.
func (p *planFile) add(encode func(*encoder)) error {
	if p == nil {
		return nil
	}
	p.enc.buf = p.enc.buf[:0]
	encode(&p.enc)
	p.n++
	if err := writeRecord(p.w, p.enc.buf); err != nil {
		return fmt.Errorf("write down the plan: %w", err)
	}
	return nil
}

// each calls do for every record, in order.
func (p *planFile) each(do func(record []byte) error) error {
	if err := p.flush(); err != nil {
		return err
	}
	r := bufio.NewReaderSize(io.NewSectionReader(p.f, 0, 1<<62), 128<<10)
	var buf []byte
	for n := int64(0); ; n++ {
		var err error
		buf, err = readRecord(r, buf)
		if errors.Is(err, io.EOF) && n == p.n {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read the plan: %w", cut(err))
		}
		if err := do(buf); err != nil {
			return err
		}
	}
}

func (p *planFile) flush() error {
	if p == nil {
		return nil
	}
	if err := p.w.Flush(); err != nil {
		return fmt.Errorf("write down the plan: %w", err)
	}
	return nil
}

func (p *planFile) close() {
	if p != nil {
		_ = p.f.Close() // what mattered was flushed, and synced, before
	}
}

// plan is what comparing the snapshot with the volume came to.
type plan struct {
	dirs, files, links, blobs, journal *planFile
	blobCount                          int64
}

// openPlan makes the plan's files.
func openPlan(dir int) (*plan, error) {
	p := &plan{}
	for name, to := range map[string]**planFile{
		planDirs: &p.dirs, planFiles: &p.files, planLinks: &p.links,
		planBlobs: &p.blobs, journalName: &p.journal,
	} {
		f, err := createPlanFile(dir, name)
		if err != nil {
			p.close()
			return nil, err
		}
		*to = f
	}
	return p, nil
}

func (p *plan) close() {
	for _, f := range []*planFile{p.dirs, p.files, p.links, p.blobs, p.journal} {
		f.close()
	}
}

// A blob of the plan is stored with what comparing found: whether the file in
// place has the same bytes there.
const planBlob = blobRecord + 1

// addBlobs appends blobs and gives the index of the first.
func (p *plan) addBlobs(blobs []Blob, same []bool) error {
	p.blobCount += int64(len(blobs))
	if p.blobs == nil {
		return nil
	}
	enc := &p.blobs.enc
	enc.buf = enc.buf[:0]
	for i, b := range blobs {
		enc.blob(b)
		flag := byte(0)
		if same != nil && same[i] {
			flag = 1
		}
		enc.byte(flag)
	}
	if _, err := p.blobs.w.Write(enc.buf); err != nil {
		return fmt.Errorf("write down the plan: %w", err)
	}
	return nil
}

// eachBlob calls do for count blobs from first on, with their offsets in the
// file.
func (p *plan) eachBlob(first, count int64, do func(b Blob, offset int64, same bool) error) error {
	const chunk = 256
	buf := make([]byte, min(count, chunk)*planBlob)
	offset := int64(0)
	for done := int64(0); done < count; {
		n := min(count-done, chunk)
		if _, err := p.blobs.f.ReadAt(buf[:n*planBlob], (first+done)*planBlob); err != nil {
			return fmt.Errorf("read the plan: %w", cut(err))
		}
		d := decoder{buf: buf[:n*planBlob]}
		for range n {
			b, same := d.blob(), d.byte() == 1
			if err := do(b, offset, same); err != nil {
				return err
			}
			offset += int64(b.Length)
		}
		done += n
	}
	return nil
}

// isNotExist says whether a path has nothing.
func isNotExist(err error) bool { return errors.Is(err, fs.ErrNotExist) }
