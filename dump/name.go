package dump

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// EscapeName makes a file name of any name: "%", "/", control bytes and bytes
// that are not UTF-8 become %XX, and so do the dots of "." and "..". Different
// names stay different.
func EscapeName(name string) string {
	if name == "." || name == ".." {
		return strings.Repeat("%2E", len(name))
	}
	var b strings.Builder
	for i := 0; i < len(name); {
		r, n := utf8.DecodeRuneInString(name[i:])
		bad := r == utf8.RuneError && n == 1
		if bad || r < 0x20 || r == 0x7f || r == '/' || r == '%' {
			fmt.Fprintf(&b, "%%%02X", name[i])
		} else {
			b.WriteString(name[i : i+n])
		}
		i += n
	}
	return b.String()
}

// UnescapeName is the name that EscapeName made a file name of.
func UnescapeName(escaped string) (string, error) {
	var b strings.Builder
	for i := 0; i < len(escaped); i++ {
		if escaped[i] != '%' {
			b.WriteByte(escaped[i])
			continue
		}
		if i+2 >= len(escaped) {
			return "", fmt.Errorf("unescape %q: cut after %%", escaped)
		}
		v, err := strconv.ParseUint(escaped[i+1:i+3], 16, 8)
		if err != nil {
			return "", fmt.Errorf("unescape %q: %q is no hexadecimal byte", escaped, escaped[i+1:i+3])
		}
		b.WriteByte(byte(v))
		i += 2
	}
	return b.String(), nil
}
