package dump

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"strings"
)

// maxLDIFLine is how long a line may be; slapcat folds lines at 78 bytes.
const maxLDIFLine = 64 << 10

// ldifOpening begins the remark before the entries of a database, which may be
// none. A dump without it has some.
const ldifOpening = "# the entries of database "

// ldifProof reads LDIF as slapcat writes it: records of lines, each of which
// begins with a dn, has an object class and a structural one, and ends with an
// empty line. Bounded memory: it keeps one line.
type ldifProof struct {
	line    []byte // as it is written
	head    []byte // as it is read, as long as it does not say what it is
	n       int64  // of lines
	entries int64
	in      bool // a record has begun
	kinds   int  // which of the classes it has
	last    string
	err     error
	size    int64
	// mayLack says that there need be no entry, where the remark says that they
	// have been asked for: a directory in which nothing is yet.
	mayLack, asked bool
}

const (
	ldifClass = 1 << iota
	ldifStructural
	ldifBoth = ldifClass | ldifStructural
)

// newLDIFProof is the proof for a configuration, or for the entries of a
// database.
func newLDIFProof(role Role) *ldifProof { return &ldifProof{mayLack: role == RoleDatabase} }

func (p *ldifProof) Write(b []byte) (int, error) {
	p.size += int64(len(b))
	for rest := b; len(rest) > 0 && p.err == nil; {
		i := bytes.IndexByte(rest, '\n')
		if i < 0 {
			if p.line = append(p.line, rest...); len(p.line) > maxLDIFLine {
				p.fail("a line is longer than any that slapcat writes")
			}
			break
		}
		line := rest[:i]
		if len(p.line) > 0 {
			line = append(p.line, line...)
		}
		p.take(line)
		p.line, rest = p.line[:0], rest[i+1:]
	}
	return len(b), nil
}

func (p *ldifProof) fail(format string, args ...any) {
	if p.err == nil {
		p.err = fmt.Errorf("%w: line %d: %s", ErrBadDump, p.n+1, fmt.Sprintf(format, args...))
	}
}

// take judges one line.
func (p *ldifProof) take(line []byte) {
	switch {
	case len(line) > maxLDIFLine:
		p.fail("a line is longer than any that slapcat writes")
	case len(line) == 0:
		p.decide()
		p.end()
	case line[0] == ' ' && len(p.head) > 0:
		if len(p.head)+len(line) > maxLDIFLine {
			p.fail("a line is longer than any that slapcat writes")
			break
		}
		p.begin(append(p.head, line[1:]...))
	case line[0] == ' ':
		if p.last == "" {
			p.fail("it goes on with what was not begun")
		}
	case line[0] == '#' && !p.in && len(p.head) == 0:
		p.asked = p.asked || p.n == 0 && bytes.HasPrefix(line, []byte(ldifOpening))
	default:
		p.decide()
		p.begin(append(p.head, line...))
	}
	p.n++
}

// begin judges a line as soon as it says what it is: it may be folded anywhere,
// also before what makes its value a reference.
func (p *ldifProof) begin(head []byte) {
	p.head = head
	if i := bytes.IndexByte(head, ':'); i >= 0 && i+1 < len(head) {
		p.decide()
	}
}

// decide judges a line that has begun.
func (p *ldifProof) decide() {
	if len(p.head) > 0 {
		p.attribute(p.head)
		p.head = p.head[:0]
	}
}

func (p *ldifProof) attribute(line []byte) {
	i := bytes.IndexByte(line, ':')
	if i < 1 || bytes.ContainsFunc(line[:i], notInName) {
		p.fail("it is no attribute")
		return
	}
	if i+1 < len(line) && line[i+1] == '<' {
		p.fail("it refers to a file, which a dump never does") // slapadd would read it
		return
	}
	name := string(line[:i])
	switch {
	case !p.in && name != "dn":
		p.fail("an entry does not begin with its name")
	case p.in && name == "dn":
		p.fail("an entry has no end")
	case strings.EqualFold(name, "changetype") || strings.EqualFold(name, "include"):
		p.fail("%s is never part of a dump", name)
	case name == "dn":
		p.in, p.kinds = true, 0
		p.entries++
	case name == "objectClass":
		p.kinds |= ldifClass
	case name == "structuralObjectClass":
		p.kinds |= ldifStructural
	}
	p.last = name
}

// notInName says of a character that no attribute's name, with its options, has
// it.
func notInName(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("-_.;", r)
}

// end ends an entry.
func (p *ldifProof) end() {
	if p.in && p.kinds != ldifBoth {
		p.fail("an entry ends without its object classes")
	}
	p.in, p.last = false, ""
}

// Finish says whether the last entry was ended.
func (p *ldifProof) Finish() error {
	switch {
	case p.err != nil:
		return p.err
	case p.size == 0:
		return ErrEmptyDump
	case len(p.line) > 0 || len(p.head) > 0 || p.in:
		return fmt.Errorf("%w: its last entry has no end", ErrCutDump)
	case p.entries == 0 && !(p.mayLack && p.asked):
		return fmt.Errorf("%w: it holds no entry", ErrBadDump)
	}
	return nil
}

// Summary says how many entries there are.
func (p *ldifProof) Summary() string { return fmt.Sprintf("%d entries", p.entries) }

// withoutRemark leaves out the remark before the entries, which slapadd does not
// take for itself alone.
func withoutRemark(r io.Reader) io.Reader { return &remarkFilter{from: bufio.NewReader(r)} }

// remarkFilter is a dump from its second line on, where the first is our remark.
type remarkFilter struct {
	from *bufio.Reader
	over bool // the first line has been looked at
	err  error
}

func (f *remarkFilter) Read(p []byte) (int, error) {
	if !f.over {
		f.over, f.err = true, f.skip()
	}
	if f.err != nil {
		return 0, f.err
	}
	return f.from.Read(p)
}

// skip reads the remark, if there is one, to its end.
func (f *remarkFilter) skip() error {
	head, err := f.from.Peek(len(ldifOpening))
	if err != nil && err != io.EOF {
		return err
	}
	if string(head) != ldifOpening {
		return nil // also what is too short for it
	}
	for {
		if c, err := f.from.ReadByte(); err != nil || c == '\n' {
			return err
		}
	}
}
