// Package spelling finds what was meant by a mistyped word.
package spelling

import "strings"

// MaxCompared bounds what the edit distance is computed for: hostile names may
// be long, and nobody mistypes that much.
const MaxCompared = 96

// Nearest returns the candidate closest to s by edit distance, ignoring case,
// or nothing where none is close enough to be what was meant. Of equally close
// ones the first wins.
func Nearest(s string, candidates []string) string {
	if s == "" || len(s) > MaxCompared {
		return ""
	}
	folded := strings.ToLower(s)
	best, bestDistance := "", 0
	for _, c := range candidates {
		if len(c) > MaxCompared {
			continue
		}
		d := Distance(folded, strings.ToLower(c))
		if d > limit(s, c) {
			continue
		}
		if best == "" || d < bestDistance {
			best, bestDistance = c, d
		}
	}
	return best
}

// limit is how many edits two words may be apart: one in three letters of the
// longer, and never all of the shorter.
func limit(a, b string) int {
	longer, shorter := max(len(a), len(b)), min(len(a), len(b))
	return min((longer+2)/3, shorter-1)
}

// Distance is the number of insertions, deletions, substitutions and swaps of
// neighbouring bytes that turn a into b (optimal string alignment).
func Distance(a, b string) int {
	before, previous, current := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range previous {
		previous[j] = j
	}
	for i := 1; i <= len(a); i++ {
		current[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			d := min(previous[j]+1, current[j-1]+1, previous[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				d = min(d, before[j-2]+1)
			}
			current[j] = d
		}
		before, previous, current = previous, current, before
	}
	return previous[len(b)]
}
