package labels

import (
	"strings"
	"testing"
	"time"

	"github.com/bmatcuk/doublestar/v4"
)

func TestF46_PatternsThatPassAreCheapToMatch(t *testing.T) {
	name := strings.Repeat("a/", 60) + strings.Repeat("a", 200) + "c"
	for _, pattern := range []string{
		strings.Repeat("*a", maxStars) + "b",
		strings.Repeat("**/", maxStars/2) + "b",
		strings.Repeat("{a,a}", 6) + strings.Repeat("*a", 30) + "b",
		strings.Repeat("**/*", 10) + "b",
	} {
		if reason, _ := badPattern(pattern); reason != "" {
			t.Errorf("%s %s", pattern, reason)
			continue
		}
		start := time.Now()
		if ok, err := doublestar.Match(pattern, name); ok || err != nil {
			t.Errorf("%s: %v, %v", pattern, ok, err)
		}
		if took := time.Since(start); took > time.Second {
			t.Errorf("%s: %v", pattern, took)
		}
	}
}
