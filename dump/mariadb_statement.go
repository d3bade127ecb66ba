package dump

import (
	"fmt"
	"strings"
)

// myKind is what a statement of a dump is about.
type myKind string

const (
	mySession   myKind = "session"   // settings of the session, which the next statements rely on
	myTable     myKind = "table"     // tables, sequences and their rows
	myLock      myKind = "lock"      // the rows of a table begin
	myInsert    myKind = "insert"    // rows
	myUnlock    myKind = "unlock"    // the rows of a table end
	myTrigger   myKind = "trigger"   // also one that is dropped
	myQualified myKind = "qualified" // a trigger whose text names its schema
	myRoutine   myKind = "routine"   // procedures, functions, packages
	myView      myKind = "view"      // and what stands in its place for a while
	myEvent     myKind = "event"
	mySchema    myKind = "schema" // ALTER DATABASE: the collation that a routine was made with
)

// myHead is a statement by its beginning.
type myHead struct {
	kind myKind
	name string // of what is made, locked or filled
	// sequence says that one is made.
	sequence bool
}

// myStatements gathers the beginning of each statement and tells what it is.
// What a dump never holds ends the reading.
type myStatements struct {
	database string
	to       myHandler
	lexer    *myLexer
	head     []byte
	known    bool
	views    bool // it stands behind the version of views
	current  myHead
}

// myHandler takes statements by what they are.
type myHandler interface {
	begin(h myHead)
	text(p []byte)
	end(h myHead)
	comment(line []byte)
}

// myHeadSize is how much of a statement decides what it is. Behind it there
// are a table's columns, its rows or a body.
const myHeadSize = 4096

func newMyStatements(database string, to myHandler) *myStatements {
	s := &myStatements{database: database, to: to}
	s.lexer = newMyLexer(s)
	return s
}

func (s *myStatements) comment(line []byte) { s.to.comment(line) }

func (s *myStatements) text(p []byte) {
	if s.known {
		s.to.text(p)
		return
	}
	s.head = append(s.head, p...)
	if len(s.head) >= myHeadSize {
		s.decide()
	}
}

func (s *myStatements) end(delimiter string) {
	if len(s.head) == 0 && !s.known {
		return
	}
	if !s.known {
		s.decide()
	}
	h := s.current
	if delimiter != ";" && (h.kind == myTable || h.kind == myLock || h.kind == myInsert || h.kind == myUnlock) {
		s.lexer.fail(ErrHostileSQL, "rows behind a DELIMITER")
	}
	if h.kind == mySession {
		s.setSession()
	}
	s.to.end(h)
	s.head, s.known = s.head[:0], false
}

func (s *myStatements) decide() {
	var tokens myTokenList
	tokens, s.views = myTokens(s.head)
	head, err := s.classify(tokens)
	if err != nil {
		s.lexer.fail(ErrHostileSQL, err.Error())
	}
	s.current, s.known = head, true
	s.to.begin(head)
	s.to.text(s.head)
}

// setSession follows the one setting that changes how strings are read.
func (s *myStatements) setSession() {
	text := strings.ToUpper(string(s.head))
	if at := strings.Index(text, "SQL_MODE"); at >= 0 && strings.ContainsRune(text[at:], '\'') {
		s.lexer.escapes = !strings.Contains(text[at:], "NO_BACKSLASH_ESCAPES")
	} else if at >= 0 && strings.Contains(text[at:], "@SAVED_SQL_MODE") && !strings.Contains(text[:at], "@SAVED_SQL_MODE") {
		s.lexer.escapes = true // back to that of the whole dump
	}
}

// classify says what a statement is by its first words.
func (s *myStatements) classify(t myTokenList) (myHead, error) {
	switch t.word(0) {
	case "SET":
		return myHead{kind: mySession}, s.checkSession(t)
	case "COMMIT":
		return myHead{kind: myTable}, t.only(1)
	case "LOCK":
		name, err := t.object(2)
		if t.word(1) != "TABLES" || t.word(3) != "WRITE" || len(t) != 4 {
			err = errUnknownSQL(t)
		}
		return myHead{kind: myLock, name: name}, err
	case "UNLOCK":
		return myHead{kind: myUnlock}, t.only(2, "UNLOCK", "TABLES")
	case "INSERT":
		at := 1
		if t.word(at) == "IGNORE" {
			at++
		}
		name, err := t.object(at + 1)
		if t.word(at) != "INTO" || t.word(at+2) != "VALUES" && t.symbolAt(at+2) != '(' {
			err = errUnknownSQL(t)
		}
		return myHead{kind: myInsert, name: name}, err
	case "DO":
		if t.word(1) != "SETVAL" {
			return myHead{}, errUnknownSQL(t)
		}
		_, err := t.object(3)
		return myHead{kind: myTable}, err
	case "ALTER":
		return s.classifyAlter(t)
	case "DROP":
		return s.classifyDrop(t)
	case "CREATE":
		return s.classifyCreate(t)
	}
	return myHead{}, errUnknownSQL(t)
}

// checkSession refuses what reaches beyond the session.
func (s *myStatements) checkSession(t myTokenList) error {
	if len(s.head) >= myHeadSize {
		return fmt.Errorf("a SET of more than %d bytes", myHeadSize)
	}
	for _, token := range t {
		switch {
		case token.word == "GLOBAL" || token.word == "PERSIST" || token.word == "PERSIST_ONLY" || token.word == "PASSWORD" || token.word == "ROLE":
			return fmt.Errorf("SET %s", token.word)
		case token.symbol == '(' || token.symbol == ';':
			return fmt.Errorf("SET with %q", token.symbol)
		}
	}
	return nil
}

func (s *myStatements) classifyAlter(t myTokenList) (myHead, error) {
	if t.word(1) == "TABLE" { // ... DISABLE KEYS, ENABLE KEYS
		name, err := t.object(2)
		if len(t) != 5 || t.word(4) != "KEYS" {
			err = errUnknownSQL(t)
		}
		return myHead{kind: myTable, name: name}, err
	}
	if t.word(1) != "DATABASE" || len(t) != 8 || t[2].name != s.database {
		return myHead{}, errUnknownSQL(t)
	}
	return myHead{kind: mySchema}, nil
}

func (s *myStatements) classifyDrop(t myTokenList) (myHead, error) {
	kind, ok := myKindOf(t.word(1))
	at := 2
	if t.word(1) == "PACKAGE" && t.word(2) == "BODY" {
		at++
	}
	if !ok || t.word(at) != "IF" || t.word(at+1) != "EXISTS" {
		return myHead{}, errUnknownSQL(t)
	}
	if kind == myTable && s.views {
		kind = myView
	}
	name, err := t.object(at + 2)
	if len(t) != at+3 {
		err = errUnknownSQL(t)
	}
	return myHead{kind: kind, name: name}, err
}

// classifyCreate finds the kind behind the definer and the like.
func (s *myStatements) classifyCreate(t myTokenList) (myHead, error) {
	for i := 1; i < len(t); i++ {
		kind, ok := myKindOf(t[i].word)
		if !ok {
			if t[i].symbol == '(' {
				break
			}
			continue
		}
		at := i + 1
		if t.word(i) == "PACKAGE" && t.word(at) == "BODY" {
			at++
		}
		if t.word(at) == "IF" && t.word(at+1) == "NOT" && t.word(at+2) == "EXISTS" {
			at += 3
		}
		if kind == myTrigger {
			return s.trigger(t, at)
		}
		if kind == myTable && s.views {
			kind = myView
		}
		name, err := t.object(at)
		if err == nil && kind == myRoutine && t.word(i) != "PACKAGE" && t.symbolAt(at+1) != '(' {
			err = errUnknownSQL(t) // a function of a library
		}
		return myHead{kind, name, t.word(i) == "SEQUENCE"}, err
	}
	return myHead{}, errUnknownSQL(t)
}

// trigger tells whether a trigger's text, which is kept as it was typed, names
// the schema. It can be no other than the database's own.
func (s *myStatements) trigger(t myTokenList, at int) (myHead, error) {
	h := myHead{kind: myTrigger}
	for range 2 { // its own name, then that of its table
		if t.symbolAt(at+1) == '.' {
			if t.nameAt(at) != s.database {
				return h, fmt.Errorf("a trigger in another database")
			}
			h.kind, at = myQualified, at+2
		}
		if t.nameAt(at) == "" {
			return h, errUnknownSQL(t)
		}
		if at++; t.word(at) == "BEFORE" || t.word(at) == "AFTER" {
			if t.word(at+2) != "ON" {
				return h, errUnknownSQL(t)
			}
			at += 3
		}
	}
	return h, nil
}

func myKindOf(word string) (myKind, bool) {
	switch word {
	case "TABLE", "SEQUENCE":
		return myTable, true
	case "TRIGGER":
		return myTrigger, true
	case "PROCEDURE", "FUNCTION", "PACKAGE":
		return myRoutine, true
	case "VIEW":
		return myView, true
	case "EVENT":
		return myEvent, true
	}
	return "", false
}

func errUnknownSQL(t myTokenList) error {
	var words []string
	for _, token := range t[:min(3, len(t))] {
		if token.word == "" {
			break
		}
		words = append(words, fmt.Sprintf("%.16s", token.word))
	}
	return fmt.Errorf("a statement %q, which no dump holds there,", strings.Join(words, " ")+" ...")
}
