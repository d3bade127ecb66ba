package retention

import (
	"strconv"
	"strings"
	"time"
)

// Span is a length of calendar time. Its zero value is no time at all.
type Span struct{ Years, Months, Days, Hours int }

// parseSpan reads 1y2m3d4h: each part at most once, in this order, and more
// than nothing.
func parseSpan(s string) (Span, bool) {
	var span Span
	if s == "" {
		return span, false
	}
	parts := []struct {
		unit byte
		into *int
	}{{'y', &span.Years}, {'m', &span.Months}, {'d', &span.Days}, {'h', &span.Hours}}
	for _, part := range parts {
		end := 0
		for end < len(s) && s[end] >= '0' && s[end] <= '9' {
			end++
		}
		if end == len(s) || s[end] != part.unit {
			continue
		}
		n, err := strconv.Atoi(s[:end])
		if err != nil || n > MaxCount {
			return Span{}, false
		}
		*part.into, s = n, s[end+1:]
	}
	return span, s == "" && span != Span{}
}

// String writes the span as it is read, without parts that are zero.
func (s Span) String() string {
	var b strings.Builder
	for _, part := range []struct {
		n    int
		unit byte
	}{{s.Years, 'y'}, {s.Months, 'm'}, {s.Days, 'd'}, {s.Hours, 'h'}} {
		if part.n != 0 {
			b.WriteString(strconv.Itoa(part.n))
			b.WriteByte(part.unit)
		}
	}
	return b.String()
}

// before is the time that lies the span before t, by t's calendar.
func (s Span) before(t time.Time) time.Time {
	return t.AddDate(-s.Years, -s.Months, -s.Days).Add(-time.Duration(s.Hours) * time.Hour)
}
