package dump

import (
	"bytes"
	"fmt"
	"strings"
)

// mySink takes what a lexer finds. Nothing that it is given may be kept.
type mySink interface {
	// text is a piece of a statement, delimiter not included.
	text(p []byte)
	// end says that the statement is over, and by which delimiter.
	end(delimiter string)
	// comment is a line of comment between statements, cut at myMaxComment.
	comment(line []byte)
}

// myLexer splits a dump into statements as the client that loads it does, so
// that what it says of a dump is what will happen. It reads a stream in
// bounded memory, whatever the length of a statement.
//
// A command to the client (a backslash outside of strings and comments) is
// what no dump holds, but names and comments that were not escaped can put one
// there: it ends the reading. DELIMITER is the one command that dumps have.
type myLexer struct {
	sink mySink
	err  error // stays

	buf       []byte // what was not yet looked at
	pos, from int    // in buf: how far it was looked at, and what the sink has got
	delimiter string
	line      int

	state     myState
	quote     byte // of the string that is open
	open      bool // a statement is open
	lineStart bool
	started   bool
	cond      bool   // in /*! ... */, which is code
	escapes   bool   // backslashes escape in strings
	note      []byte // the comment that is open between statements
}

type myState uint8

const (
	myCode myState = iota
	myString
	myLine  // comment up to the end of the line
	myBlock // comment up to */
)

const (
	// myDelimiter is the one command that dumps have.
	myDelimiter = "delimiter"
	// myAhead is how far the lexer must see: the longest line of DELIMITER, the
	// first line of newer dumps, and a word with what follows it.
	myAhead = 80
	// myMaxComment is how much of a comment is kept.
	myMaxComment = 1024
)

func newMyLexer(sink mySink) *myLexer {
	return &myLexer{sink: sink, delimiter: ";", line: 1, lineStart: true, escapes: true}
}

// feed takes the next bytes of the dump.
func (l *myLexer) feed(p []byte) {
	if l.err != nil {
		return
	}
	l.buf = append(l.buf, p...)
	l.run(myAhead)
}

// finish says that there are no more bytes.
func (l *myLexer) finish() error {
	l.run(1)
	switch {
	case l.err != nil:
		return l.err
	case l.state == myString:
		l.fail(ErrCutDump, "a string has no end")
	case l.state == myBlock || l.cond:
		l.fail(ErrCutDump, "a comment has no end")
	case l.open:
		l.fail(ErrCutDump, "the last statement has no end")
	case l.delimiter != ";":
		l.fail(ErrCutDump, "the delimiter is not put back")
	}
	if l.err == nil && l.state == myLine {
		l.endComment()
	}
	return l.err
}

func (l *myLexer) fail(kind error, what string) {
	if l.err == nil {
		l.err = fmt.Errorf("%w: %s in line %d", kind, what, l.line)
	}
}

// run looks at what there is, as long as there are at least that many bytes.
func (l *myLexer) run(least int) {
	for l.err == nil && len(l.buf)-l.pos >= least && len(l.buf) > l.pos {
		rest := l.buf[l.pos:]
		n := l.step(rest)
		l.line += bytes.Count(rest[:n], newline)
		l.lineStart = rest[n-1] == '\n'
		l.pos += n
		if !l.open {
			l.from = l.pos
		}
	}
	l.flush()
	l.buf = l.buf[:copy(l.buf, l.buf[l.pos:])]
	l.pos, l.from = 0, 0
}

// flush gives the sink what belongs to the statement that is open.
func (l *myLexer) flush() {
	if l.err == nil && l.open && l.from < l.pos {
		l.sink.text(l.buf[l.from:l.pos])
	}
	l.from = l.pos
}

var newline = []byte{'\n'}

// step handles a piece and says how long it is: 1 byte or more.
func (l *myLexer) step(rest []byte) int {
	switch l.state {
	case myString:
		return l.inString(rest)
	case myLine:
		return l.inLine(rest)
	case myBlock:
		return l.inBlock(rest)
	}
	if !l.started {
		l.started = true
		if n := sandboxLine(rest); n > 0 {
			return n
		}
	}
	if !l.open {
		if n := l.between(rest); n > 0 {
			return n
		}
	}
	return l.inCode(rest)
}

// sandboxLine is the length of the first line of newer MariaDB dumps, which
// keeps a client from obeying commands in the dump. Nothing else may stand in
// it, and it stands nowhere else.
func sandboxLine(rest []byte) int {
	for _, line := range [...]string{"/*M!999999\\- enable the sandbox mode */ \n", "/*!999999\\- enable the sandbox mode */ \n", "/*M!999999\\- enable the sandbox mode */\n", "/*!999999\\- enable the sandbox mode */\n"} {
		if bytes.HasPrefix(rest, []byte(line)) {
			return len(line)
		}
	}
	return 0
}

// between handles what stands between statements, 0 if that is one.
func (l *myLexer) between(rest []byte) int {
	c := rest[0]
	switch {
	case c == ' ' || c == '\t' || c == '\n' || c == '\r':
		return 1
	case c == '#' || bytes.HasPrefix(rest, []byte("--")):
		l.state = myLine
		return l.inLine(rest)
	case startsBlock(rest):
		// It could hide statements, and no dump has one there.
		l.fail(ErrHostileSQL, "a comment that could hide statements")
		return 1
	case l.lineStart && len(rest) > len(myDelimiter) && strings.EqualFold(string(rest[:len(myDelimiter)]), myDelimiter):
		return l.setDelimiter(rest)
	}
	return 0
}

// startsBlock: "/*", but not "/*!" and "/*M!", whose content is code.
func startsBlock(rest []byte) bool {
	return bytes.HasPrefix(rest, []byte("/*")) && !startsCode(rest)
}

func startsCode(rest []byte) bool {
	return bytes.HasPrefix(rest, []byte("/*!")) || bytes.HasPrefix(rest, []byte("/*M!"))
}

// setDelimiter reads "DELIMITER ;;". Dumps use semicolons only.
func (l *myLexer) setDelimiter(rest []byte) int {
	end := bytes.IndexByte(rest[:min(len(rest), myAhead)], '\n')
	if end < 0 {
		l.fail(ErrHostileSQL, "a DELIMITER of another kind")
		return 1
	}
	value := strings.TrimSuffix(string(rest[len(myDelimiter):end]), "\r")
	mark := strings.TrimLeft(value, " ")
	if mark == value || mark == "" || len(mark) > 16 || strings.Trim(mark, ";") != "" {
		l.fail(ErrHostileSQL, "a DELIMITER of another kind")
	}
	l.delimiter = mark
	return end + 1
}

// inCode handles a piece of a statement.
func (l *myLexer) inCode(rest []byte) int {
	c := rest[0]
	switch {
	case bytes.HasPrefix(rest, []byte(l.delimiter)):
		if l.cond {
			l.fail(ErrHostileSQL, "a delimiter inside of a comment")
		}
		l.flush()
		l.sink.end(l.delimiter)
		l.open = false
		return len(l.delimiter)
	case c == '\\':
		l.fail(ErrHostileSQL, "a command to the client")
		return 1
	case c == 0:
		l.fail(ErrHostileSQL, "a NUL byte")
		return 1
	}
	l.open = true
	n := 1
	switch {
	case c == '\'' || c == '"' || c == '`':
		l.state, l.quote = myString, c
	case c == '#' || bytes.HasPrefix(rest, []byte("--")) && (len(rest) < 3 || rest[2] <= ' '):
		l.state = myLine
	case startsBlock(rest):
		l.state, n = myBlock, 2
	case startsCode(rest):
		l.cond, n = true, 3
	case l.cond && bytes.HasPrefix(rest, []byte("*/")):
		l.cond, n = false, 2
	case isWordByte(c):
		for n < len(rest) && isWordByte(rest[n]) {
			n++
		}
		// Wherever "delimiter " stands in code, clients take it for the command,
		// also in a routine that has a variable of that name. A tab they do not.
		if n < len(rest) && rest[n] == ' ' && n >= len(myDelimiter) && strings.EqualFold(string(rest[n-len(myDelimiter):n]), myDelimiter) {
			rest[n] = '\t'
		}
	}
	return n
}

func (l *myLexer) inString(rest []byte) int {
	escapes := l.escapes && l.quote != '`'
	for i := 0; i < len(rest); i++ {
		switch {
		case rest[i] == l.quote:
			l.state = myCode
			return i + 1
		case escapes && rest[i] == '\\':
			if i+1 == len(rest) && i > 0 { // the next one decides, and is not here yet
				return i
			}
			i++
		}
	}
	return len(rest)
}

// inLine reads a comment, the line's end included.
func (l *myLexer) inLine(rest []byte) int {
	n := bytes.IndexByte(rest, '\n') + 1
	whole := n > 0
	if !whole {
		n = len(rest)
	}
	if room := myMaxComment - len(l.note); !l.open && room > 0 {
		l.note = append(l.note, rest[:min(room, n)]...)
	}
	if whole {
		l.endComment()
	}
	return n
}

func (l *myLexer) endComment() {
	l.state = myCode
	if !l.open {
		l.sink.comment(bytes.TrimRight(l.note, "\r\n"))
		l.note = l.note[:0]
	}
}

func (l *myLexer) inBlock(rest []byte) int {
	n := len(rest)
	if i := bytes.Index(rest, []byte("*/")); i >= 0 {
		n, l.state = i+2, myCode
	} else if n > 1 {
		n-- // a star may be the first half of the end
	}
	return n
}
