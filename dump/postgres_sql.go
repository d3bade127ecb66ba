package dump

import (
	"fmt"
	"strings"
)

// Stored SQL (roles, properties) is ours and authenticated, and goes through
// psql all the same. So it is read by the strict lexer below, which knows only
// what the writers write, and only statements of known shapes are passed on.

// maxSQL bounds the stored SQL that is read into memory.
const maxSQL = 64 << 20

type sqlKind uint8

const (
	sqlWord    sqlKind = iota // keyword, unquoted name or number, in value as lower case
	sqlQuoted                 // "name"
	sqlLiteral                // 'text' or E'text'
	sqlSymbol                 // , = ( ) * . -
)

type sqlToken struct {
	kind  sqlKind
	raw   string
	value string // of words and quoted names
}

// isWord says whether the token is this keyword, given in lower case.
func (t sqlToken) isWord(word string) bool { return t.kind == sqlWord && t.value == word }

// isName says whether the token can be the name of something.
func (t sqlToken) isName() bool { return t.kind == sqlWord || t.kind == sqlQuoted }

type sqlStatement []sqlToken

func (s sqlStatement) String() string {
	var b strings.Builder
	for i, t := range s {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(t.raw)
	}
	b.WriteString(";\n")
	return b.String()
}

// match says whether the statement has this shape: words that must stand
// there, "?" for a name, "'" for a literal, "*" at the end for any rest. It
// returns the values of the names.
func (s sqlStatement) match(shape string) (names []string, ok bool) {
	fields := strings.Fields(shape)
	for i, f := range fields {
		if f == "*" {
			return names, true
		}
		if i >= len(s) {
			return nil, false
		}
		switch f {
		case "?":
			if !s[i].isName() {
				return nil, false
			}
			names = append(names, s[i].value)
		case "'":
			if s[i].kind != sqlLiteral {
				return nil, false
			}
		default:
			if !s[i].isWord(f) {
				return nil, false
			}
		}
	}
	return names, len(s) == len(fields)
}

// parseSQL splits stored SQL into statements. Comments are dropped. A command
// to the client (a backslash outside of quotes) is refused, except for the two
// that pg_dumpall wraps its output in, which are dropped.
func parseSQL(sql []byte) ([]sqlStatement, error) {
	if len(sql) > maxSQL {
		return nil, fmt.Errorf("%w: %d bytes of SQL, at most %d are read", ErrHostileSQL, len(sql), maxSQL)
	}
	l := sqlLexer{rest: string(sql), line: 1}
	var statements []sqlStatement
	var current sqlStatement
	for {
		token, end, err := l.next(len(current) == 0)
		switch {
		case err != nil:
			return nil, err
		case end && len(current) > 0:
			return nil, fmt.Errorf("%w: the last statement has no end", ErrCutDump)
		case end:
			return statements, nil
		case token.kind == sqlSymbol && token.raw == ";":
			if len(current) > 0 {
				statements = append(statements, current)
			}
			current = nil
		default:
			current = append(current, token)
		}
	}
}

type sqlLexer struct {
	rest string
	line int
}

func (l *sqlLexer) fail(what string) error {
	return fmt.Errorf("%w: %s in line %d", ErrHostileSQL, what, l.line)
}

// take cuts the next n bytes off.
func (l *sqlLexer) take(n int) string {
	s := l.rest[:n]
	l.line += strings.Count(s, "\n")
	l.rest = l.rest[n:]
	return s
}

// takeLine cuts the rest of the line off.
func (l *sqlLexer) takeLine() string {
	if n := strings.IndexByte(l.rest, '\n'); n >= 0 {
		return l.take(n + 1)
	}
	return l.take(len(l.rest))
}

// next is the next token; end is true after the last one. fresh says that no
// statement is open.
func (l *sqlLexer) next(fresh bool) (token sqlToken, end bool, err error) {
	for l.rest != "" {
		c := l.rest[0]
		switch {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
			l.take(1)
		case strings.HasPrefix(l.rest, "--"):
			l.takeLine()
		case c == '\\' && fresh && isRestrict(strings.TrimRight(l.rest[:lineLength(l.rest)], "\r\n")):
			l.takeLine()
		case c == '"':
			return l.quoted()
		case c == '\'':
			return l.literal(0, false)
		case isWordByte(c):
			return l.word()
		case strings.IndexByte(",=()*.;-", c) >= 0:
			raw := l.take(1)
			return sqlToken{kind: sqlSymbol, raw: raw}, false, nil
		default:
			return sqlToken{}, false, l.fail(fmt.Sprintf("%q", c))
		}
	}
	return sqlToken{}, true, nil
}

func lineLength(s string) int {
	if n := strings.IndexByte(s, '\n'); n >= 0 {
		return n
	}
	return len(s)
}

// isWordByte: letters, digits, underscore, and bytes of other scripts. "$" is
// not among them, so that there is no dollar quoting.
func isWordByte(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80
}

func (l *sqlLexer) word() (sqlToken, bool, error) {
	n := 0
	for n < len(l.rest) && isWordByte(l.rest[n]) {
		n++
	}
	if n < len(l.rest) && l.rest[n] == '\'' {
		// A letter in front of a literal changes its meaning.
		if w := l.rest[:n]; w != "E" && w != "e" {
			return sqlToken{}, false, l.fail("a literal of another kind")
		}
		return l.literal(1, true)
	}
	raw := l.take(n)
	return sqlToken{kind: sqlWord, raw: raw, value: asciiLower(raw)}, false, nil
}

// asciiLower folds as the server folds unquoted names, which are ASCII here:
// anything else is written quoted.
func asciiLower(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}

func (l *sqlLexer) quoted() (sqlToken, bool, error) {
	for i := 1; i < len(l.rest); i++ {
		if l.rest[i] != '"' {
			continue
		}
		if i+1 < len(l.rest) && l.rest[i+1] == '"' {
			i++
			continue
		}
		raw := l.take(i + 1)
		if strings.IndexByte(raw, 0) >= 0 {
			return sqlToken{}, false, l.fail("a NUL byte")
		}
		return sqlToken{kind: sqlQuoted, raw: raw, value: strings.ReplaceAll(raw[1:len(raw)-1], `""`, `"`)}, false, nil
	}
	return sqlToken{}, false, fmt.Errorf("%w: a quoted name has no end", ErrCutDump)
}

// literal reads from the opening quote, which is at the offset from.
func (l *sqlLexer) literal(from int, escapes bool) (sqlToken, bool, error) {
	for i := from + 1; i < len(l.rest); i++ {
		switch {
		case escapes && l.rest[i] == '\\':
			i++
		case l.rest[i] != '\'':
		case i+1 < len(l.rest) && l.rest[i+1] == '\'':
			i++
		default:
			raw := l.take(i + 1)
			if strings.IndexByte(raw, 0) >= 0 {
				return sqlToken{}, false, l.fail("a NUL byte")
			}
			return sqlToken{kind: sqlLiteral, raw: raw}, false, nil
		}
	}
	return sqlToken{}, false, fmt.Errorf("%w: a literal has no end", ErrCutDump)
}
