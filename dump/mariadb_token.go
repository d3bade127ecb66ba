package dump

import (
	"errors"
	"strings"
)

// myToken is a word, a quoted name, a literal or a symbol.
type myToken struct {
	word   string // in upper case
	name   string // of a word as it is, or what `...` or '...' quotes
	symbol byte   // '\'' for a literal
}

// myTokenList is the beginning of a statement, without comments. What stands in
// /*! */ is part of it.
type myTokenList []myToken

// myViews is the version behind which dumps put what belongs to views, the
// table that stands in the place of one included.
const myViews = "50001"

// myTokens splits the beginning of a statement. The last token may be cut.
// views says that it begins behind the version of views.
func myTokens(head []byte) (out myTokenList, views bool) {
	s := string(head)
	for s != "" {
		n := 1
		switch c := s[0]; {
		case startsCode([]byte(s[:min(len(s), 4)])):
			n = strings.IndexByte(s, '!') + 1
			for n < len(s) && s[n] >= '0' && s[n] <= '9' {
				n++
			}
			views = views || len(out) == 0 && strings.HasSuffix(s[:n], "!"+myViews)
		case strings.HasPrefix(s, "/*"):
			n = endOf(s, 2, "*/")
		case strings.HasPrefix(s, "*/"):
			n = 2
		case c == '#' || strings.HasPrefix(s, "--") && (len(s) < 3 || s[2] <= ' '):
			n = endOf(s, 1, "\n")
		case c <= ' ':
		case c == '`':
			var name string
			name, n = backticked(s)
			out = append(out, myToken{name: name, symbol: '`'})
		case c == '\'' || c == '"':
			n = literalEnd(s)
			out = append(out, myToken{name: literalValue(s[:n]), symbol: '\''})
		case isWordByte(c) || c == '@' || c == '$':
			for n < len(s) && (isWordByte(s[n]) || s[n] == '@' || s[n] == '$') {
				n++
			}
			for _, part := range strings.FieldsFunc(s[:n], func(r rune) bool { return r == '@' }) {
				out = append(out, myToken{word: strings.ToUpper(part), name: part})
			}
		default:
			out = append(out, myToken{symbol: c})
		}
		s = s[n:]
	}
	return out, views
}

// endOf is where in s, from an offset on, the text ends.
func endOf(s string, from int, text string) int {
	if i := strings.Index(s[from:], text); i >= 0 {
		return from + i + len(text)
	}
	return len(s)
}

// backticked reads a quoted name and says how long it is.
func backticked(s string) (name string, n int) {
	for i := 1; i < len(s); i++ {
		if s[i] != '`' {
			continue
		}
		if i+1 < len(s) && s[i+1] == '`' {
			i++
			continue
		}
		return strings.ReplaceAll(s[1:i], "``", "`"), i + 1
	}
	return "", len(s)
}

// literalEnd is the length of the literal at the beginning. What it holds
// decides nothing, and the lexer knows better whether backslashes count.
func literalEnd(s string) int {
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case s[0]:
			return i + 1
		}
	}
	return len(s)
}

func (t myTokenList) word(i int) string {
	if i < len(t) {
		return t[i].word
	}
	return ""
}

func (t myTokenList) symbolAt(i int) byte {
	if i < len(t) {
		return t[i].symbol
	}
	return 0
}

func (t myTokenList) nameAt(i int) string {
	if i < len(t) {
		return t[i].name
	}
	return ""
}

// literalValue is what a literal says, as far as names go.
func literalValue(s string) string {
	if len(s) < 2 {
		return ""
	}
	q := s[:1]
	return strings.NewReplacer(`\\`, `\`, `\'`, `'`, q+q, q).Replace(s[1 : len(s)-1])
}

// only says whether the list is these words and no more.
func (t myTokenList) only(n int, words ...string) error {
	if len(t) != n {
		return errUnknownSQL(t)
	}
	for i, w := range words {
		if t[i].word != w {
			return errUnknownSQL(t)
		}
	}
	return nil
}

var errQualified = errors.New("a name in another database")

// object is the name at a place. Dumps of one database name no other.
func (t myTokenList) object(i int) (string, error) {
	name := t.nameAt(i)
	switch {
	case name == "":
		return "", errUnknownSQL(t)
	case t.symbolAt(i+1) == '.':
		return "", errQualified
	}
	return name, nil
}
