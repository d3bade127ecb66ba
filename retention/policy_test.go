package retention

import (
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
)

func mustParse(t testing.TB, s string) Policy {
	t.Helper()
	p, err := Parse(s)
	if err != nil {
		t.Fatalf("%q: %v", s, err)
	}
	return p
}

func TestPolicyIsPrintedAsItIsRead(t *testing.T) {
	all := "last=3 hourly=24 daily=7 weekly=4 monthly=12 quarterly=8 yearly=-1 within=1y2m3d4h within-hourly=2d within-daily=14d within-weekly=2m within-monthly=1y within-yearly=10y"
	if got := mustParse(t, all).String(); got != all {
		t.Errorf("got  %q\nwant %q", got, all)
	}
	if n := len(strings.Fields(all)); n != len(Words()) {
		t.Errorf("%d rules, and %d words: %q", n, len(Words()), Words())
	}
	if got := mustParse(t, "  yearly=1\tlast=10000 ").String(); got != "last=10000 yearly=1" {
		t.Errorf("got %q", got)
	}
	if got := (Policy{}).String(); got != "" || !(Policy{}).Empty() || mustParse(t, "last=1").Empty() {
		t.Errorf("the empty policy is %q", got)
	}
}

// TestF36_PoliciesThatAreRefused: a policy decides what is deleted, so nothing
// in it is guessed.
func TestF36_PoliciesThatAreRefused(t *testing.T) {
	for in, want := range map[string]string{
		"":                         "is empty",
		" \t ":                     "is empty",
		"last":                     `"last" needs a value`,
		"last=":                    `"last" needs a value`,
		"last=0":                   `"0" is not a count from 1 to 10000, or -1`,
		"last=-2":                  `"-2" is not a count`,
		"last=--1":                 "is not a count",
		"last=+3":                  "is not a count",
		"last=3.5":                 "is not a count",
		"last=10001":               "is not a count",
		"last=99999999999999999":   "is not a count",
		"last=3 last=4":            `"last" is given twice`,
		"within=1d within=1d":      `"within" is given twice`,
		"daily=7 daily=-1":         `"daily" is given twice`,
		"within=":                  "needs a value",
		"within=0d":                "is not a span of time",
		"within=7":                 "is not a span of time",
		"within=-1d":               "is not a span of time",
		"within=1d2m":              "is not a span of time",
		"within=1w":                "is not a span of time",
		"within=10001d":            "is not a span of time",
		"within-daily=5":           "is not a span of time",
		"daily=7d":                 "is not a count",
		"keep-daily=7":             `did you mean "daily"?`,
		"--keep-within-daily=7d":   `did you mean "within-daily"?`,
		"Daily=7":                  `did you mean "daily"?`,
		"days=7":                   `did you mean "daily"?`,
		"dayly=7":                  `did you mean "daily"?`,
		"within-quarterly=1y":      `is not one of last, hourly`,
		"within-last=1y":           `is not one of last, hourly`,
		"last=3,daily=7":           "is not a count",
		strings.Repeat("x=1 ", 99): "has more rules than there are words",
	} {
		p, err := Parse(in)
		var rule *RuleError
		if !errors.As(err, &rule) || !strings.Contains(err.Error(), want) || !p.Empty() {
			t.Errorf("%q: got %v and %q, want an error with %q", in, err, p, want)
		}
	}
}

// randomPolicy has one rule at least.
func randomPolicy(rng *rand.Rand) Policy {
	for {
		var p Policy
		for u := range units {
			if rng.IntN(4) == 0 {
				p.counts[u] = 1 + rng.IntN(8)
			}
			if spanned(u) && rng.IntN(8) == 0 {
				p.spans[u] = Span{rng.IntN(2), rng.IntN(4), rng.IntN(20), rng.IntN(30)}
			}
		}
		if !p.Empty() {
			return p
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("last=3 daily=7 within=1y2m3d4h")
	f.Add("within-yearly=1h quarterly=-1")
	f.Fuzz(func(t *testing.T, s string) {
		p, err := Parse(s)
		if err != nil {
			if !p.Empty() {
				t.Errorf("%q is refused and gives %q", s, p)
			}
			return
		}
		again, err := Parse(p.String())
		if err != nil || again != p {
			t.Errorf("%q is printed as %q, which gives %q, %v", s, p, again, err)
		}
	})
}
