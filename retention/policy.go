package retention

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/ripplebak/ripplebak/spelling"
)

// MaxCount bounds the counts of a policy, and each part of a span.
const MaxCount = 10000

// All is the count that keeps every one.
const All = -1

// unit is what a rule goes by.
type unit int

const (
	last unit = iota
	hourly
	daily
	weekly
	monthly
	quarterly
	yearly
	units // how many there are
)

func (u unit) String() string {
	return [units]string{"last", "hourly", "daily", "weekly", "monthly", "quarterly", "yearly"}[u]
}

// Policy says which snapshots are kept. Its zero value is the empty policy,
// which removes nothing.
type Policy struct {
	counts [units]int
	// spans are those of "within" (at last) and of "within-hourly" and so on.
	spans [units]Span
}

// KeepAll is the policy that keeps everything, and says so.
func KeepAll() Policy {
	var p Policy
	p.counts[last] = All
	return p
}

// Empty says whether the policy has no rule.
func (p Policy) Empty() bool { return p == Policy{} }

// word is the rule's name for a unit.
func word(u unit, within bool) string {
	switch {
	case !within:
		return u.String()
	case u == last:
		return "within"
	default:
		return "within-" + u.String()
	}
}

// spanned says whether a unit can be asked for within a span.
func spanned(u unit) bool { return u != quarterly }

// Words are the names of all rules, in the order in which policies are printed.
func Words() []string {
	var out []string
	for _, within := range []bool{false, true} {
		for u := range units {
			if !within || spanned(u) {
				out = append(out, word(u, within))
			}
		}
	}
	return out
}

// String writes the policy as Parse reads it; "" for the empty one.
func (p Policy) String() string {
	var rules []string
	for u, n := range p.counts {
		if n != 0 {
			rules = append(rules, word(unit(u), false)+"="+strconv.Itoa(n))
		}
	}
	for u, s := range p.spans {
		if s != (Span{}) {
			rules = append(rules, word(unit(u), true)+"="+s.String())
		}
	}
	return strings.Join(rules, " ")
}

// RuleError is a policy that cannot be understood.
type RuleError struct {
	// Rule is the part that is wrong; empty where it is the policy as a whole.
	Rule    string
	Reason  string
	Nearest string // what was probably meant, or empty
}

func (e *RuleError) Error() string {
	text := e.Reason
	if e.Rule != "" {
		text = fmt.Sprintf("%q %s", e.Rule, text)
	}
	if e.Nearest != "" {
		text += fmt.Sprintf("; did you mean %q?", e.Nearest)
	}
	return text
}

// Parse reads rules separated by spaces, such as "last=3 daily=7 within=1y2m":
// each word once, a count from 1 to MaxCount or -1 for all, or a span of time.
// Whatever else is there is a *RuleError: a policy decides what is deleted, so
// nothing in it is guessed. At least one rule must be there.
func Parse(s string) (Policy, error) {
	var p Policy
	fields := strings.Fields(s)
	if len(fields) == 0 {
		return Policy{}, &RuleError{Reason: "is empty; write rules such as last=3 daily=7 weekly=4"}
	}
	if len(fields) > len(Words()) {
		return Policy{}, &RuleError{Reason: "has more rules than there are words (" + strings.Join(Words(), ", ") + ")"}
	}
	for _, field := range fields {
		if err := p.add(field); err != nil {
			return Policy{}, err
		}
	}
	return p, nil
}

// add reads one rule.
func (p *Policy) add(field string) error {
	name, value, found := strings.Cut(field, "=")
	u, within, ok := lookUp(name)
	if !ok {
		return unknownWord(name)
	}
	if !found || value == "" {
		return &RuleError{Rule: name, Reason: "needs a value after an equals sign"}
	}
	if p.counts[u] != 0 && !within || p.spans[u] != (Span{}) && within {
		return &RuleError{Rule: name, Reason: "is given twice"}
	}
	if within {
		span, ok := parseSpan(value)
		if !ok {
			return &RuleError{Rule: value, Reason: "is not a span of time such as 1y2m3d4h: years, months, days and hours, in this order, more than nothing"}
		}
		p.spans[u] = span
		return nil
	}
	n, err := count(value)
	if err != nil {
		return &RuleError{Rule: value, Reason: "is not a count from 1 to " + strconv.Itoa(MaxCount) + ", or -1 for all"}
	}
	p.counts[u] = n
	return nil
}

func lookUp(name string) (u unit, within, ok bool) {
	for _, within := range []bool{false, true} {
		for u := range units {
			if (!within || spanned(u)) && word(u, within) == name {
				return u, within, true
			}
		}
	}
	return 0, false, false
}

var errNoCount = errors.New("no count")

// count reads -1, or a number from 1 to MaxCount in digits only.
func count(s string) (int, error) {
	if s == "-1" {
		return All, nil
	}
	for _, r := range s {
		if r < '0' || r > '9' {
			return 0, errNoCount
		}
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > MaxCount {
		return 0, errNoCount
	}
	return n, nil
}

func unknownWord(name string) error {
	for _, w := range Words() {
		if strings.EqualFold(w, name) {
			return &RuleError{Rule: name, Reason: "is in the wrong case", Nearest: w}
		}
	}
	near := meant(strings.ToLower(name))
	if near == "" {
		near = spelling.Nearest(name, Words())
	}
	return &RuleError{Rule: name, Reason: "is not one of " + strings.Join(Words(), ", "), Nearest: near}
}

// meant is the word for which somebody writes another, such as the name of
// restic's option.
func meant(name string) string {
	name = strings.TrimPrefix(strings.TrimLeft(name, "-"), "keep-")
	if rest, ok := strings.CutPrefix(name, "within-"); ok {
		if m := meant(rest); m != "" && m != "last" && m != "quarterly" && !strings.HasPrefix(m, "within") {
			return "within-" + m
		}
		return ""
	}
	switch name {
	case "hour", "hours", "hourly":
		return "hourly"
	case "day", "days", "daily":
		return "daily"
	case "week", "weeks", "weekly":
		return "weekly"
	case "month", "months", "monthly":
		return "monthly"
	case "quarter", "quarters", "quarterly":
		return "quarterly"
	case "year", "years", "yearly", "annually":
		return "yearly"
	case "last", "latest", "newest":
		return "last"
	case "within":
		return "within"
	}
	return ""
}
