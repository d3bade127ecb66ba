package dump

import (
	"fmt"
	"regexp"
	"strings"
)

// tablePattern is a pattern of tables as psql and pg_dump read it: * and ?,
// names in lower case unless quoted, SCHEMA.TABLE. Without a schema it stands
// for tables of any: which ones would be visible depends on who asks.
type tablePattern struct {
	schema, table string // as written; an empty schema is any
	match         *regexp.Regexp
}

// String is the pattern as pg_dump is given it.
func (t tablePattern) String() string {
	if t.schema == "" {
		return "*." + t.table
	}
	return t.schema + "." + t.table
}

// fits says whether the pattern stands for a table. No name holds a NUL.
func (t tablePattern) fits(schema, table string) bool {
	return t.match.MatchString(schema + "\x00" + table)
}

func parsePatterns(patterns []string) ([]tablePattern, error) {
	var out []tablePattern
	for _, text := range patterns {
		t, err := parsePattern(text)
		if err != nil {
			return nil, err
		}
		out = append(out, t)
	}
	return out, nil
}

func parsePattern(text string) (tablePattern, error) {
	fail := func(what string) (tablePattern, error) {
		return tablePattern{}, fmt.Errorf("%w: the pattern of tables %q %s", ErrBadRequest, text, what)
	}
	var parts []string
	start, quoted := 0, false
	for i := range len(text) {
		switch {
		case text[i] == '"':
			quoted = !quoted
		case text[i] == '.' && !quoted:
			parts = append(parts, text[start:i])
			start = i + 1
		}
	}
	parts = append(parts, text[start:])
	switch {
	case quoted:
		return fail("has a quotation mark without its other one")
	case len(parts) > 2:
		return fail("has more parts than SCHEMA.TABLE")
	case strings.HasPrefix(text, "-"):
		return fail("begins with a dash, so it would be taken for an option")
	}
	expressions := []string{"[^\\x00]*"}
	all := true
	for _, part := range parts {
		e := patternExpression(part)
		if e == "" {
			return fail("has an empty part")
		}
		expressions = append(expressions, e)
		all = all && strings.Trim(part, "*?") == ""
	}
	if all {
		return fail("stands for every table; ripplebak.dump.databases chooses whole databases")
	}
	expressions = expressions[len(expressions)-2:]
	match, err := regexp.Compile("^" + expressions[0] + "\\x00" + expressions[1] + "$")
	if err != nil {
		return fail("is no pattern")
	}
	t := tablePattern{table: parts[len(parts)-1], match: match}
	if len(parts) == 2 {
		t.schema = parts[0]
	}
	return t, nil
}

// patternExpression makes a regular expression of one part of a pattern. Two
// quotation marks among quoted text are one of the name.
func patternExpression(part string) string {
	var b strings.Builder
	quoted := false
	skip := false
	for i, r := range part {
		switch {
		case skip:
			skip = false
		case r == '"' && quoted && strings.HasPrefix(part[i:], `""`):
			b.WriteByte('"')
			skip = true
		case r == '"':
			quoted = !quoted
		case quoted:
			b.WriteString(regexp.QuoteMeta(string(r)))
		case r == '*':
			b.WriteString("[^\\x00]*")
		case r == '?':
			b.WriteString("[^\\x00]")
		default:
			b.WriteString(regexp.QuoteMeta(asciiLower(string(r))))
		}
	}
	return b.String()
}
