package labels

import (
	"strconv"
	"strings"
)

// maxCount bounds the counts of a retention policy.
const maxCount = 10000

// keep reads a retention policy: rules separated by spaces, each unit once.
func (p *parser) keep(value string) {
	rules, ok := p.rules(value)
	if ok && p.available("") {
		p.spec.Keep = rules
	}
}

func (p *parser) rules(value string) ([]KeepRule, bool) {
	var rules []KeepRule
	seen := map[string]bool{}
	fields := strings.Fields(value)
	if len(fields) > len(keepUnits()) {
		p.problem("", "has more rules than there are units ("+strings.Join(keepUnits(), ", ")+")", "")
		return nil, false
	}
	for _, field := range fields {
		rule, ok := p.rule(field)
		if !ok {
			return nil, false
		}
		if seen[rule.Unit] {
			p.problem(rule.Unit, "is given twice", "")
			return nil, false
		}
		seen[rule.Unit] = true
		rules = append(rules, rule)
	}
	return rules, true
}

// rule reads "daily=7" or "within=1y2m".
func (p *parser) rule(field string) (KeepRule, bool) {
	unit, count, found := strings.Cut(field, "=")
	unit, ok := p.choose(unit, keepUnits(), keepMeant(unit))
	if !ok {
		return KeepRule{}, false
	}
	if !found {
		p.problem(unit, "needs a value after an equals sign", "")
		return KeepRule{}, false
	}
	if unit == "within" {
		span, ok := parseSpan(count)
		if !ok {
			p.problem(count, "is not a span of time such as 1y2m3d4h: years, months, days and hours, in this order, more than nothing", "")
		}
		return KeepRule{Unit: unit, Within: span}, ok
	}
	n, ok := number(count)
	if !ok {
		p.problem(count, "is not a count from 1 to "+itoa(maxCount), "")
	}
	return KeepRule{Unit: unit, Count: n}, ok
}

func keepUnits() []string {
	return []string{"last", "hourly", "daily", "weekly", "monthly", "yearly", "within"}
}

func keepMeant(unit string) string {
	switch strings.TrimPrefix(strings.ToLower(unit), "keep-") {
	case "hour", "hours", "hourly":
		return "hourly"
	case "day", "days", "daily":
		return "daily"
	case "week", "weeks", "weekly":
		return "weekly"
	case "month", "months", "monthly":
		return "monthly"
	case "year", "years", "yearly", "annually":
		return "yearly"
	case "last", "latest", "newest":
		return "last"
	case "within":
		return "within"
	}
	return ""
}

// parseSpan reads 1y2m3d4h: each part at most once, in this order.
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
		if err != nil || n > maxCount {
			return Span{}, false
		}
		*part.into, s = n, s[end+1:]
	}
	return span, s == "" && span != Span{}
}

// number reads a count from 1 to maxCount, digits only.
func number(s string) (int, bool) {
	for _, r := range s {
		if r < '0' || r > '9' {
			return 0, false
		}
	}
	n, err := strconv.Atoi(s)
	return n, err == nil && n >= 1 && n <= maxCount
}
