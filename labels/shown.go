package labels

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// shown makes s fit for one line of a message: what doesn't print is escaped,
// and what is longer than max bytes is cut.
func shown(s string, max int) string {
	s = cut(s, max)
	q := strconv.Quote(s)
	if q[1:len(q)-1] == s {
		return s
	}
	return q
}

// cut shortens s to at most max bytes at a rune boundary, with a mark.
func cut(s string, max int) string {
	if len(s) <= max {
		return s
	}
	n := max
	for n > 0 && n > max-utf8.UTFMax && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "..."
}

// tellable returns value cut for a message, or nothing where it looks like a
// URL or a connection string, which may hold a password.
func tellable(value string) string {
	if strings.Contains(value, "://") || strings.Contains(value, "=") {
		return ""
	}
	return cut(value, maxShown)
}
