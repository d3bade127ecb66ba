package manifest

import (
	"fmt"
	"strings"
	"unicode"
)

// Names in a runbook come from labels, databases and the file system. None may
// end its place in the document, or be more than one word in a command.

// plain replaces what is not printable by its escape.
func plain(s string) string {
	var b strings.Builder
	for _, r := range strings.ToValidUTF8(s, "\uFFFD") {
		if unicode.IsPrint(r) {
			b.WriteRune(r)
			continue
		}
		fmt.Fprintf(&b, "\\u%04x", r)
	}
	return b.String()
}

// text is a name in running text.
func text(s string) string {
	var b strings.Builder
	for _, r := range plain(s) {
		if strings.ContainsRune("\\`*_{}[]<>()#|!&~", r) {
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}

// code is a name in a span of code.
func code(s string) string {
	s = plain(s)
	run, most := 0, 0
	for _, r := range s {
		if run++; r != '`' {
			run = 0
		}
		most = max(most, run)
	}
	fence := strings.Repeat("`", most+1)
	if most > 0 || strings.TrimSpace(s) == "" {
		return fence + " " + s + " " + fence
	}
	return fence + s + fence
}

// cell is a span of code in a table, which takes a bar for the end of its cell
// in there too.
func cell(s string) string { return strings.ReplaceAll(code(s), "|", `\|`) }

func list(names []string, each func(string) string) string {
	var out []string
	for _, n := range names {
		out = append(out, each(n))
	}
	return strings.Join(out, ", ")
}

// ShellWord writes a name as one word of a command line, on one line.
func ShellWord(s string) string {
	const safe = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789@%+=:,./_-"
	if s != "" && strings.Trim(s, safe) == "" {
		return s
	}
	if !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) || r == unicode.ReplacementChar }) {
		return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
	}
	var b strings.Builder
	b.WriteString("$'")
	for _, c := range []byte(s) {
		switch {
		case c == '\'' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c < ' ' || c >= 0x7f:
			fmt.Fprintf(&b, "\\x%02x", c)
		default:
			b.WriteByte(c)
		}
	}
	return b.String() + "'"
}
