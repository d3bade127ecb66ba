package main

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// visible returns text that shows all that it holds: whatever would move a
// terminal's cursor, colour it or turn its writing direction is written as an
// escape instead. Line breaks and tabs stay.
func visible(text string) string {
	if isVisible(text) {
		return text
	}
	var b strings.Builder
	for len(text) > 0 {
		r, n := utf8.DecodeRuneInString(text)
		if shown(r, n) {
			b.WriteString(text[:n])
		} else {
			b.WriteString(escaped(text[:n]))
		}
		text = text[n:]
	}
	return b.String()
}

func isVisible(text string) bool {
	for i := 0; i < len(text); {
		r, n := utf8.DecodeRuneInString(text[i:])
		if !shown(r, n) {
			return false
		}
		i += n
	}
	return true
}

func shown(r rune, size int) bool {
	if r == utf8.RuneError && size <= 1 {
		return false // a byte that is no UTF-8
	}
	return r == '\n' || r == '\t' || unicode.IsPrint(r)
}

func escaped(s string) string {
	q := strconv.Quote(s)
	return q[1 : len(q)-1]
}

// printable returns a name on one line, quoted when it could be taken for
// anything but itself.
func printable(name string) string {
	if q := strconv.Quote(name); q[1:len(q)-1] != name || name == "" || name != strings.TrimSpace(name) {
		return q
	}
	return name
}
