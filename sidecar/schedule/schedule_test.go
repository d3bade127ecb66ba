package schedule

import (
	"errors"
	"strings"
	"testing"
	"time"
	_ "time/tzdata"
)

func zone(t *testing.T, name string) *time.Location {
	t.Helper()
	l, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestF41_DailyJobRunsOnceADayWhenClocksChange(t *testing.T) {
	zones := []string{"Europe/Berlin", "America/New_York", "America/Sao_Paulo", "Africa/Cairo", "Asia/Beirut",
		"America/Havana", "Australia/Lord_Howe", "Pacific/Auckland", "UTC", "Asia/Kathmandu", "America/Santiago"}
	expressions := []string{"30 2 * * *", "0 0 * * *", "@daily", "0 2 * * *", "59 23 * * *", "15 1 * * *", "0 3 * * *"}
	for _, z := range zones {
		for _, e := range expressions {
			s, err := Parse(e, zone(t, z))
			if err != nil {
				t.Fatal(err)
			}
			perDay := map[string]int{}
			at := time.Date(2016, 12, 31, 23, 59, 59, 0, zone(t, z))
			for at.Year() < 2020 {
				next := s.Next(at)
				if !next.After(at) {
					t.Fatalf("%s in %s: Next(%s) = %s", e, z, at, next)
				}
				at = next
				perDay[at.Format(time.DateOnly)]++
			}
			for d := time.Date(2017, 1, 1, 12, 0, 0, 0, time.UTC); d.Year() < 2020; d = d.AddDate(0, 0, 1) {
				if n := perDay[d.Format(time.DateOnly)]; n != 1 {
					t.Errorf("%s in %s: %d runs on %s", e, z, n, d.Format(time.DateOnly))
				}
			}
		}
	}
}

func TestF41_HourlyJobFollowsElapsedTime(t *testing.T) {
	s, err := Parse("0 * * * *", zone(t, "Europe/Berlin"))
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 10, 24, 22, 0, 0, 0, time.UTC)
	for range 6 {
		next := s.Next(at)
		if next.Sub(at) != time.Hour {
			t.Errorf("from %s to %s: %s", at, next, next.Sub(at))
		}
		at = next
	}
}

func TestF41_RepeatedHourAfterARestartDoesNotRunAgain(t *testing.T) {
	s, err := Parse("30 2 * * *", zone(t, "Europe/Berlin"))
	if err != nil {
		t.Fatal(err)
	}
	// 02:10 on the wall, for the second time: 02:30 has been.
	second := time.Date(2026, 10, 25, 1, 10, 0, 0, time.UTC)
	if got := s.Next(second).Format("2006-01-02 15:04"); got != "2026-10-26 02:30" {
		t.Errorf("next run at %s, want the next day", got)
	}
}

func TestF41_GapMovesTheRunBehindIt(t *testing.T) {
	s, err := Parse("30 2 * * *", zone(t, "Europe/Berlin"))
	if err != nil {
		t.Fatal(err)
	}
	got := s.Next(time.Date(2026, 3, 29, 0, 0, 0, 0, zone(t, "Europe/Berlin")))
	if got.Format("2006-01-02 15:04 MST") != "2026-03-29 03:30 CEST" {
		t.Errorf("got %s", got)
	}
}

func TestF41_BadExpressionsAreRefusedWithThePlace(t *testing.T) {
	tests := []struct{ expr, says string }{
		{"", "empty"},
		{"TZ=", "variable TZ"},
		{"CRON_TZ=Europe/Berlin 0 2 * * *", "variable TZ"},
		{"TZ=Europe/Berlin", "variable TZ"},
		{"@every 0s", "too short"},
		{"@every -5m", "too short"},
		{"@every", "one duration"},
		{"@every week", "no duration"},
		{"@fortnightly", "@fortnightly"},
		{"0 2 30 2 *", "never fires"},
		{"0 0 2 * * *", "six fields"},
		{"0 2 * *", "4 fields"},
		{"61 2 * * *", "61"},
		{"0 24 * * *", "24"},
		{"0 2 * * mon-xyz", "xyz"},
		{strings.Repeat("1,", 400) + " 2 * * *", "longer"},
	}
	for _, tt := range tests {
		_, err := Parse(tt.expr, time.UTC)
		if !errors.Is(err, ErrExpression) {
			t.Errorf("Parse(%q) = %v, want ErrExpression", tt.expr, err)
			continue
		}
		if !strings.Contains(err.Error(), tt.says) {
			t.Errorf("Parse(%q) says %q, without %q", tt.expr, err, tt.says)
		}
	}
}

func TestF41_DayOfMonthAndWeekdayAreEither(t *testing.T) {
	s, err := Parse("0 2 1 * 1", time.UTC)
	if err != nil {
		t.Fatal(err)
	}
	at, days := time.Date(2026, 11, 1, 3, 0, 0, 0, time.UTC), []int{}
	for range 5 {
		at = s.Next(at)
		days = append(days, at.Day())
	}
	want := []int{2, 9, 16, 23, 30}
	for i := range want {
		if days[i] != want[i] {
			t.Fatalf("runs on days %v, want %v (Mondays, and the first)", days, want)
		}
	}
}

func TestMissed(t *testing.T) {
	s, err := Parse("0 2 * * *", time.UTC)
	if err != nil {
		t.Fatal(err)
	}
	last := time.Date(2026, 11, 20, 2, 0, 0, 0, time.UTC)
	if s.Missed(last, last.Add(23*time.Hour)) {
		t.Error("a run counts as missed before it was due")
	}
	if !s.Missed(last, last.Add(25*time.Hour)) {
		t.Error("a run that was due an hour ago does not count as missed")
	}
	if got := s.Interval(last); got != 24*time.Hour {
		t.Errorf("interval %s, want 24h", got)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"0 2 * * *", "TZ=", "@every 0s", "@daily", "*/0 * * * *", "0 2 30 2 *", "1-0 * * * *", "? ? ? ? ?"} {
		f.Add(s)
	}
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, expr string) {
		s, err := Parse(expr, berlin)
		if err != nil {
			return
		}
		now := time.Date(2026, 3, 28, 12, 0, 0, 0, berlin)
		if next := s.Next(now); !next.IsZero() && !next.After(now) {
			t.Errorf("Next(%s) = %s", now, next)
		}
	})
}
