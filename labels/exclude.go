package labels

import (
	"strings"

	"github.com/bmatcuk/doublestar/v4"
)

// maxPattern is the length of one pattern in bytes.
const maxPattern = 1024

// maxStars and maxAlternatives bound what it costs to match one pattern.
const (
	maxStars        = 32
	maxAlternatives = 64
)

// exclude takes doublestar patterns. One that can never match, and one that
// matches everything, is a mistake and not a wish.
func (p *parser) exclude(value string) {
	for _, pattern := range p.items(value) {
		if reason, near := badPattern(pattern); reason != "" {
			p.problem(pattern, reason, near)
			continue
		}
		p.spec.Exclude = append(p.spec.Exclude, pattern)
	}
}

// badPattern says what is wrong with a pattern, and what would be right.
func badPattern(pattern string) (reason, near string) {
	switch {
	case len(pattern) > maxPattern:
		return "is longer than " + itoa(maxPattern) + " bytes", ""
	case strings.Count(pattern, "*") > maxStars:
		return "has more than " + itoa(maxStars) + " wildcards", ""
	case alternatives(pattern) > maxAlternatives:
		return "has more than " + itoa(maxAlternatives) + " alternatives", ""
	case strings.HasPrefix(pattern, "!"):
		return "is negated, which patterns cannot be; a name that begins with ! is written \\!", ""
	case !doublestar.ValidatePattern(pattern):
		return "is not a pattern: a [ or { is not closed (a comma in braces is written \\,) or a \\ stands at the end", ""
	}
	body := strings.TrimPrefix(pattern, "/")
	switch strings.ReplaceAll(body, "**/", "") {
	case "", "*", "**":
		return "leaves everything out; " + Prefix + "volumes chooses whole volumes", ""
	}
	if trimmed := strings.TrimRight(pattern, "/"); trimmed != pattern && !strings.HasSuffix(trimmed, "\\") {
		return "ends with a slash and never matches; a directory is named like a file, and what is below it goes with it", trimmed
	}
	for element := range strings.SplitSeq(body, "/") {
		if element == "" || element == "." || element == ".." {
			return "has a path element that is empty, . or .. and never matches; patterns begin at the root of the volume", ""
		}
	}
	return "", ""
}

// alternatives is a bound of the ways in which a pattern's braces can be read:
// the product, over all groups, of what each offers.
func alternatives(pattern string) int {
	ways := 1
	var open []int // for each group that is open, how many it offers so far
	for i := 0; i < len(pattern) && ways <= maxAlternatives; i++ {
		switch pattern[i] {
		case '\\':
			i++
		case '{':
			open = append(open, 1)
		case ',':
			if len(open) > 0 {
				open[len(open)-1]++
			}
		case '}':
			if len(open) > 0 {
				ways *= open[len(open)-1]
				open = open[:len(open)-1]
			}
		}
	}
	return ways
}
