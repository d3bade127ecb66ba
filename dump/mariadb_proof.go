package dump

import (
	"bytes"
	"fmt"
	"strings"
)

// myCompleted is the last line of a whole dump. The content may hold the same
// text, so it counts only as a comment between statements.
const myCompleted = "-- Dump completed"

// sqlProof judges a dump by reading it as the client will: it begins with what
// the dump program writes first, every statement is one that dumps hold, rows
// stand only between LOCK TABLES and UNLOCK TABLES of their own table, every
// string, comment and statement ends, and the last line says that the program
// came to its end.
type sqlProof struct {
	database   string
	statements *myStatements
	size       int64
	head       []byte // how it begins, for a message

	product, named bool // the head said who made it, and of which database
	completed      bool // the last thing that was seen is the last line
	locked         string
	tables, rows   int64 // tables with rows, statements with rows
	lastByte       byte
}

func newSQLProof(database string) *sqlProof {
	p := &sqlProof{database: database}
	p.statements = newMyStatements(database, p)
	return p
}

func (p *sqlProof) Write(b []byte) (int, error) {
	if len(b) > 0 {
		p.size += int64(len(b))
		p.head = append(p.head, b[:min(len(b), 128-len(p.head))]...)
		p.lastByte = b[len(b)-1]
		p.statements.lexer.feed(b)
	}
	return len(b), nil
}

func (p *sqlProof) begin(h myHead) {
	p.completed = false
	fail := p.statements.lexer.fail
	switch {
	case !p.product || !p.named:
		fail(ErrBadDump, "a statement before the head of the dump")
	case h.kind == myLock && p.locked != "":
		fail(ErrBadDump, "a table is locked before another is unlocked")
	case h.kind == myLock:
		p.locked = h.name
		p.tables++
	case h.kind == myUnlock && p.locked == "":
		fail(ErrBadDump, "UNLOCK TABLES without a lock")
	case h.kind == myUnlock:
		p.locked = ""
	case h.kind == myInsert && h.name != p.locked:
		fail(ErrBadDump, "rows outside of their table's lock")
	case h.kind == myInsert:
		p.rows++
	}
}

func (p *sqlProof) text([]byte) {}

func (p *sqlProof) end(myHead) {}

func (p *sqlProof) comment(line []byte) {
	switch text := string(line); {
	case !p.product:
		p.product = strings.HasPrefix(text, "-- MariaDB dump ") || strings.HasPrefix(text, "-- MySQL dump ")
		if !p.product {
			p.statements.lexer.fail(ErrBadDump, "a comment before the head of the dump")
		}
	case !p.named:
		if name, ok := headDatabase(text); ok {
			p.named = true
			if plainName(p.database) && name != p.database {
				p.statements.lexer.fail(ErrBadDump, fmt.Sprintf("it is of database %.64q, not %q", name, p.database))
			}
		}
	case text == myCompleted || strings.HasPrefix(text, myCompleted+" on "):
		p.completed = true
	case len(bytes.TrimSpace(line)) > 0:
		p.completed = false
	}
}

// headDatabase reads "-- Host: localhost    Database: shop".
func headDatabase(line string) (string, bool) {
	if !strings.HasPrefix(line, "-- Host: ") {
		return "", false
	}
	_, name, ok := strings.Cut(line, "Database: ")
	return name, ok
}

// plainName: others are written in the head in a way that depends on the
// version.
func plainName(name string) bool {
	return name != "" && !strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' || r == '\\' })
}

func (p *sqlProof) Finish() error {
	if p.size == 0 {
		return ErrEmptyDump
	}
	err := p.statements.lexer.finish()
	switch {
	case !p.product:
		// Where the client cannot be run, its error text may be all there is.
		return fmt.Errorf("%w: it should begin otherwise than %s", ErrBadDump, excerpt(p.head))
	case err != nil:
		return err
	case p.locked != "":
		return fmt.Errorf("%w: the rows of table %.64q have no end", ErrCutDump, p.locked)
	case !p.completed || p.lastByte != '\n':
		return fmt.Errorf("%w: its last line is not %q", ErrCutDump, myCompleted)
	}
	return nil
}

// Counts says how many tables have rows. How many rows is not known: a statement
// has many.
func (p *sqlProof) Counts() map[string]int64 { return map[string]int64{"tables": p.tables} }

func (p *sqlProof) Summary() string {
	return fmt.Sprintf("%d tables with rows, %d statements with rows, %d bytes", p.tables, p.rows, p.size)
}
