package dump

import (
	"bytes"
	"fmt"
	"strings"
)

// textProof judges SQL text by its first and last lines, which the writer
// writes first and last. It keeps no more than both ends.
type textProof struct {
	what     string
	first    string                 // how it begins
	last     string                 // its last line that is not empty, "--", or part of the epilogue
	epilogue func(line string) bool // lines that may follow the last one; nil: none
	head     []byte
	tail     []byte
	size     int64
}

// textTail is how much of the end is kept: the trailer and what follows it.
const textTail = 1024

func (p *textProof) Write(b []byte) (int, error) {
	if room := 256 - len(p.head); room > 0 {
		p.head = append(p.head, b[:min(room, len(b))]...)
	}
	end := b[max(0, len(b)-textTail):]
	if over := len(p.tail) + len(end) - textTail; over > 0 {
		p.tail = p.tail[:copy(p.tail, p.tail[over:])]
	}
	p.tail = append(p.tail, end...)
	p.size += int64(len(b))
	return len(b), nil
}

func (p *textProof) Finish() error {
	switch {
	case p.size == 0:
		return ErrEmptyDump
	case !bytes.HasPrefix(p.head, []byte(p.first)):
		return fmt.Errorf("%w: %s should begin otherwise than %s", ErrBadDump, p.what, excerpt(p.head))
	case p.tail[len(p.tail)-1] != '\n':
		return fmt.Errorf("%w: the last line of the %s has no end", ErrCutDump, p.what)
	}
	lines := strings.Split(string(p.tail), "\n")
	for i := len(lines) - 1; i >= 0; i-- {
		line := lines[i]
		if line == p.last {
			return nil
		}
		if line != "" && line != "--" && (p.epilogue == nil || !p.epilogue(line)) {
			break
		}
	}
	return fmt.Errorf("%w: the %s do not end with the line %q", ErrCutDump, p.what, p.last)
}

func (p *textProof) Summary() string { return fmt.Sprintf("%s, %d bytes", p.what, p.size) }

// isRestrict says whether a line is one of the two commands to the client that
// pg_dumpall wraps its text in since 2025, with its random key. Versions may
// differ in whether the closing one comes before or after the trailer.
func isRestrict(line string) bool {
	key, ok := strings.CutPrefix(line, `\restrict `)
	if !ok {
		key, ok = strings.CutPrefix(line, `\unrestrict `)
	}
	return ok && key != "" && !strings.ContainsFunc(key, func(r rune) bool {
		return !(r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z')
	})
}

// excerpt is the beginning of unexpected output, fit for a message. Where a
// client cannot be run, its error text may be all that there is.
func excerpt(b []byte) string {
	line, _, _ := strings.Cut(string(b), "\n")
	const most = 120
	if len(line) > most {
		line = line[:most] + "..."
	}
	return fmt.Sprintf("%q", line)
}
