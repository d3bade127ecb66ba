package volume

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// The journal is the list of operations that exchange the old data and the new.
// It is written while the new data is staged, and counts only from its end
// record on, which is written, and synced, when all that it speaks of is on
// disk. With an end record everything is rolled forward after a kill; without,
// nothing has been touched yet and what was staged is thrown away.
const (
	journalName  = "journal"
	journalMagic = "ripplebak restore journal 1"
)

// opKind says what an operation does. The numbers are part of the form on disk.
type opKind uint8

const (
	// opHead comes first: the restore's ID, and the root's times before and after.
	opHead opKind = iota + 1
	// opRemove moves what lies at path to old/N.
	opRemove
	// opPlace moves new/N to path, where nothing is.
	opPlace
	// opMeta gives what lies at path, and stays, other metadata.
	opMeta
	// opEnd comes last: the number of records before it and their SHA-256.
	opEnd
	// opAbsent says that nothing lay at path, where something may come into
	// being while the old is held: going back moves that to new/absent-N.
	opAbsent
	// opEmpty: all that lay in the directory at path goes, so whatever is found
	// there when the old comes back has come into being since.
	opEmpty
)

type operation struct {
	kind opKind
	path string
	n    uint64
	dir  bool // it moves a directory

	old, new  Entry // opMeta; of opHead the times of the root
	timesOnly bool
}

func (o operation) encode(e *encoder) {
	e.byte(byte(o.kind))
	switch o.kind {
	case opHead:
		e.string(journalMagic)
		e.string(o.path) // the restore's ID
		e.entry(&o.old)
		e.entry(&o.new)
	case opRemove, opPlace, opAbsent, opEmpty:
		e.string(o.path)
		e.uint(o.n)
		e.byte(byte(b2i(o.dir)))
	case opMeta:
		e.entry(&o.old)
		e.entry(&o.new)
		e.byte(byte(b2i(o.timesOnly)))
	}
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

func decodeOperation(buf []byte) (operation, error) {
	d := decoder{buf: buf}
	o := operation{kind: opKind(d.byte())}
	switch o.kind {
	case opHead:
		if d.string(len(journalMagic)) != journalMagic {
			d.fail()
		}
		o.path, o.old, o.new = d.string(64), d.entry(), d.entry()
	case opRemove, opPlace, opAbsent:
		o.path, o.n, o.dir = d.string(maxPath), d.uint(), d.byte() == 1
		if checkOpPath(o.path) != nil {
			d.fail()
		}
	case opEmpty:
		o.path, o.n, o.dir = d.string(maxPath), d.uint(), d.byte() == 1
		if o.path != "" && checkOpPath(o.path) != nil {
			d.fail()
		}
	case opMeta:
		o.old, o.new, o.timesOnly = d.entry(), d.entry(), d.byte() == 1
		o.path = o.new.Path
		if o.path != "" && checkOpPath(o.path) != nil {
			d.fail()
		}
	default:
		d.fail()
	}
	return o, d.end()
}

// checkOpPath says whether every name of a path can be one: the journal lies in
// the volume, where others may write too.
func checkOpPath(path string) error {
	for rest := path; ; {
		up, name := splitPath(rest)
		if err := checkName(path, name); err != nil || up == "" {
			return err
		}
		rest = up
	}
}

// sealJournal appends the end record to a journal and syncs it: from its return
// on, and possibly a little before, the restore is decided.
func sealJournal(p *planFile) error {
	if err := p.flush(); err != nil {
		return err
	}
	sum := sha256.New()
	size, err := io.Copy(sum, io.NewSectionReader(p.f, 0, 1<<62))
	if err != nil {
		return fmt.Errorf("read the journal: %w", err)
	}
	var end encoder
	end.byte(byte(opEnd))
	end.uint(uint64(p.n))
	end.buf = sum.Sum(end.buf)
	var record bytes.Buffer
	if err := writeRecord(&record, end.buf); err != nil {
		return err
	}
	if _, err := p.f.WriteAt(record.Bytes(), size); err != nil {
		return fmt.Errorf("write the journal: %w", err)
	}
	if err := p.f.Sync(); err != nil {
		return fmt.Errorf("sync the journal: %w", err)
	}
	return nil
}

// journal is a complete journal, verified.
type journal struct {
	f    *os.File
	head operation
	n    int64 // operations, the head and the end excepted
}

var errNoJournal = errors.New("no complete journal")

// openJournal opens and verifies the journal of a staging directory. It is
// errNoJournal if it is absent, or was not written to its end.
func openJournal(dir int) (*journal, error) {
	f, err := openIn(dir, journalName)
	if isNotExist(err) {
		return nil, errNoJournal
	}
	if err != nil {
		return nil, err
	}
	j := &journal{f: f}
	if err := j.verify(); err != nil {
		j.close()
		return nil, err
	}
	return j, nil
}

func (j *journal) close() { _ = j.f.Close() } // only read from

// verify reads the journal to its end record. Damage is no journal, for every
// byte of a journal that was decided on had been synced; an error of reading is
// an error.
func (j *journal) verify() error {
	r := bufio.NewReaderSize(j.f, 128<<10)
	sum := sha256.New()
	var buf []byte
	for n := int64(0); ; n++ {
		var err error
		buf, err = readRecord(r, buf)
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, errRecord) {
			return errNoJournal
		}
		if err != nil {
			return fmt.Errorf("read the journal: %w", err)
		}
		if len(buf) > 0 && opKind(buf[0]) == opEnd {
			return j.verifyEnd(buf, n, sum)
		}
		if err := writeRecord(sum, buf); err != nil {
			return err
		}
		if n > 0 {
			j.n++
			continue
		}
		if j.head, err = decodeOperation(buf); err != nil || j.head.kind != opHead {
			return errNoJournal
		}
	}
}

func (j *journal) verifyEnd(record []byte, n int64, sum hash.Hash) error {
	d := decoder{buf: record[1:]}
	if d.uint() != uint64(n) || d.err != nil || !bytes.Equal(d.buf, sum.Sum(nil)) {
		return errNoJournal
	}
	if n == 0 {
		return errNoJournal
	}
	return nil
}

// each calls do for every operation, in order.
func (j *journal) each(do func(operation) error) error {
	r := bufio.NewReaderSize(io.NewSectionReader(j.f, 0, 1<<62), 128<<10)
	var buf []byte
	for i := range j.n + 1 {
		var err error
		if buf, err = readRecord(r, buf); err != nil {
			return fmt.Errorf("read the journal: %w", cut(err))
		}
		if i == 0 {
			continue
		}
		op, err := decodeOperation(buf)
		if err != nil {
			return fmt.Errorf("read the journal: %w", err)
		}
		if err := do(op); err != nil {
			return err
		}
	}
	return nil
}

// mark makes an empty file in the staging directory, durably.
func mark(dir int, name string) error {
	fd, err := ignoringEINTR(func() (int, error) {
		return unix.Openat(dir, name, unix.O_CREAT|unix.O_WRONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	})
	if err != nil {
		return fmt.Errorf("mark the restore as %s: %w", name, err)
	}
	err = errors.Join(unix.Fsync(fd), unix.Close(fd), unix.Fsync(dir))
	if err != nil {
		return fmt.Errorf("mark the restore as %s: %w", name, err)
	}
	return nil
}

// marked says whether mark was called for name.
func marked(dir int, name string) (bool, error) {
	var m meta
	err := statIn(dir, name, &m)
	if isNotExist(err) {
		return false, nil
	}
	return err == nil, err
}
