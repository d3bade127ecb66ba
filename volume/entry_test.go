package volume

import (
	"slices"
	"testing"
	"time"
)

func TestCompareIsTheOrderOfAWalk(t *testing.T) {
	want := []string{"", "a", "a/a", "a/a/z", "a/b", "a\x01", "a-b", "a.b", "a.b/c", "ab", "b", "\xff"}
	for i, a := range want {
		for j, b := range want {
			got := Compare(a, b)
			if (got < 0) != (i < j) || (got > 0) != (i > j) {
				t.Errorf("Compare(%q, %q) is %d", a, b, got)
			}
		}
	}
	mixed := slices.Clone(want)
	slices.Reverse(mixed)
	slices.SortFunc(mixed, Compare)
	if !slices.Equal(mixed, want) {
		t.Errorf("sorted: %q", mixed)
	}
}

func TestTimesOutsideOfTheUsual(t *testing.T) {
	for _, at := range []Time{{Sec: -1 << 40, Nsec: 999_999_999}, {Sec: 1 << 40}, {Sec: -1, Nsec: 1}, {}} {
		if got := TimeOf(at.Time()); got != at {
			t.Errorf("%v became %v", at, got)
		}
		if !at.Before(at.Add(1)) || at.Before(at) || at.Add(-time.Second-1).Add(time.Second+1) != at {
			t.Errorf("%v does not add up", at)
		}
	}
	if got := (Time{Sec: 5, Nsec: 1}).Add(-2); got != (Time{Sec: 4, Nsec: 999_999_999}) {
		t.Errorf("got %v", got)
	}
}
