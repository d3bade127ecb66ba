package dump

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"io"
)

// loadFilter makes of a stored dump what a restore feeds to the client. Tables
// and rows go on as they are. Triggers, routines, views and events become rows
// of a table of the restore, in hexadecimal: what runs by itself must not run
// beside the old data, and when the new tables are in place their makings are
// at hand, also for whoever finishes the restore after a kill. Comments go, and
// with them the line that older clients take for a command.
type loadFilter struct {
	from  io.Reader
	names loadNames
	judge *myStatements

	out    bytes.Buffer
	buf    []byte
	done   bool
	err    error
	locked bool
	// What the statement at hand comes to. Settings of the session are both:
	// the objects rely on them too, unless they stand among rows.
	passed, stored bool
	kept           []byte       // the setting at hand
	settings       bytes.Buffer // rows of settings that no object followed yet
	hexed          []byte
}

// maxSettings bounds the settings that are gathered for one statement.
const maxSettings = 256 << 10

// loadNames is what a loadFilter has to know of the restore.
type loadNames struct {
	database string // in the dump
	objects  string // the table of the restore, quoted
	renamed  bool   // the database is restored under another name
	// standIn is the database, quoted, if it is not there yet. The default of a
	// column that takes from a sequence names the sequence's database, and
	// cannot be made without it: so one stands there meanwhile.
	standIn string
}

// newLoadFilter reads the dump of a database. An error of the dump is one of
// the reader, so that no client takes it for the end.
func newLoadFilter(from io.Reader, names loadNames) io.Reader {
	f := &loadFilter{from: from, names: names, buf: make([]byte, 64<<10)}
	f.judge = newMyStatements(names.database, f)
	return f
}

func (f *loadFilter) Read(p []byte) (int, error) {
	for f.out.Len() == 0 {
		switch {
		case f.err != nil:
			return 0, f.err
		case f.done:
			return 0, io.EOF
		}
		f.fill()
	}
	return f.out.Read(p)
}

// fill reads on. At the end, what proves that all of it arrived comes last.
func (f *loadFilter) fill() {
	n, err := f.from.Read(f.buf)
	f.judge.lexer.feed(f.buf[:n])
	if err == nil {
		err = f.judge.lexer.err
	}
	switch {
	case err == io.EOF:
		if f.err = f.judge.lexer.finish(); f.err == nil {
			f.done = true
			f.out.WriteString("COMMIT;\n" + myDoneSQL)
		}
	case err != nil:
		f.err = fmt.Errorf("read the dump: %w", err)
	}
	if f.err != nil {
		// A client obeys what it has got when its input ends, and the last of
		// this may be what was refused.
		f.out.Reset()
	}
}

func (f *loadFilter) begin(h myHead) {
	f.passed, f.stored = true, false
	switch h.kind {
	case myLock, myUnlock:
		// Nobody else is there, and under a lock a default that takes from a
		// sequence fails.
		f.passed, f.locked = false, h.kind == myLock
	case myTable:
		if h.sequence && f.names.standIn != "" {
			fmt.Fprintf(&f.out, "CREATE DATABASE IF NOT EXISTS %s;\nCREATE SEQUENCE IF NOT EXISTS %[1]s.%s;\n", f.names.standIn, myIdent(h.name))
		}
	case mySession:
		f.stored = !f.locked
	case myQualified, mySchema:
		if f.names.renamed {
			f.judge.lexer.fail(ErrBadRequest, "what names its own database, and cannot be restored under another name,")
		}
		fallthrough
	case myTrigger, myRoutine, myView, myEvent:
		f.passed, f.stored = false, true
		f.store(h.kind)
	}
	f.kept = f.kept[:0]
}

// store begins a row of the table of objects, behind those of the settings that
// it may rely on.
func (f *loadFilter) store(kind myKind) {
	fmt.Fprintf(&f.out, "INSERT INTO %s (kind, body) VALUES ", f.names.objects)
	f.settings.WriteTo(&f.out) // to memory: it cannot fail
	fmt.Fprintf(&f.out, "('%s', 0x", kind)
}

// set keeps a setting for the object that follows it.
func (f *loadFilter) set(text []byte) {
	if f.settings.Len() > maxSettings {
		fmt.Fprintf(&f.out, "INSERT INTO %s (kind, body) VALUES ", f.names.objects)
		f.settings.Truncate(f.settings.Len() - len(", "))
		f.settings.WriteTo(&f.out)
		f.out.WriteString(";\n")
	}
	fmt.Fprintf(&f.settings, "('%s', 0x%x), ", mySession, text)
}

func (f *loadFilter) text(p []byte) {
	switch {
	case !f.passed && f.stored:
		f.hexed = hex.AppendEncode(f.hexed[:0], p)
		f.out.Write(f.hexed)
	case !f.passed:
	case f.stored: // it is shorter than a head
		f.kept = append(f.kept, p...)
		fallthrough
	default:
		f.out.Write(p)
	}
}

func (f *loadFilter) end(myHead) {
	switch {
	case f.passed:
		f.out.WriteString(";\n")
		if f.stored {
			f.set(f.kept)
		}
	case f.stored:
		f.out.WriteString(");\n")
	}
}

func (f *loadFilter) comment([]byte) {}
